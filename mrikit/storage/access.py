"""The same few verbs for local files and blobs."""

import itertools
import os
import uuid
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrikit.errors import StorageError
from mrikit.storage.blob import BLOCK_BYTES, blob_client, blob_errors, container_client, error_code
from mrikit.storage.local import atomic_path
from mrikit.storage.location import BlobPath, Location

if TYPE_CHECKING:
    from io import FileIO

    from azure.storage.blob import BlobProperties

NOT_THERE = 0
"""The version of a file that does not exist."""
_CONCURRENT_BLOCKS = 4
_NOTHING_THERE = 416  # the status of a range beyond the end


@dataclass(frozen=True, kw_only=True, slots=True)
class FileState:
    """What a listing tells about a file."""

    size_bytes: int
    version: int
    """Changes whenever the file does: the time of modification in ns, or the ETag of a blob as a number."""
    metadata: dict[str, str] = field(default_factory=dict)
    """What its writer noted on a blob; always empty for a local file."""


def list_files(folder: Location) -> dict[str, FileState]:
    """Every file below a folder, those whose names start with a dot too; nothing if there is no such folder.

    Returns:
        Names relative to the folder, joined by `/`, sorted.

    Raises:
        StorageError: It cannot be listed.
    """
    found = _list_blobs(folder) if isinstance(folder, BlobPath) else _list_local(folder)
    return dict(sorted(found.items()))


def file_state(path: Location) -> FileState | None:
    """Size and version of a file; None if there is none.

    Raises:
        StorageError: Whether it is there cannot be known.
    """
    if isinstance(path, BlobPath):
        from azure.core.exceptions import ResourceNotFoundError

        with blob_errors(path):
            try:
                return _blob_state(blob_client(path).get_blob_properties())
            except ResourceNotFoundError as error:
                if error_code(error) == "ContainerNotFound":
                    raise
                return None
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
        return _read_blob_range(path, start, count, if_version)
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
        with blob_errors(path):
            return blob_client(path).download_blob().readall()
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
        with blob_errors(path):
            return _write_blob(path, _Pieces(chunks), dict(metadata or {}), if_version)
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
        if_version: The version that a blob must still have.

    Raises:
        StorageError: It cannot be deleted, or is not that version any more.
    """
    if isinstance(path, BlobPath):
        from azure.core.exceptions import ResourceNotFoundError

        with blob_errors(path):
            try:
                blob_client(path).delete_blob(**_if_match(if_version))
            except ResourceNotFoundError as error:
                if error_code(error) == "ContainerNotFound":
                    raise
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{path}: cannot be deleted: {error.strerror}") from error


class _Pieces:
    """Pieces of any size as a file that is read in blocks."""

    def __init__(self, chunks: Iterable[bytes | memoryview]) -> None:
        self.size_bytes = 0
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def read(self, size: int = BLOCK_BYTES) -> bytes:
        """The next `size` bytes; fewer at the end."""
        parts, wanted = [], size
        while wanted:
            if not self._rest:
                chunk = next(self._chunks, None)
                if chunk is None:
                    break
                self._rest = memoryview(chunk).cast("B")
                continue
            parts.append(self._rest[:wanted])
            self._rest = self._rest[wanted:]
            wanted -= len(parts[-1])
        block = b"".join(parts)
        self.size_bytes += len(block)
        return block


def _read_blob_range(path: BlobPath, start: int, count: int, if_version: int | None) -> bytes:
    from azure.core.exceptions import HttpResponseError

    with blob_errors(path):
        try:
            return bytes(blob_client(path).download_blob(start, count, **_if_match(if_version)).readall())
        except HttpResponseError as error:
            if error.status_code != _NOTHING_THERE:
                raise
            return b""  # the blob ends before `start`


def _write_blob(path: BlobPath, pieces: _Pieces, metadata: dict[str, str], if_version: int | None) -> FileState:
    """Blocks, then their list, which makes the blob; `upload_blob` does the same but never ends on an empty stream."""
    from azure.storage.blob import BlobBlock

    client, condition = blob_client(path), _write_condition(if_version)
    first = pieces.read()
    if len(first) < BLOCK_BYTES:
        written = client.upload_blob(first, overwrite=if_version != NOT_THERE, metadata=metadata, **condition)
        return FileState(size_bytes=len(first), version=_version(str(written["etag"])), metadata=metadata)
    mine = uuid.uuid4().hex  # two writers at once must not mix their blocks
    blocks: list[BlobBlock] = []
    running: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(_CONCURRENT_BLOCKS) as pool:
        for block in itertools.chain([first], iter(pieces.read, b"")):
            blocks.append(BlobBlock(f"{mine}-{len(blocks):06d}"))
            running.append(pool.submit(client.stage_block, blocks[-1].id, block))
            if len(running) >= _CONCURRENT_BLOCKS:
                running.popleft().result()
        while running:
            running.popleft().result()
    written = client.commit_block_list(blocks, metadata=metadata, **condition)
    return FileState(size_bytes=pieces.size_bytes, version=_version(str(written["etag"])), metadata=metadata)


def _write_condition(if_version: int | None) -> dict[str, Any]:
    from azure.core import MatchConditions

    return {"match_condition": MatchConditions.IfMissing} if if_version == NOT_THERE else _if_match(if_version)


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


def _list_blobs(folder: BlobPath) -> dict[str, FileState]:
    prefix = f"{folder.key}/" if folder.key else ""
    with blob_errors(folder):
        listed = container_client(folder.container).list_blobs(name_starts_with=prefix, include=["metadata"])
        states = {blob.name[len(prefix) :]: _blob_state(blob) for blob in listed}
    # Accounts with real folders list each of them as an empty blob, too.
    return {name: state for name, state in states.items() if "hdi_isfolder" not in state.metadata}


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


def _blob_state(blob: "BlobProperties") -> FileState:
    return FileState(size_bytes=blob.size, version=_version(blob.etag), metadata=dict(blob.metadata or {}))


def _version(etag: str) -> int:
    """An ETag such as "0x8DC5B7C2A1" as the number that it is."""
    return int(etag.strip('"'), 16)


def _if_match(version: int | None) -> dict[str, Any]:
    from azure.core import MatchConditions

    if not version:
        return {}
    return {"etag": f'"0x{version:X}"', "match_condition": MatchConditions.IfNotModified}
