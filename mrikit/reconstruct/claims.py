"""Claims: of several processes that write one folder, each volume is made by one."""

import contextlib
import hashlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

from mrikit.storage import cache_folder, shown
from mrikit.storage.lock import take


@contextlib.contextmanager
def claimed(out: Path, target: Path, *, waits: bool) -> Iterator[bool]:
    """Hold one reconstruction for the time of the block, also against a process that is killed in it.

    Args:
        out: The folder of reconstructions, which is there.
        target: The file to be made.
        waits: Whether to wait until another process is done with it.

    Yields:
        Whether it is ours; where no lock can be had it is, because the file itself is written whole or not at all.
    """
    path = _folder(out) / f".{hashlib.sha256(os.fsencode(target.resolve())).hexdigest()[:16]}.lock"
    lock, is_ours = None, True
    # What keeps a lock from being made keeps the reconstruction from being written, which says so better.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = take(path, wait_s=math.inf if waits else 0.0, is_needed=False)
        is_ours = lock is not None
    try:
        yield is_ours
    finally:
        if lock is not None:
            # Removed while it is held: whoever opened it meanwhile sees that it is not the lock any more.
            path.unlink(missing_ok=True)
            os.close(lock)


def _folder(out: Path) -> Path:
    """Among the reconstructions, for all machines that share the disk; in the cache for a copy of an az:// prefix."""
    return out if shown(out.resolve()) == str(out.resolve()) else cache_folder() / "reconstruct"
