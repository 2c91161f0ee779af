"""Adaptive acquisition: a method measures some lines, looks at what they show, and says which lines come next."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch

from mrikit.models.output import Output
from mrikit.physics.sampling import keep
from mrikit.randomness import Key, generator

Measure = Callable[[torch.Tensor], torch.Tensor]
"""The scanner: a mask (batch, 1, 1, phase), bool or float32 of 0 and 1, to the (batch, coil, readout, phase) complex64
k-space that it measures, +0.0 elsewhere. With a float mask it is differentiable in it."""

Draw = Callable[[int], np.ndarray[Any, np.dtype[np.float32]]]
"""The chance of one batch element: a number n to the next (n,) float32 uniform numbers in [0, 1)."""


class AdaptiveMethod(Protocol):
    """A method that chooses its lines while it measures."""

    def acquire(self, measure: Measure, start: torch.Tensor, draws: Sequence[Draw]) -> Output:
        """Measure, decide, measure again until the budget is spent; and reconstruct.

        Args:
            measure: What the scanner gives for a mask. A later mask holds the lines of the earlier ones too.
            start: (batch, 1, 1, phase) bool, the lines measured before the first decision, such as the centre.
            draws: One for each batch element. Decisions depend on nothing else that is random.

        Returns:
            The image, and these `extras`: `mask` (batch, 1, 1, phase) float32 0 or 1, the lines measured in the end;
            `masks` (1 + num_decisions, batch, phase) float32, at the start and after each decision; `probabilities`
            (num_decisions, batch, phase) float32 in [0, 1], how likely each line was to be chosen, 0 if already taken.
        """
        ...


def scan_of(kspace: torch.Tensor) -> Measure:
    """A scanner that measures k-space known already: (batch, coil, readout, phase) complex64, fully sampled."""
    return partial(keep, kspace)


def keyed_draws(keys: Iterable[Key]) -> list[Draw]:
    """Draws that depend on keys alone, one for each batch element.

    Args:
        keys: In training a seed with epoch and sample; in reconstruction a volume and a slice.
    """
    return [partial(_draw, generator(*key)) for key in keys]


def _draw(chance: np.random.Generator, number: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return chance.random(number, dtype=np.float32)
