"""The five line masks of the fastMRI challenges, bit for bit, without their divisions by zero.

Source:
    fastMRI (github.com/facebookresearch/fastMRI, MIT), `fastmri/data/subsample.py`; the magic masks are from Defazio,
    Offset Sampling Improves Deep Learning based Accelerated MRI Reconstructions, arXiv:1912.01101.

The plain `equispaced` and `magic` masks add the centre on top, so their true acceleration is below the nominal one.
Where the centre alone meets the acceleration, the `fraction` masks sample the centre only; fastMRI divides by zero
there.

Settings place their lines by the first acquired column instead of at random, set the centre in lines, and offset the
halves of the magic masks as the banding system does; the defaults are fastMRI's.
"""

import numpy as np
import numpy.typing as npt

from mrikit.masks.kinds.center import center_block
from mrikit.masks.kinds.halves import half_sizes, join_halves, magic_starts, spread, stepped
from mrikit.masks.kinds.kind import Budget, Drawn, Shape
from mrikit.masks.kinds.offset import CenterSettings, MagicSettings, RegularSettings


def random(shape: Shape, budget: Budget, settings: CenterSettings, rng: np.random.RandomState) -> Drawn:
    """Each outer column with the probability that gives the acceleration on average."""
    width, acceleration = shape[1], budget.acceleration
    num_center = settings.num_center(width, budget)
    probability = (width / acceleration - num_center) / max(width - num_center, 1)
    lines = center_block(width, num_center) | (rng.uniform(size=width) < probability)
    return Drawn(lines, (num_center,))


def equispaced(shape: Shape, budget: Budget, settings: RegularSettings, rng: np.random.RandomState) -> Drawn:
    """Every R-th column from an offset, and the centre."""
    width, step = shape[1], round(budget.acceleration)
    num_center = settings.num_center(width, budget)
    offset = settings.column(step, budget, rng) % step
    return Drawn(center_block(width, num_center) | stepped(width, offset, step), (num_center,), offset)


def equispaced_fraction(shape: Shape, budget: Budget, settings: RegularSettings, rng: np.random.RandomState) -> Drawn:
    """Columns at the even distance that meets the acceleration together with the centre.

    The distance is no whole number, so neighbouring gaps differ by one: kept, because the public test data was made so
    (fastMRI issue 54).
    """
    width = shape[1]
    num_center = settings.num_center(width, budget)
    center = center_block(width, num_center)
    if num_center * budget.acceleration >= width:
        return Drawn(center, (num_center,))
    distance = _distance(width, num_center, budget.acceleration)
    offset = settings.column(round(distance), budget, rng)
    return Drawn(center | spread(width, offset, distance), (num_center,), offset)


def magic(shape: Shape, budget: Budget, settings: MagicSettings, rng: np.random.RandomState) -> Drawn:
    """Every R-th column with the two halves of k-space offset so that conjugate symmetry fills gaps."""
    width, step = shape[1], round(budget.acceleration)
    num_center = settings.num_center(width, budget)
    lines, offset = _magic_lines(width, step, budget, settings, rng)
    return Drawn(lines | center_block(width, num_center), (num_center,), offset)


def magic_fraction(shape: Shape, budget: Budget, settings: MagicSettings, rng: np.random.RandomState) -> Drawn:
    """As `magic`, with the distance raised to meet the acceleration together with the centre.

    fastMRI's distance is a whole number; that of the other rules is that of `equispaced_fraction`.
    """
    width, acceleration = shape[1], budget.acceleration
    num_target = round(width / acceleration)
    num_center = settings.num_center(width, budget)
    if settings.rule == "fastmri":
        num_center = max(min(num_center, num_target), 1)
    center = center_block(width, num_center)
    if num_center >= num_target:
        return Drawn(center, (num_center,))
    if settings.rule == "fastmri":
        lines, offset = _magic_lines(width, round(width / (num_target - num_center)), budget, settings, rng)
        return Drawn(lines | center, (num_center,), offset)
    distance = _distance(width, num_center, acceleration)
    offset = settings.column(round(acceleration), budget, rng)
    if settings.rule == "even":
        starts = magic_starts(offset, distance, "even")
    else:
        starts = magic_starts(offset, acceleration, "banding_v2")
    halves = [spread(size, start, distance) for size, start in zip(half_sizes(width), starts, strict=True)]
    return Drawn(join_halves(*halves) | center, (num_center,), offset)


def _magic_lines(
    width: int, step: int, budget: Budget, settings: MagicSettings, rng: np.random.RandomState
) -> tuple[npt.NDArray[np.bool_], int]:
    offset = settings.column(step, budget, rng)
    if settings.rule == "fastmri":
        offset %= step
    starts = magic_starts(offset, step, settings.rule)
    positive, negative = (stepped(*half, step) for half in zip(half_sizes(width), map(int, starts), strict=True))
    return join_halves(positive, negative), offset


def _distance(width: int, num_center: int, acceleration: float) -> float:
    """Between lines that meet the acceleration together with the centre."""
    return acceleration * (num_center - width) / (num_center * acceleration - width)
