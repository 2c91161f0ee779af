"""Where the blocks of an archive go: a file in a folder."""

import contextlib
import errno
import fcntl
import os
import shutil
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mrikit.errors import StorageError
from mrikit.storage import Location
from mrikit.storage.location import BlobPath
from mrikit.transfer.copying.blocks import BlockPlan
from mrikit.transfer.copying.copied import Copied, write_copied
from mrikit.transfer.copying.journal import Journal

_PIECE_BYTES = 2**20  # read back at once
_MARGIN_BYTES = 2**16  # what a file system needs besides the data


class Target(Protocol):
    """The place of one archive; `put` may be called from many threads, the rest from one."""

    @property
    def location(self) -> str:
        """Path or URI of the whole archive."""

    def is_complete(self) -> bool:
        """Whether the archive is there already, whole; changes nothing.

        Raises:
            StorageError: Something else is there under its name.
        """

    def present(self) -> frozenset[int]:
        """Blocks that are there; changes nothing.

        Raises:
            StorageError: It cannot be known.
        """

    def open(self) -> frozenset[int] | None:
        """Take hold of the place.

        Returns:
            Blocks that are there; None if the archive is complete and nothing is held.

        Raises:
            StorageError: It cannot be written, or someone else holds it.
        """

    def put(self, number: int, data: memoryview) -> None:
        """Write a block; once it returns the block survives a kill.

        Raises:
            StorageError: It cannot be written.
        """

    def read_back(self, number: int, feed: Callable[[memoryview], object]) -> bool | None:
        """Hand the bytes of a block that is there to `feed` in order.

        Returns:
            Whether they are as they were written; None if they cannot be read before the end.
        """

    def commit(self, sha256: str | None) -> None:
        """Make the archive whole, under its name.

        Raises:
            StorageError: It cannot be written, or is not as large as it has to be.
        """

    def close(self) -> None:
        """Let go of the place; blocks that are there stay."""


def open_target(folder: Location, plan: BlockPlan) -> Target:
    """The place of an archive in a folder or below a prefix."""
    if isinstance(folder, BlobPath):
        from mrikit.transfer.copying.blob_target import BlobTarget

        return BlobTarget(folder / plan.name, plan)
    return FolderTarget(folder, plan)


class FolderTarget:
    """`.NAME.partial`, a sparse file of the full size, with `.NAME.journal` beside it until all blocks are there."""

    def __init__(self, folder: Path, plan: BlockPlan) -> None:
        self._folder, self._plan = folder, plan
        self._path = folder / plan.name
        self._partial = folder / f".{plan.name}.partial"
        self._journal = Journal(folder / f".{plan.name}.journal", plan)
        self._crcs: dict[int, int] = {}
        self._file: int | None = None
        self._lock = threading.Lock()

    @property
    def location(self) -> str:
        """Path of the archive."""
        return str(self._path)

    def is_complete(self) -> bool:
        """Whether the file is there at its full size.

        Raises:
            StorageError: Something else is there under its name.
        """
        try:
            status = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise self._unwritable(error) from error
        if self._path.is_file() and status.st_size == self._plan.size_bytes:
            return True
        raise StorageError(
            f"{self._path}: is there already with {status.st_size} bytes, but the archive has {self._plan.size_bytes}; "
            f"move it away or delete it"
        )

    def present(self) -> frozenset[int]:
        """Blocks that the journal knows."""
        try:
            return frozenset(self._journal.load()) if self._partial.exists() else frozenset()
        except OSError as error:
            raise self._unwritable(error) from error

    def open(self) -> frozenset[int] | None:
        """Lock the partial file and make it as large as the archive; what is there is read back later."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not self.is_complete():
                self._file = self._lock_partial()
            if self.is_complete():  # perhaps since just now, by whoever held the lock
                self.close()
                self._partial.unlink(missing_ok=True)
                self._journal.path.unlink(missing_ok=True)
                return None
            self._crcs = self._journal.load()
            self._require_space()
            self._journal.begin(anew=not self._crcs)
            os.ftruncate(self._file or 0, self._plan.size_bytes)
        except OSError as error:
            self.close()
            raise self._unwritable(error) from error
        except StorageError:
            self.close()
            raise
        return frozenset(self._crcs)

    def put(self, number: int, data: memoryview) -> None:
        """Write a block, then its line in the journal."""
        crc32 = zlib.crc32(data)
        start, _ = self._plan.span(number)
        # Writes into one file wait for each other in the kernel anyway.
        with self._lock:
            if self._file is None:
                raise StorageError(f"{self._path}: closed; the same command goes on from here")
            try:
                written = 0
                while written < len(data):
                    written += os.pwrite(self._file, data[written:], start + written)
                self._journal.add(number, crc32)
            except OSError as error:
                raise self._unwritable(error) from error
            self._crcs[number] = crc32

    def read_back(self, number: int, feed: Callable[[memoryview], object]) -> bool | None:
        """The bytes of a block from the partial file; after a power cut they may differ from what was written."""
        start, count = self._plan.span(number)
        buffer = memoryview(bytearray(min(_PIECE_BYTES, count)))
        crc32 = done = 0
        with self._lock:
            file = None if self._file is None else os.dup(self._file)
        if file is None:
            return False
        try:
            while done < count:
                num_bytes = os.preadv(file, [buffer[: count - done]], start + done)
                if not num_bytes:
                    return False
                crc32 = zlib.crc32(buffer[:num_bytes], crc32)
                feed(buffer[:num_bytes])
                done += num_bytes
        except OSError:
            return False
        finally:
            os.close(file)
        return crc32 == self._crcs.get(number)

    def commit(self, sha256: str | None) -> None:
        """Force the bytes to disk, note the digest, then give the file its name."""
        assert self._file is not None, "open() comes first"
        try:
            status = os.fstat(self._file)
            if status.st_size != self._plan.size_bytes or len(self._crcs) != self._plan.num_blocks:
                raise StorageError(
                    f"{self._partial}: has {status.st_size} bytes instead of {self._plan.size_bytes}; delete it"
                )
            os.fsync(self._file)
            copied = Copied(size_bytes=status.st_size, sha256=sha256)
            write_copied(self._folder, self._plan.name, copied, status.st_mtime_ns)
            self._partial.replace(self._path)
            _flush_folder(self._folder)
            self.close()
            self._journal.path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Let go of the lock."""
        with self._lock:
            self._journal.close()
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _lock_partial(self) -> int:
        while True:
            file = os.open(self._partial, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever held the lock may have given the file its name and let go between our two calls.
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(file), self._partial.stat()):
                        return file
            except BlockingIOError:
                os.close(file)
                holder = self._journal.holder()
                raise StorageError(f"{self._path}: {holder} is copying it; wait until it ends, or stop it") from None
            os.close(file)

    def _require_space(self) -> None:
        # Blocks that are there already are not counted as free.
        missing = self._plan.size_bytes - self._plan.count_bytes(set(self._crcs))
        free = shutil.disk_usage(self._folder).free
        if free < missing + _MARGIN_BYTES:
            raise StorageError(
                f"{self._path}: {missing / 1e9:.2f} GB are to come but only {free / 1e9:.2f} GB of disk are free; free "
                f"some space or choose another folder"
            )

    def _unwritable(self, error: OSError) -> StorageError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StorageError(
                f"{self._path}: the disk is full; {len(self._crcs)} of {self._plan.num_blocks} blocks are kept; free "
                f"some space and give the same command again"
            )
        return StorageError(f"{self._path}: cannot be written: {error.strerror}; choose a folder that you may write to")


def _flush_folder(folder: Path) -> None:
    """Force names to disk."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
