"""How many samples a sampler has, which of them are its centre, and in which order equals are taken.

A sampler chooses on a grid: (1, phase) for lines, else (readout, phase). Its budget is that of every mask kind,
round(grid / acceleration), and the centre is part of it. The entries that it learns are the grid itself, or a tile that
is repeated over the grid and cropped.

The samples outside the centre are taken in the order of their scores until the budget is spent. Of a tile as many
entries are chosen as the budget needs, the best first, and of all their samples those nearest to the middle of k-space
are taken, as fixed tiles are laid out; of nested tiles each entry is exhausted before the next. So the number is exact
to one sample whatever the sizes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrikit.errors import ConfigError
from mrikit.masks.kinds import Budget
from mrikit.masks.kinds.acs import study_lines
from mrikit.masks.kinds.center import center_rectangle
from mrikit.masks.kinds.tiles import squared_distance
from mrikit.masks.mask import block_order
from mrikit.models.samplers.config import SamplerConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class GridBudget:
    """What one acceleration allows."""

    num_samples: int
    """Samples of the grid, the centre among them."""
    center: npt.NDArray[np.bool_]
    """(1 or readout, phase), True where always sampled."""


def grid_shape(config: SamplerConfig) -> tuple[int, int]:
    """(1, phase) for lines, else (readout, phase).

    Raises:
        ConfigError: The shape of k-space is not set.
    """
    if not config.shape:
        raise ConfigError("a sampler needs the (readout, phase) of its k-space; sampler.shape is empty")
    readout, phase = config.shape
    return (1 if config.kind == "lines" else readout), phase


def entry_shape(config: SamplerConfig) -> tuple[int, int]:
    """Rows and columns of what is learned: a tile, or the grid."""
    return (config.tile[0], config.tile[1]) if config.kind == "tile" else grid_shape(config)


def grid_budgets(config: SamplerConfig, accelerations: Sequence[float]) -> list[GridBudget]:
    """The budget of each acceleration.

    Raises:
        ConfigError: An acceleration out of range, or a centre that exceeds k-space or the budget, or more
            steps than samples.
    """
    grid = grid_shape(config)
    size = grid[0] * grid[1]
    budgets = []
    for acceleration in accelerations:
        if not 1 <= acceleration <= size:
            raise ConfigError(f"acceleration must be in [1, {size}] for {size} samples, found {acceleration:g}")
        center = _center(config, grid, num_acs(config, max(accelerations) if config.is_nested else acceleration))
        if config.keeps_ties:
            num_samples = int(size / acceleration)
        else:
            outside = Budget(acceleration=acceleration, center_fraction=0).num_outside(center)
            num_samples = outside + int(center.sum())
            if config.num_steps > outside and not center.any():  # the first step would have nothing
                raise ConfigError(
                    f"sampler.num_steps={config.num_steps}, but acceleration {acceleration:g} leaves {outside} samples "
                    f"to take and no centre to begin with; at most {outside} steps would do"
                )
        budgets.append(GridBudget(num_samples=num_samples, center=center))
    return budgets


def num_acs(config: SamplerConfig, acceleration: float) -> int:
    """Columns of the centre, and rows of a square one: as set, or the study's."""
    return config.num_acs or study_lines(acceleration)


def study_centers(
    config: SamplerConfig, accelerations: Sequence[float], budgets: Sequence[GridBudget]
) -> npt.NDArray[np.bool_]:
    """(acceleration, entry rows, entry columns) bool, True where the study gives an entry the probability 1.

    The centre of a grid is among its entries. That of an image is none of a tile's, but for the fault `acs_in_tile`.
    """
    if config.kind != "tile":
        return np.stack([one.center for one in budgets])
    centers = np.zeros((len(budgets), *entry_shape(config)), bool)
    for center, acceleration in zip(centers, accelerations, strict=True):
        half = num_acs(config, acceleration) // 2
        # A start below 0 counts from the end, as in the study.
        rows, columns = (slice(size // 2 - half, size // 2 + half + 1) for size in config.tile)
        center[rows if config.acs == "square" else slice(None), columns] = config.acs_in_tile
    return centers


def entries_kept(config: SamplerConfig, budget: GridBudget) -> int:
    """Entries that the study keeps: the budget's share of them, rounded up."""
    rows, columns = entry_shape(config)
    return -(-rows * columns * budget.num_samples // budget.center.size)


def from_middle(grid: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Flat places of the grid, the nearest to the middle of k-space first."""
    return np.argsort(squared_distance(grid), axis=None, kind="stable")


def rings(grid: tuple[int, int]) -> npt.NDArray[np.int64]:
    """(1 or readout, phase) number of the ring about the middle, as blocks grow in `mrikit.masks.mask.block_order`.

    A mask without a gap in rings 0 to n - 1 has a centre of size n.
    """
    rows, columns = (np.argsort(block_order(size)) for size in grid)
    # A single row is lines, whose blocks grow along the phase alone.
    return np.broadcast_to(columns, grid).copy() if grid[0] == 1 else np.maximum.outer(rows, columns)


def _center(config: SamplerConfig, grid: tuple[int, int], lines: int) -> npt.NDArray[np.bool_]:
    if config.acs == "none":
        return np.zeros(grid, bool)
    rows = lines if config.acs == "square" and config.kind != "lines" else grid[0]
    if rows > grid[0] or lines > grid[1]:
        sizes = " x ".join(map(str, grid))
        raise ConfigError(f"a centre of {lines} lines does not fit into {sizes} samples; sampler.num_acs sets fewer")
    return center_rectangle(grid, (rows, lines))
