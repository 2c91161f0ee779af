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
from mrikit.volumes.acquisitions import Acquisitions, Hdf5Acquisitions
from mrikit.volumes.axes import AxisMap
from mrikit.volumes.mapped import MappedSlices
from mrikit.volumes.mrd_slices import MrdSlices
from mrikit.volumes.mrd_stack import MrdArray, MrdStack
from mrikit.volumes.mrd_stream import StreamAcquisitions
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
    if isinstance(slices, MrdStack):
        return _dump_mrd(slices.lines) | {"stack": slices.shape, "first_slice": slices.first_slice}
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


def load_slices(path: Location, known: dict[str, Any] | None) -> FileSlices | MrdArray | MappedSlices | None:
    """The array that `dump_slices` described; its file is opened when a slice is asked for."""
    if known is None:
        return None
    signature = tuple(known["signature"]) if "signature" in known else None
    if "rows" in known:
        lines = MrdSlices(
            acquisitions=_load_acquisitions(path, known, signature),
            shape=tuple(known["shape"]),
            rows=_unpack(known["rows"], known["counts"]),
            columns=_unpack(known["columns"], known["counts"]),
            averages=_unpack(known["averages"], known["counts"]) if known["averages"] else None,
            first_sample=known["first_sample"],
            kept=tuple(known["kept"]),
            noise=np.array(known["noise"], np.int64) if known["noise"] else None,
        )
        if "stack" not in known:
            return lines
        return MrdStack(lines=lines, shape=tuple(known["stack"]), first_slice=known["first_slice"])
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
    return (
        _dump_acquisitions(slices.acquisitions)
        | {
            "shape": slices.shape,
            "counts": [len(rows) for rows in slices.rows],
            "rows": _pack(slices.rows),
            "columns": _pack(slices.columns),
            "averages": None if slices.averages is None else _pack(slices.averages),
            "first_sample": slices.first_sample,
            "kept": slices.kept,
            "noise": None if slices.noise is None else slices.noise.tolist(),
        }
        | _dump_signature(slices)
    )


def _dump_acquisitions(acquisitions: Acquisitions) -> dict[str, Any]:
    """Where samples lie in their file."""
    if isinstance(acquisitions, Hdf5Acquisitions):
        return {"group": acquisitions.group}
    assert isinstance(acquisitions, StreamAcquisitions)
    places = (acquisitions.starts, acquisitions.channels, acquisitions.counts)
    return {"stream": acquisitions.version, "acquisitions": len(acquisitions.starts), "places": _pack(places)}


def _load_acquisitions(
    path: Location, known: dict[str, Any], signature: tuple[int, int] | None
) -> Hdf5Acquisitions | StreamAcquisitions:
    if "group" in known:
        return Hdf5Acquisitions(path=path, group=known["group"], signature=signature)
    starts, channels, counts = _unpack(known["places"], [known["acquisitions"]] * 3)
    return StreamAcquisitions(
        path=path, version=known["stream"], starts=starts, channels=channels, counts=counts, signature=signature
    )


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
