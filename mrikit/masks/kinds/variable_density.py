"""Variable density: samples thin out with the distance from the centre.

The chance of a sample at relative distance r is proportional to (1 - r)^power, at most 1. Exactly as many are drawn as
the acceleration asks for, the centre included.

Source:
    Lustig et al., Sparse MRI, MRM 58:1182 (2007), section "Sampling"; exact numbers by systematic sampling in random
    order, Madow, On the theory of systematic sampling, Ann. Math. Stat. 20:333 (1949).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrikit.errors import ConfigError
from mrikit.masks.kinds.center import center_block, center_rectangle, center_size, require_center
from mrikit.masks.kinds.kind import Budget, Drawn, Shape

_CERTAIN = 1 - 1e-9  # chances above this are 1 but for rounding


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
    samples = _draw(center, _distance(shape[1]), budget, settings.power, rng)
    return Drawn(samples, (int(center.sum()),))


def pattern(shape: Shape, budget: Budget, settings: PatternSettings, rng: np.random.RandomState) -> Drawn:
    """Points that are denser towards the middle."""
    size = center_size(shape, budget, settings.center)
    distance = np.hypot.outer(_distance(shape[0]), _distance(shape[1])) / np.sqrt(2)
    return Drawn(_draw(center_rectangle(shape, size), distance, budget, settings.power, rng), size)


def _require_power(power: float) -> None:
    if not 0 <= power < float("inf"):
        raise ConfigError(f"the power of a variable density is 0 or more, found {power:g}")


def _distance(size: int) -> npt.NDArray[np.float64]:
    """Distance from the middle, 0 to just below 1, so that no chance is 0."""
    return np.abs(np.arange(size) - size // 2) / (size // 2 + 1)


def _draw(
    center: npt.NDArray[np.bool_],
    distance: npt.NDArray[np.float64],
    budget: Budget,
    power: float,
    rng: np.random.RandomState,
) -> npt.NDArray[np.bool_]:
    """The centre and a choice of what is around it."""
    num_outside = budget.num_outside(center)
    places = np.flatnonzero(~center)
    chances = _chances((1 - distance.ravel()[places]) ** power, num_outside)
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
