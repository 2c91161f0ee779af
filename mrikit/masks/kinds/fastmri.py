"""The five line masks of the fastMRI challenges, bit for bit, without their divisions by zero.

Source:
    fastMRI (github.com/facebookresearch/fastMRI, MIT), `fastmri/data/subsample.py`; the magic masks are from Defazio,
    Offset Sampling Improves Deep Learning based Accelerated MRI Reconstructions, arXiv:1912.01101.

Every function takes (width, acceleration, center_fraction, rng) and returns (lines, num_center_lines, offset). The
plain `equispaced` and `magic` masks add the centre on top, so their true acceleration is below the nominal one. Where
the centre alone meets the acceleration, the `fraction` masks sample the centre only; fastMRI divides by zero there.
"""

import numpy as np
import numpy.typing as npt

from mrikit.masks.mask import Lines


def random(width: int, acceleration: float, center_fraction: float, rng: np.random.RandomState) -> Lines:
    """Each outer column with the probability that gives the acceleration on average."""
    num_center = round(width * center_fraction)
    probability = (width / acceleration - num_center) / max(width - num_center, 1)
    return center_block(width, num_center) | (rng.uniform(size=width) < probability), num_center, None


def equispaced(width: int, acceleration: float, center_fraction: float, rng: np.random.RandomState) -> Lines:
    """Every R-th column from a random offset, and the centre."""
    step = round(acceleration)
    num_center = round(width * center_fraction)
    offset = rng.randint(0, high=step)
    lines = center_block(width, num_center)
    lines[offset::step] = True
    return lines, num_center, offset


def equispaced_fraction(width: int, acceleration: float, center_fraction: float, rng: np.random.RandomState) -> Lines:
    """Columns at the even distance that meets the acceleration together with the centre.

    The distance is no whole number, so neighbouring gaps differ by one: kept, because the public test data was made so
    (fastMRI issue 54).
    """
    num_center = round(width * center_fraction)
    lines = center_block(width, num_center)
    if num_center * acceleration >= width:
        return lines, num_center, None
    distance = acceleration * (num_center - width) / (num_center * acceleration - width)
    offset = rng.randint(0, high=round(distance))
    lines[np.around(np.arange(offset, width - 1, distance)).astype(int)] = True
    return lines, num_center, offset


def magic(width: int, acceleration: float, center_fraction: float, rng: np.random.RandomState) -> Lines:
    """Every R-th column with the two halves of k-space offset so that conjugate symmetry fills gaps."""
    num_center = round(width * center_fraction)
    lines, offset = _offset_halves(width, round(acceleration), rng)
    return lines | center_block(width, num_center), num_center, offset


def magic_fraction(width: int, acceleration: float, center_fraction: float, rng: np.random.RandomState) -> Lines:
    """As `magic`, with the distance raised to meet the acceleration together with the centre."""
    num_target = round(width / acceleration)
    num_center = max(min(round(width * center_fraction), num_target), 1)
    center = center_block(width, num_center)
    if num_center == num_target:
        return center, num_center, None
    lines, offset = _offset_halves(width, round(width / (num_target - num_center)), rng)
    return lines | center, num_center, offset


def center_block(width: int, num_center: int) -> npt.NDArray[np.bool_]:
    """(phase,) bool with `num_center` columns set where fastMRI and the SNU challenge place them."""
    lines = np.zeros(width, bool)
    start = (width - num_center + 1) // 2
    lines[start : start + num_center] = True
    return lines


def _offset_halves(width: int, step: int, rng: np.random.RandomState) -> tuple[npt.NDArray[np.bool_], int]:
    offset = rng.randint(0, high=step)
    start_positive, start_negative = (offset + 1, offset + 2) if offset % 2 == 0 else (offset + 2, offset - 1)
    positive = np.zeros((width + 1) // 2, bool)
    negative = np.zeros(width // 2, bool)
    positive[start_positive::step] = True
    negative[start_negative::step] = True
    return np.fft.fftshift(np.concatenate((positive, negative[::-1]))), offset
