"""Open a volume of any format, and name it."""

import contextlib
import os
import posixpath
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import h5py

from mrikit.errors import DataError
from mrikit.storage import BlobPath, Location
from mrikit.volumes.bart import read_bart
from mrikit.volumes.blob_file import BlobFiles, Signature
from mrikit.volumes.fastmri import read_fastmri
from mrikit.volumes.faults import FormatError, at_path
from mrikit.volumes.hdf5 import NoRawDataError, read_hdf5
from mrikit.volumes.held import HeldFile
from mrikit.volumes.ismrmrd import find_groups, read_ismrmrd, read_mrd_stream
from mrikit.volumes.mapped import MappedSlices
from mrikit.volumes.mrd_stack import MrdArray
from mrikit.volumes.mrd_stream import FIRST_BYTES, stream_version
from mrikit.volumes.pieces import read_pieces
from mrikit.volumes.public.recognise import read_public
from mrikit.volumes.scan import BART_SUFFIX, VOLUME_SUFFIXES
from mrikit.volumes.slice_array import SliceArray
from mrikit.volumes.slices import FileSlices
from mrikit.volumes.snu import read_snu
from mrikit.volumes.volume import Volume

NUM_IN_FLIGHT = 32
"""Blobs that are looked into at once; waiting for them takes no processor."""


def open_volume(path: Location, blobs: BlobFiles | None = None, *, volume_id: str | None = None) -> Volume:
    """Open the one volume of a file, or the one that is named; slices are read when they are asked for.

    A warning tells what its reader left out, inferred or repaired.

    Args:
        path: The file.
        blobs: What a listing told of the blobs; without it they are asked for.
        volume_id: Which of several volumes, such as `knee_contrast1` of `knee.h5`.

    Raises:
        NoRawDataError: It holds a reconstruction.
        DataError: It is no such file, it is damaged, or it holds several volumes or not the named one.
        StorageError: A blob cannot be read.
    """
    volumes = open_volumes(path, blobs)
    named = next((volume for volume in volumes if volume.info.volume_id == volume_id), None)
    if volume_id is None and len(volumes) == 1:
        named = volumes[0]
    if named is None:
        wrong = f"holds {len(volumes)} volumes" if volume_id is None else f"holds no volume {volume_id}"
        found = ", ".join(volume.info.volume_id for volume in volumes)
        raise DataError(f"{path}: {wrong}; found {found}. Name one of them")
    if named.info.notes:
        warnings.warn(f"{path}: {'; '.join(named.info.notes)}", stacklevel=2)
    return named


def open_volumes(path: Location, blobs: BlobFiles | None = None) -> tuple[Volume, ...]:
    """Open all volumes of a file of any format, such as the echoes of one scan; usually there is one.

    A `.cfl` or `.hdr` file is BART. An HDF5 file is recognised by what it holds: fastMRI has `kspace` and
    `ismrmrd_header`, SNU `kspace` alone, MRD a group with `xml` and `data`; see `mrikit.volumes.public` for others.
    What is no HDF5 may be an MRD stream, whatever its name.

    Args:
        path: The file.
        blobs: What a listing told of the blobs; without it they are asked for.

    Returns:
        Volumes whose ids are the file's name without its suffix, followed by `_` and which it is where there are
        several. What readers left out, inferred or repaired stands in their `info.notes`.

    Raises:
        NoRawDataError: It holds a reconstruction.
        DataError: It is no such file, or it is damaged.
        StorageError: A blob cannot be read.
    """
    path = path if isinstance(path, BlobPath) else Path(path)
    is_bart = path.suffix in (BART_SUFFIX, ".hdr")
    if not isinstance(path, BlobPath):
        return (read_bart(path),) if is_bart else _read_file(path, None)
    blobs = blobs or BlobFiles()
    volumes = (read_bart(path, blobs),) if is_bart else _read_file(path, blobs)
    return tuple(
        replace(
            volume,
            kspace=_pinned(volume.kspace, blobs),
            reference=None if volume.reference is None else _pinned(volume.reference, blobs),
        )
        for volume in volumes
    )


