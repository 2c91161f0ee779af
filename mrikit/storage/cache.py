"""RangeCache: byte ranges of blobs kept on the local disk, bounded in size; what was used longest ago makes room."""

import contextlib
import functools
import hashlib
import math
import os
import re
import shutil
import struct
import threading
import time
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

from mrikit.errors import ConfigError
from mrikit.storage.blob import blob_endpoint
from mrikit.storage.blob_ranges import read_range_into
from mrikit.storage.cache_folder import cache_folder
from mrikit.storage.location import BlobPath
from mrikit.storage.lock import take

CACHE_SIZE = "MRIKIT_CACHE_SIZE"
MOST_BYTES = 100 * 10**9
"""The cache takes no more than this unless it is told to."""

_HEAD = struct.Struct("<8sQI")
"""Before the bytes of an entry: magic, their number and their CRC-32."""
_MAGIC = b"mrikit-1"
_KEPT_SHARE = 0.9  # what eviction leaves, so that it is rare
_PAUSE_S = 60.0  # after the disk refused to take an entry
_ABANDONED_S = 3600.0  # nobody takes that long to write an entry
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", re.IGNORECASE)


class RangeCache:
    """Entries of bytes under text keys; processes and threads of one machine may use it at once.

    An entry appears whole, by renaming. Its length and checksum are compared whenever it is read, so that what a crash
    or a bad disk left of it is never taken for the data. Room is reserved before an entry is written, in a count that
    all processes share: the entries never take more than `max_bytes`, and the folder is listed only when the count says
    that it is full.

    Args:
        folder: Where the entries lie; it is made when the first is written.
        max_bytes: Most that they may take.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._paused_until = 0.0
        self._has_warned = False

    def load(self, key: str, buffer: memoryview) -> bool:
        """Fill `buffer` with the entry, which counts as used now; False if there is none of that length."""
        path = self._path(key)
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:
            return False
        try:
            is_whole = _read_entry(descriptor, buffer)
            if is_whole:
                os.utime(descriptor)
        except OSError:
            is_whole = False
        finally:
            os.close(descriptor)
        if not is_whole:
            with contextlib.suppress(OSError):
                path.unlink()
        return is_whole

    def save(self, key: str, data: bytes | memoryview) -> None:
        """Keep `data`, if the disk takes it; a disk that does not is warned of once, and spared for a minute."""
        size = _HEAD.size + len(data)
        if size > self.max_bytes or time.monotonic() < self._paused_until:
            return
        path = self._path(key)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._alone() as count:
                self._reserve(size, count)
                # At its full size at once, and renamed alone: whoever lists the folder sees it, and sees it once.
                file = temporary.open("wb")
                os.truncate(file.fileno(), size)
            with file:
                file.write(_HEAD.pack(_MAGIC, len(data), zlib.crc32(data)))
                file.write(data)
            with self._alone():
                temporary.replace(path)
        except FileNotFoundError:
            pass  # somebody deletes the cache at this moment
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            self._pause(error)

    def _path(self, key: str) -> Path:
        digest = hashlib.sha256(key.encode()).hexdigest()
        return self.folder / digest[:2] / digest[2:40]

    @contextlib.contextmanager
    def _alone(self) -> Iterator[int]:
        """Keep other processes and threads from counting; yields the file of the count."""
        # Without locks the count may be a little off.
        descriptor = take(self.folder / "size", wait_s=math.inf, is_needed=False)
        assert descriptor is not None, "it waits for ever"
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _reserve(self, size: int, count: int) -> None:
        """Count `size` bytes as taken; where that is too much, make room first."""
        counted = os.pread(count, 20, 0)
        # Without a count, as in the first use or after a full disk, the folder tells.
        taken = int(counted) + size if counted.isdigit() else self.max_bytes + 1
        if taken > self.max_bytes:
            taken = self._evict(max(int(self.max_bytes * _KEPT_SHARE) - size, 0)) + size
        os.pwrite(count, b"%020d" % taken, 0)

    def _evict(self, limit: int) -> int:
        """Delete what was used longest ago until at most `limit` bytes are left; returns how many are."""
        entries, taken, now = [], 0, time.time()
        for place in os.scandir(self.folder):
            if not place.is_dir():
                continue
            for entry in os.scandir(place):
                with contextlib.suppress(OSError):
                    status = entry.stat()
                    taken += status.st_size
                    is_temporary = entry.name.startswith(".")
                    if not is_temporary or now - status.st_mtime > _ABANDONED_S:
                        entries.append((0 if is_temporary else status.st_mtime_ns, status.st_size, entry.path))
        for used_ns, size, path in sorted(entries):
            if taken <= limit and used_ns:
                break
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108 - there may be a million of them
                taken -= size
        return taken

    def _pause(self, error: OSError) -> None:
        self._paused_until = time.monotonic() + _PAUSE_S
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"{self.folder}: what is read from Blob is not kept here: {error.strerror}; free some space, or set "
                f"MRIKIT_CACHE to a folder on another disk",
                stacklevel=2,
            )


def range_cache() -> RangeCache | None:
    """The cache of this machine's user, as large as `MRIKIT_CACHE_SIZE` says; None where that is 0.

    Raises:
        ConfigError: `MRIKIT_CACHE_SIZE` is not a size.
    """
    return _range_cache(cache_folder() / "ranges", os.environ.get(CACHE_SIZE, ""))


def read_into(path: BlobPath, start: int, buffer: memoryview, version: int, *, is_kept: bool = True) -> bool:
    """Fill `buffer` from byte `start` of a blob, by what the cache holds or else by one request.

    Args:
        path: The blob.
        start: First byte.
        buffer: Where the bytes go.
        version: What the blob must still be; other versions have other entries.
        is_kept: Whether to look into the cache, and to keep there what is read.

    Returns:
        False if the blob ends before the buffer is full.

    Raises:
        StorageError: The blob cannot be read, or is not that version any more.
    """
    cache = range_cache() if is_kept else None
    key = f"{blob_endpoint(path.container)}/{path.container}/{path.key} {version:x} {start} {len(buffer)}"
    if cache is not None and cache.load(key, buffer):
        return True
    if read_range_into(path, start, buffer, if_version=version) < len(buffer):
        return False
    if cache is not None:
        cache.save(key, buffer)
    return True


def parse_size(text: str) -> int:
    """Bytes from what a user wrote, such as `50GB` or `500 MB`; units are powers of 1000.

    Raises:
        ConfigError: It is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"{CACHE_SIZE}: '{text}' is no size; write a number and a unit such as 50GB, or 0 for none")
    return int(float(match[1]) * 1000 ** " KMGT".index(match[2].upper() or " "))


@functools.lru_cache(maxsize=4)
def _range_cache(folder: Path, size: str) -> RangeCache | None:
    max_bytes = parse_size(size) if size else _default_bytes(folder)
    return RangeCache(folder, max_bytes) if max_bytes else None


def _default_bytes(folder: Path) -> int:
    """Half of what the disk could give to the cache, what this takes already included."""
    existing = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    try:
        taken = int((folder / "size").read_bytes())
    except (OSError, ValueError):
        taken = 0
    return min((shutil.disk_usage(existing).free + taken) // 2, MOST_BYTES)


def _read_entry(descriptor: int, buffer: memoryview) -> bool:
    """Whether a file is a whole entry of this length; it is in the buffer then."""
    if os.fstat(descriptor).st_size != _HEAD.size + len(buffer):
        return False
    head, done = os.pread(descriptor, _HEAD.size, 0), 0
    while done < len(buffer):
        count = os.preadv(descriptor, [buffer[done:]], _HEAD.size + done)
        if count == 0:
            return False
        done += count
    return head == _HEAD.pack(_MAGIC, len(buffer), zlib.crc32(buffer))
