"""One unpack of an archive into a folder at a time."""

import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from mrikit.errors import StorageError, TransferError
from mrikit.storage import BlobPath, Location, cache_folder
from mrikit.transfer.places import MANIFEST_FOLDER


@contextlib.contextmanager
def locked(to: Location, archive: str) -> Iterator[None]:
    """Keep other unpacks of this archive into this folder out, also if this process is killed.

    A lock for a container lies on this machine; another machine's blobs are not replaced unseen, because each is
    written on the condition that it is still what the listing said.

    Raises:
        TransferError: Another process has it.
        StorageError: The folder cannot be written.
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


def is_held(path: Path) -> bool:
    """Whether a process has this lock, or nobody can know."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def not_written(path: Location, error: OSError) -> StorageError:
    """What to raise for a note that cannot be written."""
    if error.errno == errno.ENOSPC:
        return StorageError(
            f"{path}: the disk is full; what was unpacked before stays: free some space, and the same command goes on "
            f"from here"
        )
    return StorageError(f"{path}: cannot be written: {error.strerror}; choose a folder that you may write to")


def stays_if_full(path: Location, error: StorageError) -> StorageError:
    """What to raise for a file that cannot be written: of a full disk, that what was unpacked before stays."""
    cause = error.__cause__
    return not_written(path, cause) if isinstance(cause, OSError) and cause.errno == errno.ENOSPC else error


def _open_lock(path: Path, busy: str) -> int:
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise not_written(path, error) from error
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
