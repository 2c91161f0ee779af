"""Where the blocks of an archive go: a file in a folder."""

import errno
import os
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

from mrikit.errors import StorageError
from mrikit.storage.lock import take
from mrikit.transfer.copying.blocks import BlockPlan
from mrikit.transfer.copying.copied import Copied, write_copied
from mrikit.transfer.copying.journal import Journal

_PIECE_BYTES = 2**20  # read back at once
_SECTOR_BYTES = 512  # that st_blocks counts


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
            return frozenset(self._load(self._partial.stat()))
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            raise self._unwritable(error) from error

    def space_bytes(self) -> int:
        """Of the disk, besides what an earlier copy has taken, also one of another version: that is used again."""
        try:
            held_bytes = self._partial.stat().st_blocks * _SECTOR_BYTES
        except OSError:
            held_bytes = 0
        return max(self._plan.size_bytes - held_bytes, 0)

    def open(self) -> frozenset[int] | None:
        """Lock the partial file and make it as large as the archive; what is there is read back later."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not self.is_complete():
                self._file = self._lock_partial()
            if self.is_complete():  # perhaps since just now, by whoever held the lock
                self.close()
                remove_leftovers(self._folder, self._plan.name)
                return None
            assert self._file is not None, "or the archive is complete"
            self._crcs = self._load(os.fstat(self._file))
            if not self._crcs:
                os.ftruncate(self._file, 0)  # blocks of another version would take space, and be taken for ours
            self._journal.begin(anew=not self._crcs)
            os.ftruncate(self._file, self._plan.size_bytes)
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
                raise self._closed()
            try:
                written = 0
                while written < len(data):
                    written += os.pwrite(self._file, data[written:], start + written)
                self._journal.add(number, crc32)
            except OSError as error:
                raise self._unwritable(error) from error
            self._crcs[number] = crc32

    def read_back(self, number: int, feed: Callable[[memoryview], object]) -> bool:
        """Hand the bytes of a block of the partial file to `feed` in order.

        Returns:
            Whether they are as they were written; after a power cut they may differ.

        Raises:
            StorageError: They cannot be read, or the copy was stopped.
        """
        start, count = self._plan.span(number)
        buffer = memoryview(bytearray(min(_PIECE_BYTES, count)))
        crc32 = done = 0
        try:
            with self._lock:
                if self._file is None:
                    raise self._closed()
                file = os.dup(self._file)
            try:
                while done < count and (num_bytes := os.preadv(file, [buffer[: count - done]], start + done)):
                    crc32 = zlib.crc32(buffer[:num_bytes], crc32)
                    feed(buffer[:num_bytes])
                    done += num_bytes
            finally:
                os.close(file)
        except OSError as error:
            raise StorageError(f"{self._partial}: cannot be read: {error.strerror}; is the disk all right?") from error
        return done == count and crc32 == self._crcs.get(number)

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
            self._give_name()
            _flush_folder(self._folder)
            self.close()
            remove_leftovers(self._folder, self._plan.name)
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Let go of the lock."""
        with self._lock:
            self._journal.close()
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _load(self, partial: os.stat_result) -> dict[int, int]:
        # Before its first block a partial file has its full size; another one was made since the journal was written.
        return self._journal.load() if partial.st_size == self._plan.size_bytes else {}

    def _give_name(self) -> None:
        """Unlike a rename, a link never replaces what has got the name meanwhile."""
        try:
            os.link(self._partial, self._path)
        except FileExistsError:
            raise StorageError(
                f"{self._path}: has appeared while it was copied; what was copied is kept as {self._partial.name}; "
                f"move one of them away"
            ) from None
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
                raise
            # This file system has no links.
            self.is_complete()
            self._partial.replace(self._path)

    def _lock_partial(self) -> int:
        file = take(self._partial)
        if file is None:
            holder = self._journal.holder()
            raise StorageError(f"{self._path}: {holder} is copying it; wait until it ends, or stop it")
        return file

    def _closed(self) -> StorageError:
        return StorageError(f"{self._path}: closed; the same command goes on from here")

    def _unwritable(self, error: OSError) -> StorageError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StorageError(
                f"{self._path}: the disk is full; {len(self._crcs)} of {self._plan.num_blocks} blocks are kept; free "
                f"some space and give the same command again"
            )
        return StorageError(f"{self._path}: cannot be written: {error.strerror}; choose a folder that you may write to")


def remove_leftovers(folder: Path, name: str) -> None:
    """Remove what a kill between giving an archive its name and cleaning up has left.

    Raises:
        OSError: It cannot be removed.
    """
    for kind in ("partial", "journal"):
        (folder / f".{name}.{kind}").unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """Force names to disk."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
