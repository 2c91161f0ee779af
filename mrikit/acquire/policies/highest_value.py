"""Highest value: the free line that a Q network values most."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from mrikit.acquire.policies.policy import Observation, require_free


@dataclass(frozen=True, kw_only=True, slots=True)
class HighestValue:
    """A Q network without exploration. Of lines of the same value the first is taken."""

    network: nn.Module
    """With the signature of `mrikit.models.q_networks`."""
    ignores_image: bool = False
    """Whether the network looks at the mask alone."""

    def choose(self, observation: Observation, generators: Sequence[np.random.Generator]) -> torch.Tensor:
        """See `Policy`; nothing is drawn."""
        del generators
        require_free(observation.is_free)
        with torch.no_grad():
            values = self.network(self.seen(observation), observation.mask)
        found: torch.Tensor = values.masked_fill(~observation.is_free, -torch.inf).argmax(-1)
        return found

    def seen(self, observation: Observation) -> torch.Tensor:
        """What the network looks at, (batch, y, x) float32; without images (batch, 0)."""
        image = observation.reconstruction
        return image.new_zeros(len(image), 0) if self.ignores_image else image[:, 0]
