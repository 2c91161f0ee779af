"""Poisson-disc patterns: random points that keep a distance, which grows away from the centre.

One of (1 + slope * r)^2 samples is taken, where r is how far it lies beyond the fully sampled centre: 0 at its rim, 1
at the end of either axis. Points are thrown in random order, and each keeps the distance at which such throws come to
rest with that density (random sequential adsorption: 0.697 points in the area of a squared distance). Where the axes
have different sizes, discs are ellipses of the same shape as k-space. The middle of a disc lies anywhere in its
sample, else the density would jump where one more ring of samples is covered; points may so be nearer by half a
sample.

Source:
    The density law is that of `sigpy.mri.poisson` and BART's `poisson`; Feder, Random sequential adsorption, J. Theor.
    Biol. 87:237 (1980).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrikit.errors import ConfigError
from mrikit.masks.kinds.center import center_rectangle, center_size, require_center
from mrikit.masks.kinds.kind import Budget, Drawn, Shape

_JAMMED, _GRID = 0.835, 0.2  # disc = 0.835 * spacing - 0.2: the root of 0.697, and what samples add, as measured
_LEVELS = 16  # spacings are multiples of 1 / 16 of a sample, so that few discs serve all points
_OFFSETS = (-0.375, -0.125, 0.125, 0.375)  # of the middle of a disc, along each axis
_MOST_EXCESS = 0.04  # share of the points that may be taken away again to meet the number
_MOST_THROWS = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class PoissonSettings:
    """Settings of `poisson_disc`."""

    center: tuple[int, ...] = ()
    """Rows and columns that are fully sampled in the middle; the centre fraction of both if empty."""
    has_corners: bool = False
    """Whether the corners of k-space, outside the ellipse, are sampled too."""

    def __post_init__(self) -> None:
        require_center(self.center)


def pattern(shape: Shape, budget: Budget, settings: PoissonSettings, rng: np.random.RandomState) -> Drawn:
    """As many points as asked for, no two nearer than the smaller of their distances.

    Raises:
        ConfigError: The centre alone exceeds the budget, or the ellipse has fewer points than asked for.
    """
    size = center_size(shape, budget, settings.center)
    center = center_rectangle(shape, size)
    num_points = budget.num_outside(center)
    beyond = np.hypot.outer(_beyond(shape[0], size[0]), _beyond(shape[1], size[1]))
    is_open = ~center & (settings.has_corners | (beyond < 1))
    if num_points > is_open.sum():
        raise ConfigError(
            f"poisson_disc leaves out the corners: {num_points} points do not fit beside the centre, only "
            f"{is_open.sum()} do; a higher acceleration or has_corners=true would do"
        )
    points = _fit(is_open, beyond, num_points, rng)
    samples = center.ravel()
    samples[rng.permutation(points)[:num_points]] = True
    return Drawn(samples.reshape(shape), size)


def _beyond(size: int, num_center: int) -> npt.NDArray[np.float64]:
    """Distance from the rim of the centre, relative to the end of the axis."""
    distance = np.maximum(np.abs(np.arange(size) - size // 2) - num_center / 2, 0.0)
    relative: npt.NDArray[np.float64] = distance / max(float(distance.max()), 1.0)
    return relative


def _fit(
    is_open: npt.NDArray[np.bool_], beyond: npt.NDArray[np.float64], num_points: int, rng: np.random.RandomState
) -> npt.NDArray[np.int64]:
    """Flat places of `num_points` points or a few more: the slope is searched, as the number falls with it."""
    order = rng.permutation(np.flatnonzero(is_open))
    offsets = rng.randint(len(_OFFSETS) ** 2, size=len(order))
    flat, steep = 0.0, float(sum(is_open.shape))  # slopes with enough points, and with too few
    points, share = order, 1.0
    for _ in range(_MOST_THROWS):
        if len(points) <= num_points * (1 + _MOST_EXCESS):
            break
        slope = _expected_slope(is_open, beyond, num_points * (1 + _MOST_EXCESS / 2) / share)
        if not flat < slope < steep:
            slope = (flat + steep) / 2
        thrown = _throw(order, offsets, is_open.shape, 1 + slope * beyond.ravel()[order])
        share = len(thrown) / _expected(is_open, beyond, slope)
        if len(thrown) >= num_points:
            points, flat = thrown, slope
        else:
            steep = slope
    return points


def _expected(is_open: npt.NDArray[np.bool_], beyond: npt.NDArray[np.float64], slope: float) -> float:
    """How many points the density law gives."""
    rows, columns = _spacings(is_open.shape, 1 + slope * beyond[is_open])
    return float((1 / (rows * columns)).sum())


def _expected_slope(is_open: npt.NDArray[np.bool_], beyond: npt.NDArray[np.float64], num_points: float) -> float:
    """The slope whose law gives so many points, by bisection."""
    low, high = 0.0, float(sum(is_open.shape))
    for _ in range(20):
        middle = (low + high) / 2
        if _expected(is_open, beyond, middle) > num_points:
            low = middle
        else:
            high = middle
    return high


def _throw(
    order: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    shape: tuple[int, ...],
    spacing: npt.NDArray[np.float64],
) -> npt.NDArray[np.int64]:
    """Places, in this order, each taken unless it lies in the disc of one that was taken before."""
    levels, which = np.unique(np.rint(spacing * _LEVELS) / _LEVELS, return_inverse=True)
    kept = [_outside(shape, level) for level in levels.tolist()]
    pad_rows, pad_columns = (max(discs[0].shape[axis] for discs in kept) // 2 for axis in (0, 1))
    is_free = np.ones((shape[0] + 2 * pad_rows, shape[1] + 2 * pad_columns), bool)
    rows, columns = np.unravel_index(order, shape)
    taken = []
    # One after the other by definition; a second for a slice of 640 x 368.
    for place, row, column, level, offset in zip(
        *(one.tolist() for one in (order, rows, columns, which, offsets)), strict=True
    ):
        if is_free[row + pad_rows, column + pad_columns]:
            outside = kept[level][offset]
            height, width = outside.shape
            top, left = row + pad_rows - height // 2, column + pad_columns - width // 2
            is_free[top : top + height, left : left + width] &= outside
            taken.append(place)
    return np.array(taken, np.int64)


def _outside(shape: tuple[int, ...], spacing: float) -> list[npt.NDArray[np.bool_]]:
    """(odd, odd) bool for each place of the middle, False where a sample lies in the disc."""
    rows, columns = (_JAMMED * float(one) - _GRID for one in _spacings(shape, np.array(spacing)))
    y, x = (np.arange(-int(radius + 0.5), int(radius + 0.5) + 1) for radius in (rows, columns))
    return [np.hypot.outer((y - down) / rows, (x - right) / columns) >= 1 for down in _OFFSETS for right in _OFFSETS]


def _spacings(
    shape: tuple[int, ...], spacing: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Samples from one point to the next along the readout and along the phase, at least 1."""
    rows, columns = (np.maximum(spacing * (size / max(shape)), 1.0) for size in shape)
    return rows, columns
