"""What a kind of mask is, and what it draws."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mrikit.errors import ConfigError

Shape = tuple[int, int]
"""(readout, phase) of k-space."""


class Drawn(NamedTuple):
    """What a kind draws."""

    samples: npt.NDArray[np.bool_]
    """(phase,) for lines, (readout, phase) for a 2-D pattern; True where measured."""
    center: tuple[int, ...]
    """Size of the fully sampled middle along each axis of the samples."""
    offset: int | None = None
    """First line of a regular pattern."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """How much is sampled: what every kind is asked for."""

    acceleration: float
    """Nominal acceleration, at least 1."""
    center_fraction: float
    """Share of the columns, and of the rows of a 2-D pattern, that are fully sampled in the middle."""
    first_column: int = 0
    """The first phase column that the scanner acquired, for kinds whose lines go by it."""

    def num_center(self, size: int) -> int:
        """Fully sampled columns, or rows, of so many."""
        return round(size * self.center_fraction)

    def num_outside(self, center: npt.NDArray[np.bool_]) -> int:
        """Samples that are left for outside the centre, so that all together are as many as asked for.

        Raises:
            ConfigError: The centre alone has more.
        """
        num_samples, num_center = max(round(center.size / self.acceleration), 1), int(center.sum())
        if num_center > num_samples:
            raise ConfigError(
                f"the centre alone has {num_center} samples, but acceleration {self.acceleration:g} allows "
                f"{num_samples} of {center.size}; a smaller centre or a lower acceleration would do"
            )
        return num_samples - num_center


@dataclass(frozen=True, kw_only=True, slots=True)
class NoSettings:
    """Of a kind that has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A family of sampling patterns."""

    draw: Callable[[Shape, Budget, Any, np.random.RandomState], Drawn]
    """From the shape of k-space, the budget, the kind's settings and a source of random choices."""
    summary: str
    """What it draws, in a few words."""
    settings: type = NoSettings
    """A dataclass of its own settings, all with defaults."""
    is_2d: bool = False
    """Whether it draws (readout, phase) patterns; else (phase,) lines."""
    has_whole_steps: bool = False
    """Whether only whole accelerations make sense."""
