"""One file of a mirror and its blob: brought here, brought there, and never over what somebody else has written."""

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from mrikit.errors import StorageError
from mrikit.storage.access import file_state, read_range, remove, write_stream
from mrikit.storage.blob import is_changed
from mrikit.storage.cache_folder import cache_folder
from mrikit.storage.local import atomic_path
from mrikit.storage.location import BlobPath
from mrikit.storage.mirror.ledger import Entry, Ledger
from mrikit.storage.state import NOT_THERE, FileState

_CHUNK_BYTES = 8 * 2**20
_MOST_TRIES = 3


class ConflictError(StorageError):
    """Somebody else changed a blob that is to be replaced."""


class _ChangingError(Exception):
    """A file was rewritten in place while it was uploaded."""


class Twin:
    """A file here and a blob there that shall be the same.

    Args:
        path: The file.
        blob: The blob.
        ledger: Where it is noted what both were when they were last the same.
    """

    def __init__(self, path: Path, blob: BlobPath, ledger: Ledger) -> None:
        self.path, self.blob, self._ledger = path, blob, ledger

    def is_behind(self, state: FileState, entry: Entry | None) -> bool:
        """Whether the blob has to be downloaded.

        Args:
            state: Of the blob.
            entry: What the ledger knows.

        Raises:
            ConflictError: The file was changed here, and the blob by somebody else.
        """
        found = signature(self.path)
        if found is None:
            return True
        version = entry.version if entry else NOT_THERE
        if entry and found == entry.signature:
            return version != state.version
        if version == state.version:
            return False  # changed here alone; it will be pushed
        with self.path.open("rb") as file:
            digest = _sha256(file, found[0])
        if not self._adopt(state, entry, digest, found):
            raise ConflictError(f"{self.blob}: changed by someone else since")
        return False

    def _adopt(self, state: FileState, entry: Entry | None, digest: str, found: tuple[int, int]) -> bool:
        """Take a blob that is not the known version for our own, if it is: the same content, or what was pending."""
        theirs = self._digest_there(state) if state.size_bytes == found[0] else state.metadata.get("sha256", "")
        if theirs == digest:
            self._ledger.note(self.blob, Entry(version=state.version, signature=found, sha256=digest))
            return True
        if entry and theirs and theirs == entry.pending:
            was = Entry(version=state.version, signature=(-1, 0), sha256=theirs)  # the file has changed since
            self._ledger.note(self.blob, was)
            return True
        return False

    def _digest_there(self, state: FileState) -> str:
        """The SHA256 of the blob; read in full where other programs wrote it, which note none."""
        if "sha256" in state.metadata:
            return state.metadata["sha256"]
        digest = hashlib.sha256()
        for chunk in self._read(state):
            digest.update(chunk)
        return digest.hexdigest()

    def _read(self, state: FileState) -> Iterable[bytes]:
        for start in range(0, state.size_bytes, _CHUNK_BYTES):
            count = min(_CHUNK_BYTES, state.size_bytes - start)
            yield read_range(self.blob, start, count, if_version=state.version)

    def download(self, state: FileState) -> Entry:
        """Bring the blob here.

        Returns:
            What is to be noted in the ledger.

        Raises:
            StorageError: It is not in this state any more, or not what was written, or cannot be read or written.
        """
        digest = hashlib.sha256()
        try:
            with atomic_path(self.path, state.size_bytes) as temporary, temporary.open("wb") as file:
                for chunk in self._read(state):
                    digest.update(chunk)
                    file.write(chunk)
                self._require_digest(state, digest.hexdigest())
        except StorageError as error:
            if getattr(error.__cause__, "errno", None) not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise StorageError(
                f"{self.blob}: {state.size_bytes} bytes do not fit on the disk of {cache_folder()}; free some space, "
                f"or set MRIKIT_CACHE to a folder on another disk"
            ) from error
        found = signature(self.path) or (-1, 0)
        return Entry(version=state.version, signature=found, sha256=digest.hexdigest())

    def _require_digest(self, state: FileState, digest: str) -> None:
        if digest != state.metadata.get("sha256", digest):
            raise StorageError(
                f"{self.blob}: its content has not the digest that was noted with it; it was damaged, so write it again"
            )

    def upload(self) -> None:
        """Bring the file there, as it is now; one that is gone will be seen to the next time.

        Raises:
            ConflictError: Somebody else changed the blob.
            StorageError: Something cannot be read or written.
        """
        for _ in range(_MOST_TRIES):
            try:
                with self.path.open("rb") as file:
                    self._upload(file)
            except FileNotFoundError:
                return
            except _ChangingError:
                continue
            return
        raise StorageError(f"{self.blob}: the file is rewritten all the time here; it is not there as it is now")

    def _upload(self, file: BinaryIO) -> None:
        found = _signature_of(file)
        digest = _sha256(file, found[0])
        for _ in range(_MOST_TRIES):
            entry = self._ledger.entry(self.blob)
            if entry and entry.sha256 == digest:  # touched, not changed
                state = FileState(size_bytes=found[0], version=entry.version)
                break
            self._ledger.intend(self.blob, digest)
            try:
                state = write_stream(
                    self.blob,
                    _unchanged(file, found[0], digest),
                    metadata={"sha256": digest},
                    num_bytes=found[0],
                    if_version=entry.version if entry else NOT_THERE,
                )
                break
            except StorageError as error:
                if not is_changed(error.__cause__):
                    raise
                self._settle(entry, digest, found)
        else:
            raise ConflictError(f"{self.blob}: changed by someone else since")
        self._ledger.note(self.blob, Entry(version=state.version, signature=found, sha256=digest))

    def _settle(self, entry: Entry | None, digest: str, found: tuple[int, int]) -> None:
        """Find out why a blob is not the version that is known; return if it may be tried again.

        Raises:
            ConflictError: Somebody else changed it.
        """
        state, now = file_state(self.blob), self._ledger.entry(self.blob)
        if state is None:
            # Deleted by somebody else: there is nothing to overwrite.
            self._ledger.forget(self.blob, entry.version if entry else NOT_THERE)
        elif now and now.version != (entry.version if entry else NOT_THERE):
            pass  # another process of this machine has it too, and was faster
        elif not self._adopt(state, entry, digest, found):
            raise ConflictError(f"{self.blob}: changed by someone else since")

    def remove_blob(self, entry: Entry) -> None:
        """Delete the blob, unless it is another version meanwhile or the file is here again.

        Raises:
            StorageError: It cannot be deleted.
        """
        if signature(self.path) is not None:
            return
        try:
            remove(self.blob, if_version=entry.version)
        except StorageError as error:
            if not is_changed(error.__cause__):
                raise
        self._ledger.forget(self.blob, entry.version)


