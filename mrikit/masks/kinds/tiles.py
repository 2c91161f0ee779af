"""Regular patterns: every so many lines or samples, CAIPIRINHA, and a random tile that repeats.

They are the fixed masks of the learned-sampling study, generalised from its one of four samples to any whole
acceleration, and bit for bit its own with `is_whole`. There the ACS comes on top, and more is sampled than the
acceleration says. Here all samples together are exactly as many as asked for, to one sample.

What is too many is then taken from the outside: parallel imaging needs a pattern without holes, and the corners of
k-space hold least of the image. Scanners cut the same corners (elliptical shutter). Lines would lose resolution along
one direction only, and much of it, so these first move apart, by whole steps. A pattern that has too few samples, as
where a tile is cut at the rim, is filled up from the rim: samples in the middle would be an ACS that nobody asked for.

Source:
    Breuer et al., Controlled aliasing in volumetric parallel imaging (2D CAIPIRINHA), MRM 55:549 (2006).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrikit.errors import ConfigError
from mrikit.masks.kinds.acs import LineAcs, PatternAcs
from mrikit.masks.kinds.center import center_block, center_rectangle
from mrikit.masks.kinds.kind import Budget, Drawn, Shape
from mrikit.masks.mask import center_of
from mrikit.masks.mask import center_size as sampled_size

_LARGEST_SEED = 2**32 - 1  # numpy's RandomState takes no larger one


@dataclass(frozen=True, kw_only=True, slots=True)
class UniformSettings(LineAcs):
    """Settings of `uniform`."""

    is_centered: bool = False
    """Whether the middle column is one of them; else the first one is, as in the study."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LatticeSettings(PatternAcs):
    """Settings of `uniform_2d`."""

    steps: tuple[int, ...] = ()
    """From one sampled row to the next, and from one column to the next; their product is the acceleration. If empty
    as equal as can be, the columns farther apart: 2,2 at 4x, 2,4 at 8x."""
    tile: tuple[int, ...] = ()
    """Rows and columns of the piece that is repeated, where steps begin anew; all of k-space if empty."""
    is_centered: bool = False
    """Whether the middle of k-space is sampled; else its corner is, as in the study."""

    def __post_init__(self) -> None:
        PatternAcs.__post_init__(self)
        require_sizes("steps", self.steps, "2,4")
        require_sizes("tile", self.tile, "4,4")


@dataclass(frozen=True, kw_only=True, slots=True)
class CaipirinhaSettings(LatticeSettings):
    """Settings of `caipirinha`."""

    shift: int = -1
    """How far the samples of one line lie beyond those of the one before, along the longer of both steps (columns of a
    row), or along the readout if they are equal (rows of a column); half a step if -1."""

    def __post_init__(self) -> None:
        LatticeSettings.__post_init__(self)
        if self.shift < -1:
            raise ConfigError(f"the shift of caipirinha is 0 or more, or -1 for half a step; found {self.shift}")


@dataclass(frozen=True, kw_only=True, slots=True)
class RandomTileSettings(PatternAcs):
    """Settings of `random_tile`."""

    seed: int = 0
    """Which tile: the same seed gives the same one to every slice, so that a sweep can look for the best."""
    tile: tuple[int, ...] = (4, 4)
    """Its rows and columns."""

    def __post_init__(self) -> None:
        PatternAcs.__post_init__(self)
        if not 0 <= self.seed <= _LARGEST_SEED:
            raise ConfigError(f"the seed of a random tile is in [0, {_LARGEST_SEED}], found {self.seed}")
        require_sizes("tile", self.tile, "4,4")
        if not self.tile:
            raise ConfigError("a random tile has rows and columns, such as tile=4,4; found none")


def uniform(shape: Shape, budget: Budget, settings: UniformSettings, _rng: np.random.RandomState) -> Drawn:
    """Every R-th column.

    Raises:
        ConfigError: The centre alone exceeds the budget, or k-space.
    """
    width, step = shape[1], round(budget.acceleration)
    num_center = settings.size(shape, budget)
    center = center_block(width, num_center)
    origin = width // 2 if settings.is_centered else 0

    def lines(step: int) -> npt.NDArray[np.bool_]:
        sampled: npt.NDArray[np.bool_] = (np.arange(width) - origin) % step == 0
        return sampled

    if settings.is_whole:
        samples = center | lines(step)
    else:
        # The coarsest lattice with enough lines outside the centre: the fewest then have to go at both ends.
        num_outside = budget.num_outside(center)
        while step < width and (lines(step + 1) & ~center).sum() >= max(num_outside, 1):
            step += 1
        samples = fit_samples(lines(step), center, num_outside)
    return Drawn(samples, (num_center or sampled_size(samples),), origin % step)


def uniform_2d(shape: Shape, budget: Budget, settings: LatticeSettings, _rng: np.random.RandomState) -> Drawn:
    """Every so many rows and columns.

    Raises:
        ConfigError: The steps are of another acceleration, or the centre alone exceeds the budget, or k-space.
    """
    row_step, column_step = _steps(settings.steps, budget.acceleration)
    rows, columns = _places(shape, settings)
    return _with_center(np.logical_and.outer(rows % row_step == 0, columns % column_step == 0), budget, settings)


