"""Variable density: samples thin out with the distance from the centre.

The chance of a sample at relative distance r is proportional to (1 - r)^power, at most 1. Exactly as many are drawn as
the acceleration asks for, the centre included.

Source:
    Lustig et al., Sparse MRI, MRM 58:1182 (2007), section "Sampling".
"""

from dataclasses import dataclass

import numpy as np

from mrikit.errors import ConfigError
from mrikit.masks.kinds.center import center_block, center_rectangle, center_size, require_center
from mrikit.masks.kinds.density import draw_by_density, relative_distance
from mrikit.masks.kinds.kind import Budget, Drawn, Shape


@dataclass(frozen=True, kw_only=True, slots=True)
class LineSettings:
    """Settings of `variable_density`."""

    power: float = 2.0
    """How fast the density falls, at least 0; 0 is uniform."""

    def __post_init__(self) -> None:
        _require_power(self.power)


@dataclass(frozen=True, kw_only=True, slots=True)
class PatternSettings:
    """Settings of `variable_density_2d`."""

    power: float = 2.0
    """How fast the density falls, at least 0; 0 is uniform."""
    center: tuple[int, ...] = ()
    """Rows and columns that are fully sampled in the middle; the centre fraction of both if empty."""

    def __post_init__(self) -> None:
        _require_power(self.power)
        require_center(self.center)


def lines(shape: Shape, budget: Budget, settings: LineSettings, rng: np.random.RandomState) -> Drawn:
    """Columns that are denser towards the middle."""
    center = center_block(shape[1], budget.num_center(shape[1]))
    density = (1 - relative_distance(shape[1])) ** settings.power
    return Drawn(draw_by_density(center, density, budget, rng), (int(center.sum()),))


def pattern(shape: Shape, budget: Budget, settings: PatternSettings, rng: np.random.RandomState) -> Drawn:
    """Points that are denser towards the middle."""
    size = center_size(shape, budget, settings.center)
    distance = np.hypot.outer(*map(relative_distance, shape)) / np.sqrt(2)
    samples = draw_by_density(center_rectangle(shape, size), (1 - distance) ** settings.power, budget, rng)
    return Drawn(samples, size)


def _require_power(power: float) -> None:
    if not 0 <= power < float("inf"):
        raise ConfigError(f"the power of a variable density is 0 or more, found {power:g}")
