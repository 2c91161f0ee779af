"""The three line masks of the SNU fastMRI challenge entry.

Every function takes (width, acceleration, center_fraction, rng) and returns (lines, num_center_lines, offset). The
challenge keeps 8 % of the columns in the middle at every acceleration and does not thin the rest to make up for it: at
width 368 its 4x is 3.23x and its 8x is 5.11x. The last column is never part of the regular lines.
"""

import numpy as np

from mrikit.masks.kinds.fastmri import center_block
from mrikit.masks.mask import Lines


def fixed(width: int, acceleration: float, center_fraction: float, _rng: np.random.RandomState) -> Lines:
    """Every R-th column such that the middle column is one of them."""
    return _regular(width, acceleration, center_fraction, (width // 2) % round(acceleration))


def random_offset(width: int, acceleration: float, center_fraction: float, rng: np.random.RandomState) -> Lines:
    """Every R-th column from a random offset."""
    return _regular(width, acceleration, center_fraction, rng.randint(0, round(acceleration)))


def random_spaced(width: int, acceleration: float, center_fraction: float, rng: np.random.RandomState) -> Lines:
    """One random column in every bin of R columns."""
    step = round(acceleration)
    num_center = round(width * center_fraction)
    lines = center_block(width, num_center)
    lines[np.arange(width // step) * step + rng.randint(0, step, size=width // step)] = True
    return lines, num_center, None


def _regular(width: int, acceleration: float, center_fraction: float, offset: int) -> Lines:
    num_center = round(width * center_fraction)
    lines = center_block(width, num_center)
    lines[offset : width - 1 : round(acceleration)] = True
    return lines, num_center, offset
