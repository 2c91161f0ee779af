"""Policy: what is seen of some episodes to one line for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from mrikit.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """What is known of a batch of episodes before the next line."""

    reconstruction: torch.Tensor
    """(batch, channel, y, x) float32; one channel is the magnitude. A policy that `ignores_image` may get none."""
    mask: torch.Tensor
    """(batch, phase) bool, True where measured."""
    is_free: torch.Tensor
    """(batch, phase) bool, lines that may be chosen: not measured, and the scanner can measure them."""
    num_decisions: torch.Tensor
    """(batch,) int64, lines chosen in this episode so far; the given ones do not count."""
    kspace: torch.Tensor | None = None
    """(batch, coil, readout, phase) complex64 of a reconstructor that fills k-space; None of others."""

    def __post_init__(self) -> None:
        for name, mask in (("mask", self.mask), ("is_free", self.is_free)):
            if mask.ndim != 2 or mask.dtype != torch.bool or mask.shape != self.mask.shape:
                raise DataError(f"a policy needs {name} (batch, phase) bool, found {tuple(mask.shape)} {mask.dtype}")
        batch = len(self.mask)
        if len(self.reconstruction) != batch or tuple(self.num_decisions.shape) != (batch,):
            raise DataError(
                f"a policy needs as many images and counts as masks, {batch}; found {len(self.reconstruction)} images "
                f"and counts of shape {tuple(self.num_decisions.shape)}"
            )
        if self.kspace is not None and len(self.kspace) != batch:
            raise DataError(f"a policy needs k-space of as many episodes as masks, {batch}; found {len(self.kspace)}")


class Policy(Protocol):
    """A rule that chooses the next line of each episode.

    It keeps nothing from call to call: what it chooses for one episode depends on that episode's part of the
    observation and on that episode's generator alone, in whatever batch it comes.

    Two more attributes are looked for. `ignores_image`, True of a policy that never looks at the reconstruction, spares
    making it. `probabilities(observation)`, a (batch, phase) float32, is how likely each line is chosen; a policy
    without it chooses its line for certain.
    """

    def choose(self, observation: Observation, generators: Sequence[np.random.Generator]) -> torch.Tensor:
        """One free line for each episode.

        Args:
            observation: Of a batch of episodes, each with a free line.
            generators: One for each episode, such as `mrikit.randomness.generator(seed, volume, slice_index)`; numbers
                are drawn from it in the order of the decisions.

        Returns:
            (batch,) int64, on the device of the mask.

        Raises:
            DataError: An episode without a free line.
        """
        ...


def line_chances(policy: Policy, observation: Observation, lines: torch.Tensor) -> torch.Tensor:
    """How likely each line was to be chosen.

    Args:
        policy: Of whose `probabilities` it is told, if it has any.
        observation: As it was before the choice.
        lines: (batch,) int64, what was chosen.

    Returns:
        (batch, phase) float32; without `probabilities` 1 on the chosen line.
    """
    told = getattr(policy, "probabilities", None)
    if told is not None:
        chances: torch.Tensor = told(observation)
        return chances
    return torch.nn.functional.one_hot(lines, observation.mask.shape[-1]).float()


def first_free(is_free: torch.Tensor, orders: torch.Tensor) -> torch.Tensor:
    """The first free line of each order.

    Args:
        is_free: (batch, phase) bool.
        orders: (batch, num_lines) int64, columns.

    Returns:
        (batch,) int64.

    Raises:
        DataError: No line of an order is free.
    """
    found = is_free.gather(-1, orders)
    if not bool(found.any(-1).all()):
        raise DataError(
            f"no line is free in an order of {orders.shape[-1]} lines; a smaller budget or a longer order would do"
        )
    return orders.gather(-1, found.int().argmax(-1, keepdim=True))[:, 0]


def from_center(width: int, device: torch.device | None = None) -> torch.Tensor:
    """(phase,) int64 columns from the middle outwards, of two as far the one of positive frequency first."""
    frequency = torch.arange(width, device=device) - width // 2
    return torch.argsort(2 * frequency.abs() + (frequency < 0), stable=True)


def require_free(is_free: torch.Tensor) -> None:
    """Refuse (batch, phase) bool of which a row is False throughout.

    Raises:
        DataError: There is such a row.
    """
    if not bool(is_free.any(-1).all()):
        raise DataError(f"none of the {is_free.shape[-1]} lines of an episode is free; a smaller budget would do")


def frequencies(width: int, *, is_centered: bool) -> torch.Tensor:
    """(phase,) int64 frequency of each column, 0 in the middle if centred, else in column 0."""
    centered = torch.arange(width) - width // 2
    return centered if is_centered else torch.fft.ifftshift(centered)
