"""Files of handwritten digits: MNIST's own `idx`, packed or not, and `.npz`."""

import gzip
import io
import math
import zipfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError

_MAGIC_IMAGES, _MAGIC_LABELS = b"\x00\x00\x08\x03", b"\x00\x00\x08\x01"
_WOULD_DO = "train-images-idx3-ubyte, its .gz, or an .npz with (digit, y, x) uint8 `images` would do"


def read_digits(path: Path) -> npt.NDArray[np.uint8]:
    """(digit, y, x) uint8 images of a file, in its order.

    Raises:
        DataError: It is missing, cut short, or no such file.

    Source:
        LeCun et al., Gradient-based learning applied to document recognition, Proc. IEEE 86:2278 (1998); the format as
        described beside the files.
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        images = _npz(path, content) if content[:2] == b"PK" else _idx(path, content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); {_WOULD_DO}") from error
    if not len(images) or min(images.shape[1:]) < 1:
        raise DataError(f"{path}: holds no images; {_WOULD_DO}")
    return images


def _idx(path: Path, content: bytes) -> npt.NDArray[np.uint8]:
    """Four bytes that say what follows, three sizes, and the pixels; numbers are big-endian."""
    if content[:4] != _MAGIC_IMAGES:
        found = (
            "it holds labels" if content[:4] == _MAGIC_LABELS else f"it begins with {content[:4].hex() or 'nothing'}"
        )
        raise DataError(f"{path}: no idx file of images, {found}; {_WOULD_DO}")
    if len(content) < 16:
        raise DataError(f"{path}: cut short, {len(content)} bytes; copy it again")
    sizes = np.frombuffer(content, ">u4", 3, offset=4).tolist()
    wanted = 16 + math.prod(sizes)
    if len(content) != wanted:
        found = " x ".join(map(str, sizes))
        raise DataError(f"{path}: {found} pixels take {wanted} bytes, found {len(content)}; copy it again")
    return np.frombuffer(content, np.uint8, offset=16).reshape(sizes)


def _npz(path: Path, content: bytes) -> npt.NDArray[np.uint8]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            if "images" not in file.files:
                raise DataError(f"{path}: no array `images`, found {', '.join(file.files) or 'none'}; {_WOULD_DO}")
            images = file["images"]
    except (ValueError, zipfile.BadZipFile) as error:  # a pickle is a ValueError
        raise DataError(f"{path}: cannot be read ({error}); {_WOULD_DO}") from error
    if images.ndim != 3 or images.dtype != np.uint8:
        raise DataError(f"{path}: `images` are {images.dtype} of shape {images.shape}; {_WOULD_DO}")
    return np.asarray(images)
