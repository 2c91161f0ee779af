"""The verbs for files, for blobs: what `access` does where a location is in Azure."""

import itertools
import uuid
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from mrikit.storage.blob import BLOCK_BYTES, blob_client, blob_errors, container_client, error_code
from mrikit.storage.location import BlobPath
from mrikit.storage.state import NOT_THERE, FileState

if TYPE_CHECKING:
    from azure.storage.blob import BlobProperties

_CONCURRENT_BLOCKS = 4
_NOTHING_THERE = 416  # the status of a range beyond the end


def list_blobs(folder: BlobPath) -> dict[str, FileState]:
    """Every blob below a prefix, by name relative to it, but no folders."""
    prefix = f"{folder.key}/" if folder.key else ""
    with blob_errors(folder):
        listed = container_client(folder.container).list_blobs(name_starts_with=prefix, include=["metadata"])
        states = {blob.name[len(prefix) :]: _blob_state(blob) for blob in listed}
    return {name: state for name, state in states.items() if not _is_folder(state)}


def find_blob(path: BlobPath) -> FileState | None:
    """State of a blob; None if there is none, or it stands for a folder."""
    with blob_errors(path):
        from azure.core.exceptions import ResourceNotFoundError

        try:
            state = _blob_state(blob_client(path).get_blob_properties())
        except ResourceNotFoundError as error:
            if error_code(error) == "ContainerNotFound":
                raise
            return None
    return None if _is_folder(state) else state


def remove_blob(path: BlobPath, if_version: int | None) -> None:
    """Delete a blob, if there is one."""
    with blob_errors(path):
        from azure.core.exceptions import ResourceNotFoundError

        try:
            blob_client(path).delete_blob(**_if_match(if_version))
        except ResourceNotFoundError as error:
            if error_code(error) == "ContainerNotFound":
                raise


def read_blob_range(path: BlobPath, start: int, count: int, if_version: int | None) -> bytes:
    """A range of a blob; fewer bytes where it ends before."""
    with blob_errors(path):
        from azure.core.exceptions import HttpResponseError

        try:
            return bytes(blob_client(path).download_blob(start, count, **_if_match(if_version)).readall())
        except HttpResponseError as error:
            if error.status_code != _NOTHING_THERE:
                raise
            return b""  # the blob ends before `start`


def read_blob(path: BlobPath) -> bytes:
    """All of a blob."""
    with blob_errors(path):
        return blob_client(path).download_blob().readall()


def write_blob(
    path: BlobPath, chunks: Iterable[bytes | memoryview], metadata: Mapping[str, str], if_version: int | None
) -> FileState:
    """Replace a blob, whole or not at all."""
    with blob_errors(path):
        return _write_pieces(path, _Pieces(chunks), dict(metadata), if_version)


def _write_pieces(path: BlobPath, pieces: "_Pieces", metadata: dict[str, str], if_version: int | None) -> FileState:
    """Blocks, then their list, which makes the blob; `upload_blob` does the same but never ends on an empty stream."""
    client, condition = blob_client(path), _write_condition(if_version)
    from azure.storage.blob import BlobBlock  # only now it is known to be there

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


def _is_folder(state: FileState) -> bool:
    """Accounts with real folders show each of them as an empty blob, too."""
    return any(name.lower() == "hdi_isfolder" for name in state.metadata)


def _blob_state(blob: "BlobProperties") -> FileState:
    return FileState(size_bytes=blob.size, version=_version(blob.etag), metadata=dict(blob.metadata or {}))


def _version(etag: str) -> int:
    """An ETag such as "0x8DC5B7C2A1" as the number that it is."""
    return int(etag.strip('"'), 16)


def _if_match(version: int | None) -> dict[str, Any]:
    from azure.core import MatchConditions

    if version is None:
        return {}
    return {"etag": f'"0x{version:X}"', "match_condition": MatchConditions.IfNotModified}