@contextlib.contextmanager
def held_open(volume: Volume) -> Iterator[Volume]:
    """A volume whose local files are opened once for all slices that are read of it, and closed after the block."""
    files: dict[Path, HeldFile] = {}

    def hold(slices: SliceArray) -> SliceArray:
        if not isinstance(slices, FileSlices | MrdArray | MappedSlices) or isinstance(slices.path, BlobPath):
            return slices
        file = files.setdefault(slices.path, HeldFile(slices.path))
        return slices.held(file) if isinstance(slices, MrdArray) else replace(slices, held=file)

    reference = None if volume.reference is None else hold(volume.reference)
    try:
        yield volume.replaced(kspace=hold(volume.kspace), reference=reference)
    finally:
        for file in files.values():
            file.close()


def is_single_file(data: Location) -> bool:
    """Whether data are one file and no folder; of a blob the name tells."""
    return data.suffix in VOLUME_SUFFIXES if isinstance(data, BlobPath) else data.is_file()


def name_below(data: Location, path: Location) -> str:
    """The name of a volume relative to the data folder, or to that of the data file, joined by `/`."""
    root = data.parent if is_single_file(data) else data
    if isinstance(path, BlobPath):
        assert isinstance(root, BlobPath)
        return posixpath.relpath(f"/{path.key}", f"/{root.key}")
    assert isinstance(root, Path)
    return path.relative_to(root).as_posix()


def nothing_found(folder: Location) -> str:
    """What to say about a folder without volumes."""
    return f"{folder}: no volume in this folder or below; looked for files that end in {', '.join(VOLUME_SUFFIXES)}"


def _read_file(path: Location, blobs: BlobFiles | None) -> tuple[Volume, ...]:
    """The volumes of an HDF5 file, or where it is none, of a stream: nearly all files are HDF5, and only opened."""
    try:
        return read_hdf5(path, partial(_read, path, blobs), blobs)
    except DataError:
        begin = _begin(path, blobs)
        version = stream_version(begin.first)
        if version is None:
            raise
    try:
        return read_mrd_stream(path, begin.size_bytes, version, begin.signature)
    except DataError as error:
        raise at_path(error, path) from error


class _Begin(NamedTuple):
    first: bytes
    size_bytes: int
    signature: Signature | None


def _begin(path: Location, blobs: BlobFiles | None) -> _Begin:
    """The first bytes of a file, none if it cannot be read."""
    if isinstance(path, BlobPath):
        blob = (blobs or BlobFiles()).find(path)
        if blob is None:
            return _Begin(b"", 0, None)
        first = bytearray(min(FIRST_BYTES, blob.size_bytes))
        read_pieces(path, [(0, memoryview(first))], "its first bytes", signature=blob.signature)
        return _Begin(bytes(first), blob.size_bytes, blob.signature)
    try:
        with path.open("rb") as file:
            return _Begin(file.read(FIRST_BYTES), os.fstat(file.fileno()).st_size, None)
    except OSError:
        return _Begin(b"", 0, None)


def _read(path: Location, blobs: BlobFiles | None, file: h5py.File) -> tuple[Volume, ...]:
    """The volumes in an open file; errors name the file."""
    try:
        return _read_format(path, blobs, file)
    except DataError as error:
        raise at_path(error, path) from error


def _read_format(path: Location, blobs: BlobFiles | None, file: h5py.File) -> tuple[Volume, ...]:
    if (public := read_public(path, file, blobs)) is not None:
        return public
    if b"kspace" in file.id:
        return (read_fastmri(path, file) if b"ismrmrd_header" in file.id else read_snu(path, file, blobs),)
    if find_groups(file):
        return read_ismrmrd(path, file)
    if "reconstruction" in file:
        raise NoRawDataError(f"a reconstruction, not k-space; found {sorted(file)}. Open it with `read_reconstruction`")
    raise FormatError(
        f"no dataset 'kspace' and no group with ISMRMRD 'xml' and 'data'; found {sorted(file)}. "
        "Is it an image-only file?"
    )


def _pinned(slices: SliceArray, blobs: BlobFiles) -> SliceArray:
    """Slices that are read from the version of the blob that was opened, and no other."""
    if not isinstance(slices, FileSlices | MrdArray | MappedSlices) or not isinstance(slices.path, BlobPath):
        return slices
    blob = blobs.find(slices.path)
    if blob is None:
        return slices
    if isinstance(slices, MrdArray):
        return slices.pinned(blob.signature)
    return replace(slices, signature=blob.signature)
