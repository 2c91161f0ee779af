"""Arrays of a volume as JSON: where their samples lie, not the samples."""

import base64
import os
import posixpath
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mrikit.storage import BlobPath, Location
from mrikit.volumes.axes import AxisMap
from mrikit.volumes.ismrmrd import MrdSlices
from mrikit.volumes.mapped import MappedSlices
from mrikit.volumes.slice_array import SliceArray
from mrikit.volumes.slices import FileSlices


def dump_slices(path: Location, slices: SliceArray | None) -> dict[str, Any] | None:
    """What `load_slices` needs.

    Args:
        path: The volume's file.
        slices: An array of a reader of this package.
    """
    if slices is None:
        return None
    if isinstance(slices, MrdSlices):
        return _dump_mrd(slices)
    if isinstance(slices, MappedSlices):
        return _dump_mapped(slices)
    assert isinstance(slices, FileSlices)
    described = {
        "file": None if slices.path == path else _relative(slices.path, path.parent),
        "key": slices.key,
        "shape": slices.shape,
        "dtype": slices.stored_dtype,
        "start": slices.start,
        "runs": None if slices.runs is None else slices.runs.tolist(),
        "is_phase_first": slices.is_phase_first,
    }
    return described | _dump_signature(slices)


def load_slices(path: Location, known: dict[str, Any] | None) -> FileSlices | MrdSlices | MappedSlices | None:
    """The array that `dump_slices` described; its file is opened when a slice is asked for."""
    if known is None:
        return None
    signature = tuple(known["signature"]) if "signature" in known else None
    if "group" in known:
        return MrdSlices(
            path=path,
            group=known["group"],
            shape=tuple(known["shape"]),
            rows=_unpack(known["rows"], known["counts"]),
            columns=_unpack(known["columns"], known["counts"]),
            first_sample=known["first_sample"],
            kept=tuple(known["kept"]),
            signature=signature,
        )
    if "axes" in known:
        return MappedSlices(
            path=path,
            key=known["key"],
            axes=AxisMap(**known["axes"] | {"names": tuple(known["axes"]["names"])}),
            stored_shape=tuple(known["shape"]),
            is_magnitude=known["is_magnitude"],
            signature=signature,
        )
    return FileSlices(
        path=_resolve(path.parent, known["file"]) if known["file"] else path,
        key=known["key"],
        shape=tuple(known["shape"]),
        stored_dtype=known["dtype"],
        start=known["start"],
        runs=None if known["runs"] is None else np.array(known["runs"], np.int64),
        is_phase_first=known["is_phase_first"],
        signature=signature,
    )


def _dump_mrd(slices: MrdSlices) -> dict[str, Any]:
    return {
        "group": slices.group,
        "shape": slices.shape,
        "counts": [len(rows) for rows in slices.rows],
        "rows": _pack(slices.rows),
        "columns": _pack(slices.columns),
        "first_sample": slices.first_sample,
        "kept": slices.kept,
    } | _dump_signature(slices)


def _dump_mapped(slices: MappedSlices) -> dict[str, Any]:
    return {
        "key": slices.key,
        "shape": slices.stored_shape,
        "axes": asdict(slices.axes),
        "is_magnitude": slices.is_magnitude,
    } | _dump_signature(slices)


def _dump_signature(slices: FileSlices | MrdSlices | MappedSlices) -> dict[str, Any]:
    """Local files do without: the index has the signatures of their folder."""
    return {} if slices.signature is None else {"signature": slices.signature}


def _pack(numbers: Sequence[npt.NDArray[np.int64]]) -> str:
    """Many whole numbers as short text: steps between neighbours repeat, so that they compress a hundredfold."""
    steps = np.diff(np.concatenate(numbers), prepend=0).astype("<i8")
    return base64.b64encode(zlib.compress(steps.tobytes())).decode()


def _unpack(text: str, counts: list[int]) -> tuple[npt.NDArray[np.int64], ...]:
    numbers = np.cumsum(np.frombuffer(zlib.decompress(base64.b64decode(text)), "<i8"), dtype=np.int64)
    return tuple(np.split(numbers, np.cumsum(counts)[:-1]))


def _relative(path: Location, folder: Location) -> str:
    if isinstance(path, BlobPath):
        assert isinstance(folder, BlobPath)
        return posixpath.relpath(f"/{path.key}", f"/{folder.key}")
    assert isinstance(folder, Path)
    return os.path.relpath(path, folder)


def _resolve(folder: Location, name: str) -> Location:
    return folder / name if isinstance(folder, BlobPath) else Path(os.path.normpath(folder / name))
