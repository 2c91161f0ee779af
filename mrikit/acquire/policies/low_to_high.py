"""Low to high: the lowest free frequency first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from mrikit.acquire.policies.policy import Observation, first_free, frequencies


@dataclass(frozen=True, kw_only=True, slots=True)
class LowToHigh:
    """From the centre outwards, on both sides in turn or on one side after the other.

    Source:
        Baseline of Pineda et al., MICCAI 2020, arXiv:2007.10469. The published one is off in three cases: the lines of
        one episode leak into the others of its batch, a centred mask of odd width gets one column for another, and once
        a side is full it begins the other one at its highest frequency.
    """

    alternates_sides: bool = True
    """Whether decisions go to the positive and negative side in turn (the zero frequency is positive); otherwise the
    negative side begins when the positive one is full."""
    is_centered: bool = True
    """Whether the zero frequency is in the middle of the mask, as everywhere in mrikit, or in column 0."""
    ignores_image: ClassVar[bool] = True

    def choose(self, observation: Observation, generators: Sequence[np.random.Generator]) -> torch.Tensor:
        """See `Policy`; nothing is drawn."""
        del generators
        is_free = observation.is_free
        width = is_free.shape[-1]
        frequency = frequencies(width, is_centered=self.is_centered)
        is_negative, distance = frequency < 0, frequency.abs()
        orders = torch.stack(
            [torch.argsort(distance + width * is_late, stable=True) for is_late in (is_negative, ~is_negative)]
        )
        sides = observation.num_decisions % 2 if self.alternates_sides else torch.zeros_like(observation.num_decisions)
        return first_free(is_free, orders.to(is_free.device)[sides])
