"""Learner: how one kind of policy learns, which the loop asks for one round after the other."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import torch
from torch import nn

from mrikit.acquire.episodes import Episodes
from mrikit.acquire.policies.policy import Policy
from mrikit.errors import CheckpointError


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

    @property
    def policy(self) -> Policy:
        """As it is by now, and as `mrikit acquire` will use it: without exploration."""
        ...

    @property
    def network(self) -> nn.Module:
        """Its weights, which the run's weights file keeps."""
        ...

    def round(self, episodes: Episodes) -> Round:
        """Play the next steps of some episodes and learn from them.

        Args:
            episodes: Of the training slices; the learner begins new ones where they are over. The loop saves and
                restores those under way.

        Raises:
            DataError: A loss is not finite.
        """
        ...

    def state(self) -> dict[str, torch.Tensor]:
        """All that it needs to go on, by name: weights, moments, replay, counts."""
        ...

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from what `state` gave.

        Raises:
            CheckpointError: Something is missing, or of another shape.
        """
        ...


def require_alike(state: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> None:
    """Refuse a state that lacks a tensor, or has one of another shape.

    Raises:
        CheckpointError: It does.
    """
    for name, value in wanted.items():
        found = state.get(name)
        if found is None or found.shape != value.shape:
            what = "missing" if found is None else f"of shape {tuple(found.shape)}, not {tuple(value.shape)}"
            raise CheckpointError(f"the checkpoint's {name} is {what}; go on with the settings it was made with")
