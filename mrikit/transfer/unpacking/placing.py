"""A member of an archive becomes a file, or is compared with the one that is there."""

import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mrikit.errors import StorageError
from mrikit.storage import NOT_THERE, BlobPath, FileState, Location, blob, file_state, read_range, write_stream
from mrikit.transfer.unpacking import reasons
from mrikit.transfer.unpacking.decode import DecodedStream
from mrikit.transfer.unpacking.lock import stays_if_full
from mrikit.transfer.unpacking.manifest import Member
from mrikit.transfer.unpacking.record import UnpackRecord

_SMALL_BYTES = 2**23  # a member that is sent to Blob as one request, with its digest
_READ_BYTES = 2**22


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """What became of a member."""

    member: Member
    """For the manifest."""
    is_written: bool = False
    """Whether this run wrote its file."""


class _ChangedError(StorageError):
    """Somebody else wrote or removed the file meanwhile."""


class Placer:
    """Writes members below a folder; never over a file that is not ours, and not over an equal one.

    Folders that are symbolic links are followed: whoever made them wants the members there.

    Args:
        to: The folder.
        record: Knows which files are ours, and which need no second look.
        on_chunk: Called for each chunk of a member that was decoded.
    """

    def __init__(self, to: Location, record: UnpackRecord, on_chunk: Callable[[], None]) -> None:
        self._to, self._record, self._on_chunk = to, record, on_chunk

    def place(self, name: str, size_bytes: int, stream: DecodedStream) -> Placed:
        """Make the next `size_bytes` of the stream the file `name`.

        Raises:
            ArchiveError: They cannot be decoded.
            StorageError: The file cannot be read or written.
        """
        state = self._record.state(name)
        trusted = self._record.trusted(name, state)
        if trusted is not None and trusted.size_bytes == size_bytes:
            return Placed(member=trusted)
        obstacle = self._find_obstacle(name)
        if obstacle is not None:
            return refused(name, size_bytes, obstacle)
        chunks = _Chunks(stream, size_bytes, self._on_chunk)
        if state is None:
            return self._write(name, chunks, iter(chunks), None)
        if state.size_bytes == size_bytes:
            return self._compare(name, chunks, state)
        if self._record.is_ours(name):
            return self._write(name, chunks, iter(chunks), state)
        return refused(name, size_bytes, reasons.OTHER_FILE.format(state.size_bytes))

    def _find_obstacle(self, name: str) -> str | None:
        """Why there can be no such file here."""
        if not isinstance(self._to, Path):
            return None
        path = self._to / name
        if path.is_dir():
            return reasons.IS_FOLDER
        folders = itertools.takewhile(lambda folder: folder != self._to, path.parents)
        file = next((folder for folder in folders if folder.exists() and not folder.is_dir()), None)
        return None if file is None else reasons.FOLDER_IS_FILE.format(file.relative_to(self._to))

    def _compare(self, name: str, chunks: "_Chunks", state: FileState) -> Placed:
        """Keep a file of the right size if it is the member; from the first difference on, write or refuse it."""
        there = _FileReader(self._to / name, state.version)
        parts = iter(chunks)
        for part in parts:
            if there.read(chunks.position - len(part), len(part)) == part:
                continue
            if not self._record.is_ours(name):
                return refused(name, chunks.size_bytes, reasons.OTHER_CONTENT)
            equal = there.parts(chunks.position - len(part))
            return self._write(name, chunks, itertools.chain(equal, [part], parts), state)
        known = self._record.known.get(name)
        sha256 = chunks.digest.hexdigest()
        if self._record.is_noted(state) and "sha256" not in state.metadata:
            self._note_digest(self._to / name, chunks, state.version)
        # What an earlier archive's checks have confirmed stays confirmed.
        is_verified = known is not None and known.is_verified and known.sha256 == sha256
        is_kept = not self._record.is_ours(name)
        return Placed(member=self._done(name, chunks, state.version, is_kept=is_kept, is_verified=is_verified))

    def _write(
        self, name: str, chunks: "_Chunks", parts: Iterator[bytes | memoryview], state: FileState | None
    ) -> Placed:
        """Write a file that is ours, or new; who else wrote it meanwhile is not overwritten."""
        path = self._to / name
        try:
            if isinstance(path, BlobPath):
                self._write_blob(path, chunks, parts, NOT_THERE if state is None else state.version)
                version = None
            else:
                version = write_stream(path, _unless_changed(path, parts, state), num_bytes=chunks.size_bytes).version
        except StorageError as error:
            now = file_state(path)
            if chunks.position < chunks.size_bytes or now is None or (state and now.version == state.version):
                raise stays_if_full(path, error) from error
            return self._judge_other(name, chunks, now)
        return Placed(member=self._done(name, chunks, version), is_written=True)

    def _write_blob(self, path: BlobPath, chunks: "_Chunks", parts: Iterator[bytes | memoryview], version: int) -> None:
        if chunks.size_bytes <= _SMALL_BYTES:
            data = b"".join(parts)
            notes = self._record.metadata(chunks.digest.hexdigest(), is_verified=chunks.is_verified)
            write_stream(path, [data], metadata=notes, if_version=version)
            return
        notes = self._record.metadata(None, is_verified=False)
        written = write_stream(path, parts, metadata=notes, if_version=version)
        # A kill before this leaves a blob that is known to be ours, but not to be right: it is compared again.
        self._note_digest(path, chunks, written.version)

    def _note_digest(self, path: Location, chunks: "_Chunks", version: int) -> None:
        assert isinstance(path, BlobPath)
        from azure.core import MatchConditions

        notes = self._record.metadata(chunks.digest.hexdigest(), is_verified=chunks.is_verified)
        with blob.blob_errors(path):
            blob.blob_client(path).set_blob_metadata(
                notes, etag=f'"0x{version:X}"', match_condition=MatchConditions.IfNotModified
            )

    def _judge_other(self, name: str, chunks: "_Chunks", now: FileState) -> Placed:
        """What somebody else wrote meanwhile stays; it may be the member all the same."""
        digest = hashlib.sha256()
        for part in _FileReader(self._to / name, now.version).parts(now.size_bytes):
            digest.update(part)
        if digest.digest() != chunks.digest.digest():
            return refused(name, chunks.size_bytes, reasons.CAME_MEANWHILE)
        return Placed(member=self._done(name, chunks, now.version, is_kept=not self._record.is_noted(now)))

    def _done(
        self, name: str, chunks: "_Chunks", version: int | None, *, is_kept: bool = False, is_verified: bool = False
    ) -> Member:
        """The member as it is in the folder now, in a file of this version."""
        return Member(
            name=name,
            size_bytes=chunks.size_bytes,
            sha256=chunks.digest.hexdigest(),
            state="done",
            version=self._record.version,
            is_kept=is_kept,
            file_version=None if isinstance(self._to, BlobPath) else version,
            is_verified=is_verified or chunks.is_verified,
        )


