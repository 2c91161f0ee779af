"""One unpack of an archive into a folder at a time."""

import contextlib
import errno
import hashlib
from collections.abc import Iterator

from mrikit.errors import StorageError, TransferError
from mrikit.storage import BlobPath, Location, cache_folder
from mrikit.storage.lock import alone
from mrikit.transfer.places import MANIFEST_FOLDER

_REMEDY = "choose a folder that you may write to"


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
    busy = TransferError(f"{archive}: another process unpacks it into {to}; wait for it, or choose another folder")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(alone(path, _REMEDY, busy=busy))
        except StorageError as error:
            raise stays_if_full(path, error) from error.__cause__
        try:
            yield
        finally:
            # Removed while it is held: whoever opened it meanwhile sees that it is not the lock any more.
            path.unlink(missing_ok=True)


def not_written(path: Location, error: OSError) -> StorageError:
    """What to raise for a note that cannot be written."""
    if error.errno == errno.ENOSPC:
        return StorageError(
            f"{path}: the disk is full; what was unpacked before stays: free some space, and the same command goes on "
            f"from here"
        )
    return StorageError(f"{path}: cannot be written: {error.strerror}; {_REMEDY}")


def stays_if_full(path: Location, error: StorageError) -> StorageError:
    """What to raise for a file that cannot be written: of a full disk, that what was unpacked before stays."""
    cause = error.__cause__
    return not_written(path, cause) if isinstance(cause, OSError) and cause.errno == errno.ENOSPC else error
