"""Arrays to pictures that a page can hold: 8-bit PNG at exact pixels, as data URIs."""

import base64
import functools
import struct
import zlib
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt

ERROR_COLORS = "inferno"


def gray_picture(image: npt.NDArray[Any], top: float) -> str:
    """A (y, x) image in grey from 0 (black) to `top` (white), as data URI of a PNG."""
    return data_uri(_png(_levels(image, top), None))


def error_picture(error: npt.NDArray[Any], top: float) -> str:
    """A (y, x) absolute error in colour from 0 (black) to `top` (pale yellow), as data URI of a PNG."""
    return data_uri(_png(_levels(error, top), _palette()))


def color_ramp() -> str:
    """The colours of `error_picture` from left to right, one row of pixels, as data URI of a PNG."""
    return data_uri(_png(np.arange(256, dtype=np.uint8)[None], _palette()))


def _levels(image: npt.NDArray[Any], top: float) -> npt.NDArray[np.uint8]:
    """Values from 0 to `top` as 0 to 255, clipped; NaN is 0."""
    scaled = np.nan_to_num(image / top if top > 0 else np.zeros_like(image), posinf=1, neginf=0)
    levels: npt.NDArray[np.uint8] = np.rint(255 * np.clip(scaled, 0, 1)).astype(np.uint8)
    return levels


@functools.cache
def _palette() -> bytes:
    colors = mpl.colormaps[ERROR_COLORS](np.arange(256), bytes=True)
    return bytes(np.ascontiguousarray(colors[:, :3]))


def _png(levels: npt.NDArray[np.uint8], palette: bytes | None) -> bytes:
    """An 8-bit PNG, grey or with a palette of 256 colours.

    Source:
        W3C, Portable Network Graphics, 2nd edition, sections 5, 11.2.
    """
    height, width = levels.shape
    color_type = 0 if palette is None else 3
    rows = np.zeros((height, width + 1), np.uint8)  # each row starts with its filter type, 0
    rows[:, 1:] = levels
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0))
        + (b"" if palette is None else _chunk(b"PLTE", palette))
        + _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def data_uri(png: bytes) -> str:
    """A PNG as text that an `img` takes as its `src`."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
