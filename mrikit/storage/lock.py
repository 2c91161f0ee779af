"""File locks, which end with their process.

The system keeps them (`flock`), so a lock also ends when its process is killed. It works between the processes and
threads of one machine.
"""

import contextlib
import errno
import fcntl
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from mrikit.errors import MrikitError, StorageError

# filelock is imported where it is used: that takes as long as all of `mrikit --help`.

_LOOK_S = 0.2  # whoever only asks whether a lock is held has it for a moment
_LEAST_PAUSE_S, _MOST_PAUSE_S = 0.001, 0.02
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
"""What the system says where a file system has none, as NFS and Lustre may."""


class NoLocksWarning(UserWarning):
    """A file system has no locks."""


@contextlib.contextmanager
def alone(path: Path, remedy: str, *, busy: MrikitError | None = None, is_needed: bool = False) -> Iterator[None]:
    """Let one thread of one process into the block at a time; forked children do not hold the lock.

    Args:
        path: A file that is made for this and stays.
        remedy: What would help if it cannot be made.
        busy: What to raise if another one is in the block; None to wait.
        is_needed: Whether a file system without locks is an error, instead of no lock.

    Raises:
        MrikitError: `busy`.
        StorageError: The file cannot be made.
    """
    from filelock import FileLock, Timeout

    # Not `fallback_to_soft`: a file as a lock outlives a killed process.
    lock = FileLock(path, timeout=_LOOK_S if busy else -1, thread_local=False, fallback_to_soft=False)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock)
        except Timeout:
            assert busy is not None, "others wait for ever"
            raise busy from None
        except OSError as error:
            if is_needed or error.errno not in NO_LOCKS:
                raise StorageError(f"{path}: cannot be written: {error.strerror}; {remedy}") from error
            warnings.warn(
                f"this file system has no locks ({error.strerror}); let no two commands write one folder at once",
                NoLocksWarning,
                stacklevel=2,
            )
        yield


def take(path: Path, *, wait_s: float = 0.0, is_needed: bool = True) -> int | None:
    """Open a file with its lock: for a file that is itself data, or a lock that a child process takes over.

    Args:
        path: The file; it is made if it is not there.
        wait_s: How long to wait for another holder.
        is_needed: Whether a file system without locks is an error, instead of no lock.

    Returns:
        A descriptor, open for reading and writing. It holds the lock until it is closed here and in every child that
        it was passed to. None if another one holds the lock.

    Raises:
        OSError: The file cannot be opened.
        StorageError: The file system has no locks.
    """
    from filelock import lock_descriptor

    until, pause_s = time.monotonic() + wait_s, _LEAST_PAUSE_S
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            is_free = lock_descriptor(file, blocking=False)
        except OSError as error:
            if not is_needed:
                return file
            os.close(file)
            raise StorageError(
                f"{path.parent}: files cannot be locked there: {error.strerror}; choose another folder"
            ) from error
        # The holder may have renamed or removed the file between our two calls.
        if is_free and _is_still(path, file):
            return file
        os.close(file)
        if not is_free:
            if time.monotonic() >= until:
                return None
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _MOST_PAUSE_S)


def is_held(path: Path) -> bool:
    """Whether a process holds the lock of a file, or nobody can know."""
    try:
        with path.open("rb") as file:
            # Shared, so that two who ask at once do not see each other; filelock has no such lock.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def holder(path: Path) -> str | None:
    """Who holds the lock of a file, such as `process 123 (python)`; None if this machine does not know."""
    with contextlib.suppress(OSError):
        status = path.stat()
        place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            words = line.split()
            if words[-3] == place and words[-5] == "WRITE":
                process = words[-4]
                name = Path(f"/proc/{process}/comm").read_text(encoding="utf-8", errors="replace").strip()
                return f"process {process} ({name})"
    return None


def _is_still(path: Path, file: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file), path.stat())
    return False
