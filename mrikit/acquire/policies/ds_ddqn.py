"""DS-DDQN: lines valued by the step alone (dataset-specific double Q-learning)."""

from dataclasses import dataclass

from mrikit.acquire.learning.double_q_config import DoubleQConfig
from mrikit.acquire.policies.highest_value import HighestValue
from mrikit.models.q_networks import StepQ, StepQConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class StepDoubleQ(DoubleQConfig):
    """Settings of DS-DDQN: of its network, and of how it learns."""

    num_hidden: int = 32
    """Neurons of each of three hidden layers."""


def build_ds_ddqn(config: StepDoubleQ, width: int, num_given: int, budget: int) -> HighestValue:
    """With weights of torch's random state.

    Args:
        config: Its settings.
        width: Lines of k-space.
        num_given: Lines measured before the first decision, which its clock does not count.
        budget: Lines to choose.

    Raises:
        ConfigError: A number is out of range.
    """
    network = StepQ(StepQConfig(width=width, budget=budget, num_given=num_given, num_hidden=config.num_hidden))
    return HighestValue(network=network, ignores_image=True)
