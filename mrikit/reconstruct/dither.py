"""Dithering: noise where an image is dark, so that banding is seen less."""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter

_SIDE: Final = 11
"""Pixels of a side of the window whose median says how bright a place is."""


def dither(image: npt.NDArray[np.float32], strength: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Add white noise that grows with the root of the local brightness, and so shows in dark places.

    In units of the largest value of the volume its deviation is `strength` times the root of the median of 11 x 11
    pixels around each. What would become negative becomes 0, as a magnitude is.

    Args:
        image: (slice, y, x) float32 magnitude of one volume.
        strength: 0.015 is published; 0 leaves the image as it is.
        rng: Draws the noise.

    Source:
        The baseline that Defazio et al., MRI banding removal via adversarial training, arXiv:2001.08699, compare with,
        as Johnson et al. 2022 export their images. The unit is ours: theirs is that of their files.
    """
    top = image.max()
    if not strength or not top > 0:
        return image
    bright = median_filter(image / top, size=(1, _SIDE, _SIDE), mode="reflect")
    noise = np.sqrt(bright) * rng.standard_normal(image.shape, np.float32)
    dithered: npt.NDArray[np.float32] = np.maximum(image + np.float32(strength) * top * noise, np.float32(0))
    return dithered