def is_other(state: FileState, entry: Entry) -> bool:
    """Whether a blob is neither what was known of it nor what was about to be written to it."""
    is_same = state.version == entry.version or state.metadata.get("sha256") == entry.sha256
    return not (is_same or is_pending(state, entry))


def is_pending(state: FileState, entry: Entry) -> bool:
    """Whether a blob is what was about to be written to it."""
    return bool(entry.pending) and state.metadata.get("sha256") == entry.pending


def signature(path: Path) -> tuple[int, int] | None:
    """Size in bytes and modification time in ns of a file; None if there is none."""
    state = file_state(path)
    return (state.size_bytes, state.version) if state else None


def _signature_of(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _chunks(file: BinaryIO, size_bytes: int) -> Iterable[bytes]:
    """The first bytes of a file that may be growing."""
    file.seek(0)
    while size_bytes > 0 and (chunk := file.read(min(_CHUNK_BYTES, size_bytes))):
        size_bytes -= len(chunk)
        yield chunk


def _unchanged(file: BinaryIO, size_bytes: int, digest: str) -> Iterator[bytes]:
    """The first bytes of a file; an error at their end, which stops their use, if they are not those of the digest."""
    found = hashlib.sha256()
    for chunk in _chunks(file, size_bytes):
        found.update(chunk)
        yield chunk
    if found.hexdigest() != digest:
        raise _ChangingError


def _sha256(file: BinaryIO, size_bytes: int) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(file, size_bytes):
        digest.update(chunk)
    return digest.hexdigest()
