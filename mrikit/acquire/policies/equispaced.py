"""Equispaced: the middle of the widest gap first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from mrikit.acquire.policies.policy import Observation, from_center, require_free


@dataclass(frozen=True, kw_only=True, slots=True)
class Equispaced:
    """The free line farthest from all measured ones, so that spacing is as even as it can be after any number.

    The first and the last column count as neighbours, as in a regular pattern, which goes on beyond its ends. Among
    lines as far the lowest frequency comes first, and of two sides the positive one.
    """

    ignores_image: ClassVar[bool] = True

    def choose(self, observation: Observation, generators: Sequence[np.random.Generator]) -> torch.Tensor:
        """See `Policy`; nothing is drawn."""
        del generators
        mask = observation.mask
        require_free(observation.is_free)
        width = mask.shape[-1]
        columns = torch.arange(width, device=mask.device)
        apart = (columns[:, None] - columns).abs()
        apart = torch.minimum(apart, width - apart)
        distance = torch.where(mask[:, None], apart, width).amin(-1).where(observation.is_free, -1)
        order = from_center(width, mask.device)  # argmax takes the first of equals
        return order[distance[:, order].argmax(-1)]
