"""Arrays to pictures that a page can hold: 8-bit PNG at exact pixels, as data URIs."""

import base64
import functools
import io
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from PIL import Image

from mrikit.runs.picture import levels

ERROR_COLORS = "inferno"


def gray_picture(image: npt.NDArray[Any], top: float) -> str:
    """A (y, x) image in grey from 0 (black) to `top` (white), as data URI of a PNG."""
    return data_uri(_png(levels(image, top), None))


def error_picture(error: npt.NDArray[Any], top: float) -> str:
    """A (y, x) absolute error in colour from 0 (black) to `top` (pale yellow), as data URI of a PNG."""
    return data_uri(_png(levels(error, top), _palette()))


def color_ramp() -> str:
    """The colours of `error_picture` from left to right, one row of pixels, as data URI of a PNG."""
    return data_uri(_png(np.arange(256, dtype=np.uint8)[None], _palette()))


@functools.cache
def _palette() -> bytes:
    colors = mpl.colormaps[ERROR_COLORS](np.arange(256), bytes=True)
    return bytes(np.ascontiguousarray(colors[:, :3]))


def _png(shown: npt.NDArray[np.uint8], palette: bytes | None) -> bytes:
    """A PNG of (y, x) levels, grey or with a palette of 256 colours."""
    image = Image.fromarray(shown)
    if palette is not None:
        image.putpalette(palette)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def data_uri(png: bytes) -> str:
    """A PNG as text that an `img` takes as its `src`."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
