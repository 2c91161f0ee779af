"""HeldFolder: tells a folder from another of the same name that was made after it was deleted."""

import contextlib
import os
import weakref
from collections.abc import Callable
from pathlib import Path


class HeldFolder:
    """A folder that is held open: as long as it is, no other can get its number on the disk.

    Args:
        path: It may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._close: Callable[[], object] = lambda: None

    def is_same(self) -> bool:
        """Whether the folder of this path is the one that is held."""
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except OSError:
            return False

    def renew(self) -> bool:
        """Hold the folder that is there now, if any; False if it is not the one that was held."""
        if self.is_same():
            return True
        self._close()
        self._descriptor = None
        with contextlib.suppress(OSError):
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
            self._close = weakref.finalize(self, os.close, self._descriptor)
        return False
