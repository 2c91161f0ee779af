"""Random: any free line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from mrikit.acquire.policies.drawing import draw_lines, normalise_free
from mrikit.acquire.policies.policy import Observation


@dataclass(frozen=True, kw_only=True, slots=True)
class RandomLine:
    """Every free line is as likely; what a policy has to beat.

    The published one draws by torch's global generator, and gives measured lines a weight of 1e-6, so that it can go on
    when nothing is free.
    """

    ignores_image: ClassVar[bool] = True

    def choose(self, observation: Observation, generators: Sequence[np.random.Generator]) -> torch.Tensor:
        """See `Policy`."""
        return draw_lines(_chances(observation.is_free), generators)

    def probabilities(self, observation: Observation) -> torch.Tensor:
        """(batch, phase) float32, how likely each line is chosen."""
        return _chances(observation.is_free).float()


def _chances(is_free: torch.Tensor) -> torch.Tensor:
    return normalise_free(torch.ones(is_free.shape[-1], dtype=torch.float64), is_free)