def caipirinha(shape: Shape, budget: Budget, settings: CaipirinhaSettings, _rng: np.random.RandomState) -> Drawn:
    """Every so many rows and columns, each line shifted against the one before.

    Raises:
        ConfigError: The steps are of another acceleration, or the centre alone exceeds the budget, or k-space.
    """
    steps = _steps(settings.steps, budget.acceleration)
    shift = max(steps) // 2 if settings.shift == -1 else settings.shift
    rows, columns = _places(shape, settings)
    if steps[1] > steps[0]:
        return _with_center(_sheared(rows, columns, steps, shift), budget, settings)
    return _with_center(_sheared(columns, rows, steps[::-1], shift).T, budget, settings)


def random_tile(shape: Shape, budget: Budget, settings: RandomTileSettings, _rng: np.random.RandomState) -> Drawn:
    """A tile with samples at random places, repeated over k-space.

    Raises:
        ConfigError: The centre alone exceeds the budget, or k-space.
    """
    height, width = settings.tile
    values = np.zeros(height * width, bool)
    values[-math.ceil(values.size / budget.acceleration) :] = True
    np.random.RandomState(settings.seed).shuffle(values)
    return _with_center(lay_tile(values.reshape(height, width), shape), budget, settings)


def lay_tile(tile: npt.NDArray[np.bool_], shape: Shape) -> npt.NDArray[np.bool_]:
    """A tile repeated from the corner of k-space on, cut at its ends: (readout, phase) bool."""
    return tile[np.ix_(*(np.arange(size) % part for size, part in zip(shape, tile.shape, strict=True)))]


def fit_samples(
    pattern: npt.NDArray[np.bool_], center: npt.NDArray[np.bool_], num_outside: int
) -> npt.NDArray[np.bool_]:
    """The centre and exactly so many samples around it.

    Args:
        pattern: (phase,) or (readout, phase) bool, the samples to choose from. Those farthest from the middle are left
            out, distances being relative to the size of each axis; where there are too few, the farthest of the others
            are added.
        center: Of the same shape, fully sampled.
        num_outside: At most as many as lie outside the centre.
    """
    distance = squared_distance(pattern.shape)
    # The centre first, then the pattern from the middle outwards, then the rest from the rim inwards.
    order = np.where(pattern, distance, -distance)
    rank = np.lexsort((order.ravel(), ~pattern.ravel(), ~center.ravel()))
    samples = np.zeros(pattern.size, bool)
    samples[rank[: int(center.sum()) + num_outside]] = True
    return samples.reshape(pattern.shape)


def squared_distance(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Of each place of k-space from the middle, squared and relative to the size of each axis, of this shape."""
    axes = np.ogrid[tuple(slice(size) for size in shape)]
    return np.asarray(sum(((axis - size // 2) / size) ** 2 for axis, size in zip(axes, shape, strict=True)))


def require_sizes(name: str, sizes: tuple[int, ...], example: str) -> None:
    """Check a setting of rows and columns, which may be empty.

    Raises:
        ConfigError: It is not two sizes from 1.
    """
    if sizes and (len(sizes) != 2 or min(sizes) < 1):
        raise ConfigError(f"{name} are for rows and columns, such as {example}; found {','.join(map(str, sizes))}")


def _steps(steps: tuple[int, ...], acceleration: float) -> tuple[int, int]:
    whole = round(acceleration)
    if not steps:
        rows = max(step for step in range(1, math.isqrt(whole) + 1) if whole % step == 0)
        return rows, whole // rows
    rows, columns = steps
    if rows * columns != whole:
        raise ConfigError(
            f"steps of {rows} x {columns} are acceleration {rows * columns}, but {whole} is asked for; change one"
        )
    return rows, columns


def _places(shape: Shape, settings: LatticeSettings) -> list[npt.NDArray[np.int64]]:
    """How far each row and column lies from where the lattice begins, or begins anew."""
    tile = settings.tile or (0, 0)
    starts = [size // 2 if settings.is_centered else 0 for size in shape]
    places = [np.arange(size) - start for size, start in zip(shape, starts, strict=True)]
    return [place % size if size else place for place, size in zip(places, tile, strict=True)]


def _sheared(
    lines: npt.NDArray[np.int64], along: npt.NDArray[np.int64], steps: tuple[int, int], shift: int
) -> npt.NDArray[np.bool_]:
    """(lines, along) bool: every so many lines, with samples along it that move on by the shift from line to line."""
    moved = along - shift * (lines[:, None] // steps[0])
    sampled: npt.NDArray[np.bool_] = (lines[:, None] % steps[0] == 0) & (moved % steps[1] == 0)
    return sampled


def _with_center(pattern: npt.NDArray[np.bool_], budget: Budget, settings: PatternAcs) -> Drawn:
    shape = (pattern.shape[0], pattern.shape[1])
    size = settings.size(shape, budget)
    center = center_rectangle(shape, size)
    samples = pattern | center if settings.is_whole else fit_samples(pattern, center, budget.num_outside(center))
    return Drawn(samples, center_of(samples) if settings.acs == "none" else size)
