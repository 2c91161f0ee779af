"""The same few verbs for local files and blobs."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mrikit.errors import StorageError
from mrikit.storage.blob_access import find_blob, list_blobs, read_blob, read_blob_range, remove_blob, write_blob
from mrikit.storage.local import atomic_path
from mrikit.storage.location import BlobPath, Location
from mrikit.storage.state import NOT_THERE, FileState

if TYPE_CHECKING:
    from io import FileIO


def list_files(folder: Location) -> dict[str, FileState]:
    """Every file below a folder, those whose names start with a dot too; nothing if there is no such folder.

    Returns:
        Names relative to the folder, joined by `/`, sorted.

    Raises:
        StorageError: It cannot be listed.
    """
    found = list_blobs(folder) if isinstance(folder, BlobPath) else _list_local(folder)
    return dict(sorted(found.items()))


def file_state(path: Location) -> FileState | None:
    """Size and version of a file; None if there is none.

    Raises:
        StorageError: Whether it is there cannot be known.
    """
    if isinstance(path, BlobPath):
        return find_blob(path)
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StorageError(f"{path}: cannot be looked at: {error.strerror}") from error
    return FileState(size_bytes=status.st_size, version=status.st_mtime_ns)


def read_range(path: Location, start: int, count: int, *, if_version: int | None = None) -> bytes:
    """`count` bytes from byte `start`, by one read or one request; fewer where the file ends before.

    Args:
        path: The file.
        start: First byte.
        count: Number of bytes.
        if_version: The version that a blob must still have.

    Raises:
        StorageError: It cannot be read, or is not that version any more.
    """
    if isinstance(path, BlobPath):
        if count == 0:
            return b""
        return read_blob_range(path, start, count, if_version)
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            return _read_fully(file, count)
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error


def read_bytes(path: Location) -> bytes:
    """All of a file.

    Raises:
        StorageError: It cannot be read.
    """
    if isinstance(path, BlobPath):
        return read_blob(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error


def write_stream(
    path: Location,
    chunks: Iterable[bytes | memoryview],
    *,
    metadata: Mapping[str, str] | None = None,
    num_bytes: int = 0,
    if_version: int | None = None,
) -> FileState:
    """Write a file from pieces, whole or not at all; if they end with an error nothing is changed.

    Memory is constant: a few blocks of 8 MiB for a blob, nothing for a local file.

    Args:
        path: The file.
        chunks: Its bytes in order.
        metadata: Notes to keep with a blob.
        num_bytes: Expected size; a local disk with less space is refused before anything is written.
        if_version: The version that a blob must still have for this to replace it; NOT_THERE for a new one.

    Raises:
        StorageError: It cannot be written, or is not that version any more.
    """
    if isinstance(path, BlobPath):
        return write_blob(path, chunks, metadata or {}, if_version)
    with atomic_path(path, num_bytes) as temporary, temporary.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
    status = path.stat()
    return FileState(size_bytes=status.st_size, version=status.st_mtime_ns)


def write_bytes(path: Location, data: bytes, *, if_version: int | None = None) -> FileState:
    """Write a file, whole or not at all; see `write_stream`.

    Raises:
        StorageError: It cannot be written, or is not that version any more.
    """
    return write_stream(path, [data], num_bytes=len(data), if_version=if_version)


def remove(path: Location, *, if_version: int | None = None) -> None:
    """Delete a file; one that is not there is fine.

    Args:
        path: The file.
        if_version: The version that a blob must still have; with NOT_THERE nothing is done.

    Raises:
        StorageError: It cannot be deleted, or is not that version any more.
    """
    if isinstance(path, BlobPath):
        if if_version != NOT_THERE:
            remove_blob(path, if_version)
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{path}: cannot be deleted: {error.strerror}") from error


def _read_fully(file: "FileIO", count: int) -> bytes:
    """`count` bytes, which the system may give in several parts; fewer at the end of the file."""
    parts = []
    while count > 0:
        part = file.read(count)
        if not part:
            break
        parts.append(part)
        count -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _list_local(folder: Path) -> dict[str, FileState]:
    found = {}
    for place, _, names in os.walk(folder, onerror=_not_listed, followlinks=True):
        for name in names:
            path = Path(place) / name
            state = file_state(path)
            if state is not None:
                found[path.relative_to(folder).as_posix()] = state
    return found


def _not_listed(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise StorageError(f"{error.filename}: this folder cannot be listed: {error.strerror}") from error
