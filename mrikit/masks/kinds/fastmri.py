"""The five line masks of the fastMRI challenges, bit for bit, without their divisions by zero.

Source:
    fastMRI (github.com/facebookresearch/fastMRI, MIT), `fastmri/data/subsample.py`; the magic masks are from Defazio,
    Offset Sampling Improves Deep Learning based Accelerated MRI Reconstructions, arXiv:1912.01101.

The plain `equispaced` and `magic` masks add the centre on top, so their true acceleration is below the nominal one.
Where the centre alone meets the acceleration, the `fraction` masks sample the centre only; fastMRI divides by zero
there.
"""

import numpy as np
import numpy.typing as npt

from mrikit.masks.kinds.center import center_block
from mrikit.masks.kinds.kind import Budget, Drawn, NoSettings, Shape


def random(shape: Shape, budget: Budget, _settings: NoSettings, rng: np.random.RandomState) -> Drawn:
    """Each outer column with the probability that gives the acceleration on average."""
    width, acceleration = shape[1], budget.acceleration
    num_center = budget.num_center(width)
    probability = (width / acceleration - num_center) / max(width - num_center, 1)
    lines = center_block(width, num_center) | (rng.uniform(size=width) < probability)
    return Drawn(lines, (num_center,))


def equispaced(shape: Shape, budget: Budget, _settings: NoSettings, rng: np.random.RandomState) -> Drawn:
    """Every R-th column from a random offset, and the centre."""
    width, acceleration = shape[1], budget.acceleration
    step = round(acceleration)
    num_center = budget.num_center(width)
    offset = rng.randint(0, high=step)
    lines = center_block(width, num_center)
    lines[offset::step] = True
    return Drawn(lines, (num_center,), offset)


def equispaced_fraction(shape: Shape, budget: Budget, _settings: NoSettings, rng: np.random.RandomState) -> Drawn:
    """Columns at the even distance that meets the acceleration together with the centre.

    The distance is no whole number, so neighbouring gaps differ by one: kept, because the public test data was made so
    (fastMRI issue 54).
    """
    width, acceleration = shape[1], budget.acceleration
    num_center = budget.num_center(width)
    lines = center_block(width, num_center)
    if num_center * acceleration >= width:
        return Drawn(lines, (num_center,))
    distance = acceleration * (num_center - width) / (num_center * acceleration - width)
    offset = rng.randint(0, high=round(distance))
    lines[np.around(np.arange(offset, width - 1, distance)).astype(int)] = True
    return Drawn(lines, (num_center,), offset)


def magic(shape: Shape, budget: Budget, _settings: NoSettings, rng: np.random.RandomState) -> Drawn:
    """Every R-th column with the two halves of k-space offset so that conjugate symmetry fills gaps."""
    width, acceleration = shape[1], budget.acceleration
    num_center = budget.num_center(width)
    lines, offset = _offset_halves(width, round(acceleration), rng)
    return Drawn(lines | center_block(width, num_center), (num_center,), offset)


def magic_fraction(shape: Shape, budget: Budget, _settings: NoSettings, rng: np.random.RandomState) -> Drawn:
    """As `magic`, with the distance raised to meet the acceleration together with the centre."""
    width, acceleration = shape[1], budget.acceleration
    num_target = round(width / acceleration)
    num_center = max(min(budget.num_center(width), num_target), 1)
    center = center_block(width, num_center)
    if num_center == num_target:
        return Drawn(center, (num_center,))
    lines, offset = _offset_halves(width, round(width / (num_target - num_center)), rng)
    return Drawn(lines | center, (num_center,), offset)


def _offset_halves(width: int, step: int, rng: np.random.RandomState) -> tuple[npt.NDArray[np.bool_], int]:
    offset = rng.randint(0, high=step)
    start_positive, start_negative = (offset + 1, offset + 2) if offset % 2 == 0 else (offset + 2, offset - 1)
    positive = np.zeros((width + 1) // 2, bool)
    negative = np.zeros(width // 2, bool)
    positive[start_positive::step] = True
    negative[start_negative::step] = True
    return np.fft.fftshift(np.concatenate((positive, negative[::-1]))), offset