def refused(name: str, size_bytes: int, reason: str) -> Placed:
    """A member that does not become a file."""
    return Placed(member=Member(name=name, size_bytes=size_bytes, sha256=None, state="refused", reason=reason))


class _Chunks:
    """The bytes of a member, to be gone through once, and their digest so far."""

    def __init__(self, stream: DecodedStream, size_bytes: int, on_chunk: Callable[[], None]) -> None:
        self.size_bytes = size_bytes
        self.position = 0
        self.digest = hashlib.sha256()
        self._stream, self._on_chunk = stream, on_chunk
        self._stop = stream.tell() + size_bytes

    @property
    def is_verified(self) -> bool:
        """Whether the archive's own checks have confirmed all of it so far."""
        return self._stop <= self._stream.verified_position

    def __iter__(self) -> Iterator[memoryview]:
        for part in self._stream.chunks(self.size_bytes):
            self.digest.update(part)
            self.position += len(part)
            yield part
            self._on_chunk()


class _FileReader:
    """The bytes of a file in order, in large reads."""

    def __init__(self, path: Location, version: int) -> None:
        self._path, self._version = path, version
        self._start = 0
        self._data = b""

    def read(self, start: int, count: int) -> bytes:
        """`count` bytes; fewer at the end."""
        stop = start + count
        if start < self._start or stop > self._start + len(self._data):
            self._start, self._data = start, self._read(start, max(count, _READ_BYTES))
        return self._data[start - self._start : stop - self._start]

    def parts(self, stop: int) -> Iterator[bytes]:
        """Everything before byte `stop`."""
        for start in range(0, stop, _READ_BYTES):
            yield self._read(start, min(_READ_BYTES, stop - start))

    def _read(self, start: int, count: int) -> bytes:
        return read_range(self._path, start, count, if_version=self._version)


def _unless_changed(
    path: Path, parts: Iterator[bytes | memoryview], state: FileState | None
) -> Iterator[bytes | memoryview]:
    """The parts; raises at their end if the file that they will replace is not the one that was looked at."""
    yield from parts
    if file_state(path) != state:
        raise _ChangedError(f"{path}: somebody else changed it meanwhile; give the same command again")
