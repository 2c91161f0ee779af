"""What an unpack knows of earlier ones into the same folder, and notes for later ones."""

import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from mrikit.errors import DataError, StorageError, TransferError
from mrikit.storage import BlobPath, FileState, Location, cache_folder, file_state, list_files, read_bytes, write_bytes
from mrikit.transfer.unpacking.manifest import (
    ArchiveRecord,
    Manifest,
    Member,
    archive_line,
    format_manifest,
    manifest_path,
    member_line,
    parse_manifest,
)
from mrikit.transfer.unpacking.members import MANIFEST_FOLDER


class UnpackRecord:
    """The manifest of an archive while it is unpacked; nobody else unpacks it into the same folder meanwhile.

    For a local folder each member becomes a line of the manifest at once. A blob carries size, digest and archive as
    its metadata, so the listing of the container is the record, on any machine; its manifest is written at the end.

    Args:
        to: The folder for the members.
        archive: File name of the archive.
        size_bytes: Of the archive.
    """

    def __init__(self, to: Location, archive: str, size_bytes: int) -> None:
        self.previous: Manifest | None = None
        """What the last unpack left."""
        self.known: dict[str, Member] = {}
        """Members that were written from an archive of this name and size."""
        self._to, self._archive, self._size_bytes = to, archive, size_bytes
        self._path = manifest_path(to, archive)
        self._blobs: dict[str, FileState] = {}
        self._former: set[str] = set()
        self._file: int | None = None
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._exit.enter_context(_locked(self._to, self._archive))
        try:
            self._read()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_file()
        self._exit.close()

    @property
    def was_whole(self) -> bool:
        """Whether an earlier run came to the archive's end, and all its checks passed."""
        return self.previous is not None and self.previous.archive.state in ("whole", "trailing bytes")

    def begin(self) -> None:
        """Open it for members.

        Raises:
            StorageError: It cannot be written.
        """
        if isinstance(self._path, Path):
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            except OSError as error:
                raise _not_written(self._path, error) from error
            torn = b"\n" if os.fstat(self._file).st_size else b""
            self._append(torn + archive_line(ArchiveRecord(name=self._archive, size_bytes=self._size_bytes)))

    def state(self, name: str) -> FileState | None:
        """Size of a member's file; None if there is none.

        Raises:
            StorageError: Whether it is there cannot be known.
        """
        return self._blobs.get(name) if isinstance(self._to, BlobPath) else file_state(self._to / name)

    def is_ours(self, name: str) -> bool:
        """Whether the file of this name comes from an archive of this name, and may be replaced."""
        blob = self._blobs.get(name)
        return name in self.known or name in self._former or (blob is not None and self._is_noted(blob))

    def metadata(self, sha256: str | None) -> dict[str, str]:
        """What a member's blob carries."""
        notes = {"archive": quote(self._archive), "archive_size": str(self._size_bytes)}
        return notes | ({"sha256": sha256} if sha256 else {})

    def add(self, member: Member) -> None:
        """A member is done or refused.

        Raises:
            StorageError: It cannot be noted.
        """
        if self._file is not None:
            self._append(member_line(member))

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest anew, whole.

        Raises:
            StorageError: It cannot be written.
        """
        write_bytes(self._path, format_manifest(manifest))
        self._close_file()

    def _read(self) -> None:
        if file_state(self._path) is not None:
            data = read_bytes(self._path)
            with contextlib.suppress(DataError):  # what a full disk or a kill left of it
                self.previous = parse_manifest(data, str(self._path))
        if self.previous is not None:
            done = {member.name: member for member in self.previous.done}
            if self.previous.archive.size_bytes == self._size_bytes:
                self.known = done
            else:
                self.previous, self._former = None, set(done)
        if isinstance(self._to, BlobPath):
            self._blobs = list_files(self._to)
            self.known |= {
                name: Member(name=name, size_bytes=blob.size_bytes, sha256=blob.metadata["sha256"], state="done")
                for name, blob in self._blobs.items()
                if self._is_noted(blob)
                and "sha256" in blob.metadata
                and blob.metadata.get("archive_size") == str(self._size_bytes)
            }

    def _is_noted(self, blob: FileState) -> bool:
        return blob.metadata.get("archive") == quote(self._archive)

    def _append(self, data: bytes) -> None:
        assert self._file is not None
        try:
            num_bytes = os.write(self._file, data)
        except OSError as error:
            raise _not_written(self._path, error) from error
        if num_bytes != len(data):
            raise _not_written(self._path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


@contextlib.contextmanager
def _locked(to: Location, archive: str) -> Iterator[None]:
    """Keep other unpacks of this archive into this folder out, also if this process is killed.

    A lock for a container lies on this machine; two machines that unpack the same archive write the same bytes.
    """
    if isinstance(to, BlobPath):
        name = hashlib.sha256(f"{to}/{archive}".encode()).hexdigest()[:24]
        path = cache_folder() / "unpack" / f"{name}.lock"
    else:
        path = to / MANIFEST_FOLDER / f".{archive}.lock"
    file = _open_lock(path, f"{archive}: another process unpacks it into {to}; wait for it, or choose another folder")
    try:
        yield
    finally:
        # Removed while it is held: whoever opened it meanwhile sees that it is not the lock any more.
        path.unlink(missing_ok=True)
        os.close(file)


def _open_lock(path: Path, busy: str) -> int:
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise _not_written(path, error) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise TransferError(busy) from None
        except OSError:
            return file  # a file system without locks
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(file).st_ino == path.stat().st_ino:
                return file
        os.close(file)


def _not_written(path: Location, error: OSError) -> StorageError:
    if error.errno == errno.ENOSPC:
        return StorageError(f"{path}: the disk is full; free some space, the same command goes on from here")
    return StorageError(f"{path}: cannot be written: {error.strerror}; choose a folder that you may write to")
