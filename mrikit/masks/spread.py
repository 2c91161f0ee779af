"""How a mask samples: its local density and its point-spread function."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

_WINDOW = 0.05  # share of each axis that a density is the mean over


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
