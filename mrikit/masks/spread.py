"""How a mask samples: its local density and its point-spread function."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

_WINDOW = 0.05  # share of each axis that a density is the mean over
_FLAT = 1e-12  # of the peak; smaller falls are rounding


def sampling_density(samples: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Share of samples near each place, of the shape of the samples."""
    window = [max(round(_WINDOW * size), 1) for size in samples.shape]
    density: npt.NDArray[np.float64] = ndimage.uniform_filter(samples.astype(float), window, mode="reflect")
    return density


def point_spread(samples: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Magnitude of what zero filling makes of a point, 1 at its place in the middle."""
    spread: npt.NDArray[np.float64] = np.abs(np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(samples))))
    spread /= spread.max()
    return spread


def largest_side_lobe(spread: npt.NDArray[np.float64]) -> float:
    """The largest peak of a point-spread function beside the main one, 0 to 1: what aliasing shows at most."""
    is_peak = spread == ndimage.maximum_filter(spread, size=3, mode="wrap")
    is_peak[tuple(size // 2 for size in spread.shape)] = False
    return float(spread[is_peak].max(initial=0.0))


def side_lobe_energy(spread: npt.NDArray[np.float64]) -> float:
    """Share of a point-spread function's energy outside the main lobe, 0 to 1: what aliasing is in all.

    The main lobe reaches along each axis from its peak in the middle to the first minimum at either side. Of every
    R-th line it is 1 - 1 / R, and 0 of all lines; incoherent sampling spreads it, and leaves no large side lobe.
    """
    energy = spread**2
    lobe = np.ix_(*(_main_lobe(energy, axis) for axis in range(energy.ndim)))
    return float(1 - energy[lobe].sum() / energy.sum())


def _main_lobe(energy: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.int64]:
    """Places along an axis that the main lobe covers; images are periodic, so it may reach around."""
    middle = tuple(size // 2 for size in energy.shape)
    size = energy.shape[axis]
    profile = np.roll(energy[(*middle[:axis], slice(None), *middle[axis + 1 :])], -middle[axis])
    reach = []
    for side in (profile, np.roll(profile[::-1], 1)):  # from the peak to the right, and to the left
        rises = np.flatnonzero(np.diff(side) >= -_FLAT)
        reach.append(int(rises[0]) if len(rises) else size - 1)
    right, left = reach
    covered: npt.NDArray[np.int64] = np.unique(np.arange(middle[axis] - left, middle[axis] + right + 1) % size)
    return covered
