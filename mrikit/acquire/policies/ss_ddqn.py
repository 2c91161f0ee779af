"""SS-DDQN: lines valued by the image so far (subject-specific double Q-learning)."""

from dataclasses import dataclass

from mrikit.acquire.learning.double_q_config import DoubleQConfig
from mrikit.acquire.policies.highest_value import HighestValue
from mrikit.errors import ConfigError
from mrikit.models.cvpr19_evaluator import EvaluatorConfig
from mrikit.models.q_networks import SpectralQ


@dataclass(frozen=True, kw_only=True, slots=True)
class SpectralDoubleQ(DoubleQConfig):
    """Settings of SS-DDQN: of its network, and of how it learns."""

    num_channels: int = 128
    """Channels of the network's first convolution."""
    num_layers: int = 4
    """Convolutions that halve the size, at least 2."""
    pools_square: bool = False
    """Whether the lower rows of a high image are left out, as published; see `EvaluatorConfig`."""

    def network_config(self, width: int) -> EvaluatorConfig:
        """Of so many lines.

        Raises:
            ConfigError: A number is out of range.
        """
        return EvaluatorConfig(
            width=width, num_channels=self.num_channels, num_layers=self.num_layers, pools_square=self.pools_square
        )


def build_ss_ddqn(config: SpectralDoubleQ, matrix: tuple[int, int]) -> HighestValue:
    """With weights of torch's random state.

    Args:
        config: Its settings.
        matrix: (readout, phase) of k-space.

    Raises:
        ConfigError: A matrix too small for so many layers.
    """
    smallest = 2**config.num_layers
    if min(matrix) < smallest or max(matrix) < 2 * smallest:
        found = " x ".join(map(str, matrix))
        raise ConfigError(
            f"policy_config.num_layers {config.num_layers} halve images of {smallest} x {2 * smallest} or more, found "
            f"{found}; fewer layers would do"
        )
    return HighestValue(network=SpectralQ(config.network_config(matrix[1])))
