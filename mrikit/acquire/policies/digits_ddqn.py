"""The digits agent: values of lines by filled k-space."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mrikit.acquire.learning.double_q_config import DoubleQConfig
from mrikit.acquire.policies.policy import Observation, require_free
from mrikit.errors import DataError
from mrikit.models.digits_q import DigitsQ, DigitsQConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class DigitsDoubleQ(DoubleQConfig):
    """Settings of the digits agent: of its network, and of how it learns."""

    num_channels: tuple[int, ...] = (10, 20)
    """Channels of both convolutions."""
    num_hidden: int = 500
    """Neurons of the hidden layer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DigitsAgent:
    """The free line of the highest value, by one coil's k-space as the reconstructor filled it.

    Source:
        The agent of the learned-sampling study (Accelerating_MRI_with_DL_and_RL). There it never learned from a target
        network that was synced, and explored for five updates; both are matters of the learner here.
    """

    network: DigitsQ

    def choose(self, observation: Observation, generators: Sequence[np.random.Generator]) -> torch.Tensor:
        """See `Policy`; nothing is drawn.

        Raises:
            DataError: An episode without a free line, or k-space that is not filled or of several coils.
        """
        del generators
        require_free(observation.is_free)
        was_training = self.network.training
        self.network.eval()  # the statistics of a batch would tie its episodes together
        with torch.no_grad():
            values: torch.Tensor = self.network(self.seen(observation), observation.mask)
        self.network.train(was_training)
        return values.masked_fill(~observation.is_free, -torch.inf).argmax(-1)

    def seen(self, observation: Observation) -> torch.Tensor:
        """(batch, readout, phase) complex64, what the network looks at.

        Raises:
            DataError: K-space is not filled, or of several coils.
        """
        kspace = observation.kspace
        if kspace is None:
            raise DataError("digits_ddqn looks at filled k-space, found images alone; spirit_net would do")
        if kspace.shape[1] != 1:
            raise DataError(f"digits_ddqn looks at k-space of one coil, found {kspace.shape[1]}; data of one would do")
        return kspace[:, 0]


def build_digits_ddqn(config: DigitsDoubleQ, matrix: tuple[int, int]) -> DigitsAgent:
    """With weights of torch's random state.

    Args:
        config: Its settings.
        matrix: (readout, phase) of k-space.

    Raises:
        ConfigError: A matrix below 16 x 16, or a number below 1.
    """
    network = DigitsQConfig(matrix=matrix, num_channels=config.num_channels, num_hidden=config.num_hidden)
    return DigitsAgent(network=DigitsQ(network))
