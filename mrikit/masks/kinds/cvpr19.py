"""The families of masks that CVPR'19's active acquisition was trained with.

They are drawn for numbers of lines instead of an acceleration, so that a reconstructor sees every step of an episode.
In the published trainer the lines of k-space begin with the middle one; here they lie in their places.

Source:
    Zhang et al., Reducing uncertainty in undersampled MRI reconstruction with active acquisition, CVPR 2019,
    arXiv:1902.03051, and the trainer that was published with it. It knows even widths alone.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from mrikit.errors import ConfigError
from mrikit.masks.kinds.center import center_block

Family = Callable[[int, int, int, np.random.RandomState], npt.NDArray[np.bool_]]
"""From the width, the lines in the middle, those outside and a source of random choices to (phase,) lines."""

_STEPS: Final = (4, 8, 16)


def basic(width: int, num_low: int, num_high: int, rng: np.random.RandomState) -> npt.NDArray[np.bool_]:
    """The middle, and lines outside it at random."""
    _check(width, num_low, num_high)
    lines = center_block(width, num_low)
    lines[np.flatnonzero(~lines)[rng.choice(width - num_low, num_high, replace=False)]] = True
    return lines


def symmetric(width: int, num_low: int, num_high: int, rng: np.random.RandomState) -> npt.NDArray[np.bool_]:
    """The middle, and lines at random on one side of it with their mirror images on the other.

    Both numbers are rounded down to even ones; of an odd width the middle line is there too.
    """
    _check(width, num_low, num_high)
    side, num_outside = width // 2, width // 2 - num_low // 2
    half: npt.NDArray[np.bool_] = np.arange(side) >= num_outside
    half[rng.choice(num_outside, min(num_high // 2, num_outside), replace=False)] = True
    return np.concatenate([half, np.ones(width % 2, bool), half[::-1]])


def low_to_high(width: int, num_low: int, num_high: int, _rng: np.random.RandomState) -> npt.NDArray[np.bool_]:
    """The middle alone, of as many lines as both numbers together."""
    _check(width, num_low, num_high)
    return center_block(width, num_low + num_high)


def grid(width: int, num_low: int, num_high: int, rng: np.random.RandomState) -> npt.NDArray[np.bool_]:
    """The middle, and every 4th, 8th or 16th line from it; `num_high` does not matter."""
    _check(width, num_low, num_high)
    step = int(rng.choice(_STEPS))
    from_middle = np.zeros(width, bool)
    from_middle[step::step] = True
    return np.fft.fftshift(from_middle) | center_block(width, num_low)


def symmetric_grid(width: int, num_low: int, num_high: int, rng: np.random.RandomState) -> npt.NDArray[np.bool_]:
    """The middle, and every 4th, 8th or 16th line from it, with their mirror images; `num_high` does not matter.

    Of an odd width the last line has no partner and is never one of them.
    """
    _check(width, num_low, num_high)
    return symmetric_grid_lines(width, int(rng.choice(_STEPS))) | center_block(width, num_low)


def symmetric_grid_lines(width: int, step: int) -> npt.NDArray[np.bool_]:
    """(phase,) bool, every so many lines from the middle to one side, and their mirror images."""
    half = np.zeros(width // 2, bool)
    half[step::step] = True
    return np.concatenate([half[::-1], half, np.zeros(width % 2, bool)])


FAMILIES: Final[dict[str, Family]] = {
    "basic": basic,
    "symmetric": symmetric,
    "low_to_high": low_to_high,
    "grid": grid,
    "symmetric_grid": symmetric_grid,
}
"""By name."""


def published_counts(
    width: int, rng: np.random.RandomState, num_low: tuple[int, int], beta: tuple[float, float]
) -> tuple[int, int]:
    """Lines in the middle and outside as the published trainer draws them where their number is random.

    Args:
        width: Lines of k-space.
        rng: Source of random choices.
        num_low: The smallest number in the middle, and one that it stays below; in steps of 2. Published: 2 and 4 for
            raw data, 10 and 12 for DICOM images.
        beta: Both parameters of the beta distribution of the share of the others, rounded down to an even number.
            Published: 1 and 5.

    Raises:
        ConfigError: No number lies between those of `num_low`, or more than there are lines.
    """
    if not 0 <= num_low[0] < num_low[1] <= width + 1:
        raise ConfigError(f"lines in the middle are from a number to one above it, at most {width}, found {num_low}")
    chosen = int(rng.choice(range(*num_low, 2)))
    return chosen, int(rng.beta(*beta) * (width - chosen) // 2) * 2


def _check(width: int, num_low: int, num_high: int) -> None:
    if num_low < 0 or num_high < 0 or num_low + num_high > width:
        raise ConfigError(
            f"a mask of {width} lines has 0 or more in the middle and outside, found {num_low}, {num_high}"
        )
