"""Learner: how one kind of policy learns, which the loop asks for one round after the other."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import torch
from torch import nn

from mrikit.acquire.episodes import Episodes
from mrikit.acquire.policies.policy import Policy


class Round(NamedTuple):
    """What one round of learning came to."""

    num_steps: int
    """Lines that were chosen in it."""
    numbers: Mapping[str, float]
    """Means for the row of `metrics.jsonl`, such as `loss`, `reward`, `exploration`."""


class Learner(Protocol):
    """A policy that learns from episodes.

    Everything random in it is a function of the run's seed and of what it has counted, so that a run that goes on from
    `state` draws what an unbroken one draws, to the bit on one CPU.
    """

    policy: Policy
    """As it is by now, and as `mrikit acquire` will use it: without exploration."""
    network: nn.Module
    """Its weights, which the run's weights file keeps."""

    def round(self, episodes: Episodes) -> Round:
        """Play the next steps of some episodes and learn from them.

        Args:
            episodes: Of the training slices; the learner begins new ones where they are over.

        Raises:
            DataError: A loss is not finite.
        """
        ...

    def state(self) -> dict[str, torch.Tensor]:
        """All that it needs to go on, by name: weights, moments, replay, counts, and the episodes under way."""
        ...

    def restore(self, state: Mapping[str, torch.Tensor], episodes: Episodes) -> None:
        """Go on from what `state` gave.

        Raises:
            CheckpointError: Something is missing, or of another shape.
        """
        ...
