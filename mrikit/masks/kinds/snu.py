"""The three line masks of the SNU fastMRI challenge entry.

The challenge keeps 8 % of the columns in the middle at every acceleration and does not thin the rest to make up for
it: at width 368 its 4x is 3.23x and its 8x is 5.11x. The last column is never part of the regular lines.
"""

import numpy as np

from mrikit.masks.kinds.center import center_block
from mrikit.masks.kinds.kind import Budget, Drawn, NoSettings, Shape


def fixed(shape: Shape, budget: Budget, _settings: NoSettings, _rng: np.random.RandomState) -> Drawn:
    """Every R-th column such that the middle column is one of them."""
    return _regular(shape[1], budget, (shape[1] // 2) % round(budget.acceleration))


def random_offset(shape: Shape, budget: Budget, _settings: NoSettings, rng: np.random.RandomState) -> Drawn:
    """Every R-th column from a random offset."""
    return _regular(shape[1], budget, rng.randint(0, round(budget.acceleration)))


def random_spaced(shape: Shape, budget: Budget, _settings: NoSettings, rng: np.random.RandomState) -> Drawn:
    """One random column in every bin of R columns."""
    width, step = shape[1], round(budget.acceleration)
    num_center = budget.num_center(width)
    lines = center_block(width, num_center)
    lines[np.arange(width // step) * step + rng.randint(0, step, size=width // step)] = True
    return Drawn(lines, (num_center,))


def _regular(width: int, budget: Budget, offset: int) -> Drawn:
    num_center = budget.num_center(width)
    lines = center_block(width, num_center)
    lines[offset : width - 1 : round(budget.acceleration)] = True
    return Drawn(lines, (num_center,), offset)
