"""Samples drawn by a density, in an exact number.

Source:
    Systematic sampling in random order, Madow, On the theory of systematic sampling, Ann. Math. Stat. 20:333 (1949).
"""

import numpy as np
import numpy.typing as npt

from mrikit.masks.kinds.kind import Budget

_CERTAIN = 1 - 1e-9  # chances above this are 1 but for rounding


def relative_distance(size: int) -> npt.NDArray[np.float64]:
    """Distance from the middle along an axis, 0 to just below 1, so that no chance is 0."""
    return np.abs(np.arange(size) - size // 2) / (size // 2 + 1)


def draw_by_density(
    center: npt.NDArray[np.bool_], density: npt.NDArray[np.float64], budget: Budget, rng: np.random.RandomState
) -> npt.NDArray[np.bool_]:
    """The centre, and a choice of what is around it.

    Args:
        center: (phase,) or (readout, phase) bool, fully sampled.
        density: Of the same shape, above 0; the chance of a sample is proportional to it, at most 1.
        budget: How many samples there are with the centre.
        rng: Source of every random choice.

    Raises:
        ConfigError: The centre alone exceeds the budget.
    """
    num_outside = budget.num_outside(center)
    places = np.flatnonzero(~center)
    chances = _chances(density.ravel()[places], num_outside)
    samples = center.ravel().copy()
    samples[places[chances == 1]] = True
    # Steps of 1 through the running sum of the chances meet each place with its chance, and exactly the right number
    # of places; the random order keeps neighbours independent.
    uncertain = rng.permutation(np.flatnonzero(chances < 1))
    num_steps = num_outside - int((chances == 1).sum())
    if num_steps:
        ends = np.cumsum(chances[uncertain])
        steps = (rng.uniform() + np.arange(num_steps)) * (ends[-1] / num_steps)
        samples[places[uncertain[np.searchsorted(ends, steps)]]] = True
    return samples.reshape(center.shape)


def _chances(weights: npt.NDArray[np.float64], num: int) -> npt.NDArray[np.float64]:
    """Chances proportional to the weights, at most 1, with the sum `num`."""
    is_certain = np.zeros(len(weights), bool)
    while not is_certain.all():
        scaled = weights * ((num - is_certain.sum()) / weights[~is_certain].sum())
        more = ~is_certain & (scaled >= _CERTAIN)
        if not more.any():
            return np.where(is_certain, 1.0, scaled)
        is_certain |= more
    return np.ones(len(weights))
