"""Decompress slices beside h5py: it has one lock for all threads, and would hold it while it decompresses."""

import itertools
import zlib
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

_DEFLATE, _SHUFFLE_AND_DEFLATE = [h5py.h5z.FILTER_DEFLATE], [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE]


def inflate_slice(dataset: h5py.h5d.DatasetID, slice_index: int) -> npt.NDArray[Any] | None:
    """One slice of a dataset compressed with gzip, without its leading axis.

    Returns:
        The slice as it is stored; None if the dataset is compressed in another way or not written everywhere.

    Raises:
        zlib.error: A chunk is damaged.
        ValueError: A chunk has the wrong size.
    """
    properties = dataset.get_create_plist()
    filters = [properties.get_filter(number)[0] for number in range(properties.get_nfilters())]
    if filters not in (_DEFLATE, _SHUFFLE_AND_DEFLATE):
        return None
    chunk = properties.get_chunk()
    found = np.empty(dataset.shape[1:], dataset.dtype)
    inside = slice_index % chunk[0]
    starts = (range(0, size, step) for size, step in zip(found.shape, chunk[1:], strict=True))
    for corner in itertools.product([slice_index - inside], *starts):
        info = dataset.get_chunk_info_by_coord(corner)
        if info.byte_offset is None or info.filter_mask:
            return None
        _, packed = dataset.read_direct_chunk(corner)
        block = _inflate(packed, found.dtype, is_shuffled=filters != _DEFLATE).reshape(chunk)[inside]
        place = found[tuple(slice(start, start + step) for start, step in zip(corner[1:], chunk[1:], strict=True))]
        place[...] = block[tuple(map(slice, place.shape))]  # chunks at the border reach beyond it
    return found


def _inflate(packed: bytes, dtype: np.dtype[Any], *, is_shuffled: bool) -> npt.NDArray[Any]:
    """The values of a chunk; shuffled ones are stored first bytes first."""
    raw = np.frombuffer(zlib.decompress(packed), np.uint8)
    if is_shuffled:
        raw = np.ascontiguousarray(raw.reshape(dtype.itemsize, -1).T).reshape(-1)
    return raw.view(dtype)
