"""Random low-biased: free lines by chance, near the centre more often."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from mrikit.acquire.policies.drawing import draw_lines, normalise_free
from mrikit.acquire.policies.policy import Observation, frequencies
from mrikit.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class RandomLowBiased:
    """A bell around the zero frequency on a constant, among the free lines.

    Source:
        random-lb of Pineda et al., Active MR k-space sampling with reinforcement learning, MICCAI 2020,
        arXiv:2007.10469. The published one is off in two cases: of odd widths the bell stands half a column beside the
        zero frequency, and there, if not centred, it takes one column for another.
    """

    acceleration: float = 3.0
    """The constant is 1 / (2 acceleration) of the height of the bell, at least 1."""
    is_centered: bool = True
    """Whether the zero frequency is in the middle of the mask, as everywhere in mrikit, or in column 0."""
    ignores_image: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 1 <= self.acceleration < float("inf"):
            raise ConfigError(f"a low-biased policy needs acceleration >= 1, found {self.acceleration}")

    def choose(self, observation: Observation, generators: Sequence[np.random.Generator]) -> torch.Tensor:
        """See `Policy`."""
        chances, width = self._chances(observation.is_free), observation.mask.shape[-1]
        if self.is_centered:
            return draw_lines(chances, generators)
        # From low to high frequencies all the same, so that a number means the same frequency in both orders.
        return (draw_lines(torch.fft.fftshift(chances, dim=-1), generators) - width // 2) % width

    def probabilities(self, observation: Observation) -> torch.Tensor:
        """(batch, phase) float32, how likely each line is chosen."""
        return self._chances(observation.is_free).float()

    def _chances(self, is_free: torch.Tensor) -> torch.Tensor:
        width = is_free.shape[-1]
        distance = frequencies(width, is_centered=self.is_centered).double()
        bell = (-0.5 * (distance / (width / 10)).square()).exp()
        return normalise_free(bell + 1 / (2 * self.acceleration), is_free)
