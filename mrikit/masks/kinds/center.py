"""The fully sampled middle of k-space, and the mask that is nothing else."""

import numpy as np
import numpy.typing as npt

from mrikit.errors import ConfigError
from mrikit.masks.kinds.kind import Budget, Drawn, NoSettings, Shape


def center(shape: Shape, budget: Budget, _settings: NoSettings, _rng: np.random.RandomState) -> Drawn:
    """The middle columns, as many as the acceleration allows."""
    least = center_block(shape[1], budget.num_center(shape[1]))
    num_lines = int(least.sum()) + budget.num_outside(least)
    return Drawn(center_block(shape[1], num_lines), (num_lines,))


def center_block(width: int, num_center: int) -> npt.NDArray[np.bool_]:
    """(phase,) bool with `num_center` columns set where fastMRI and the SNU challenge place them."""
    samples = np.zeros(width, bool)
    start = (width - num_center + 1) // 2
    samples[start : start + num_center] = True
    return samples


def center_rectangle(shape: Shape, size: Shape) -> npt.NDArray[np.bool_]:
    """(readout, phase) bool with `size` rows and columns set in the middle, placed as `center_block` does."""
    return np.logical_and.outer(center_block(shape[0], size[0]), center_block(shape[1], size[1]))


def center_size(shape: Shape, budget: Budget, center: tuple[int, ...]) -> Shape:
    """Rows and columns of the centre: as set, or the budget's share of both.

    Raises:
        ConfigError: It is larger than k-space.
    """
    rows, columns = center or tuple(map(budget.num_center, shape))
    if rows > shape[0] or columns > shape[1]:
        raise ConfigError(f"a centre of {rows} x {columns} does not fit into k-space of {shape[0]} x {shape[1]}")
    return rows, columns


def require_center(center: tuple[int, ...]) -> None:
    """Check the setting `center` of a 2-D kind.

    Raises:
        ConfigError: It is not two sizes.
    """
    if center and (len(center) != 2 or min(center) < 0):
        found = ",".join(map(str, center))
        raise ConfigError(f"the centre of a 2-D mask is rows and columns, such as 24,24; found {found}")
