"""Gaussian density: samples thin out as a Gaussian around the centre.

The chance of a sample at distance r from the middle is proportional to exp(-r^2 / (2 sigma^2)), at most 1, where the
ends of an axis are at distance 1. Exactly as many are drawn as the acceleration asks for, the centre included.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrikit.errors import ConfigError
from mrikit.masks.kinds.center import center_block, center_rectangle, center_size, require_center
from mrikit.masks.kinds.density import draw_by_density, relative_distance
from mrikit.masks.kinds.kind import Budget, Drawn, Shape

_LEAST = 1e-200  # far out, where a narrow Gaussian would round to 0 and could fill no budget


@dataclass(frozen=True, kw_only=True, slots=True)
class LineSettings:
    """Settings of `gaussian`."""

    sigma: float = 0.35
    """Standard deviation, as a share of the distance from the middle to the ends."""

    def __post_init__(self) -> None:
        _require_sigma(self.sigma)


@dataclass(frozen=True, kw_only=True, slots=True)
class PatternSettings:
    """Settings of `gaussian_2d`."""

    sigma: float = 0.35
    """Standard deviation, as a share of the distance from the middle to the ends of each axis."""
    center: tuple[int, ...] = ()
    """Rows and columns that are fully sampled in the middle; the centre fraction of both if empty."""

    def __post_init__(self) -> None:
        _require_sigma(self.sigma)
        require_center(self.center)


def lines(shape: Shape, budget: Budget, settings: LineSettings, rng: np.random.RandomState) -> Drawn:
    """Columns as dense as a Gaussian around the middle one."""
    center = center_block(shape[1], budget.num_center(shape[1]))
    density = _density(relative_distance(shape[1]), settings.sigma)
    return Drawn(draw_by_density(center, density, budget, rng), (int(center.sum()),))


def pattern(shape: Shape, budget: Budget, settings: PatternSettings, rng: np.random.RandomState) -> Drawn:
    """Points as dense as a Gaussian around the middle."""
    size = center_size(shape, budget, settings.center)
    distance = np.hypot.outer(*map(relative_distance, shape))
    samples = draw_by_density(center_rectangle(shape, size), _density(distance, settings.sigma), budget, rng)
    return Drawn(samples, size)


def _density(distance: npt.NDArray[np.float64], sigma: float) -> npt.NDArray[np.float64]:
    density: npt.NDArray[np.float64] = np.maximum(np.exp(-((distance / sigma) ** 2) / 2), _LEAST)
    return density


def _require_sigma(sigma: float) -> None:
    if not 0 < sigma < float("inf"):
        raise ConfigError(f"the sigma of a Gaussian density is above 0, found {sigma:g}")
