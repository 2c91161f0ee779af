"""BlobFile: the parts of a blob that HDF5 asks for, fetched while h5py waits for nothing.

h5py has one lock for all threads and holds it while it reads; a request to Blob in there would stop all others, and may
wait for them for ever. So reading a part that is not here yet fails, the part is noted, fetched outside of h5py, and
the file is opened once more: see `hdf5.read_hdf5`. A header lies at the beginning and the end of most files, which are
fetched first, both at once: then nothing fails.
"""

import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from mrikit.errors import DataError, StorageError
from mrikit.storage import BlobPath, Location, file_state
from mrikit.storage.cache import read_into

Signature: TypeAlias = tuple[int, int]
"""Size in bytes and version of a blob."""

BLOCK_BYTES = 2**16
"""Parts begin at multiples of this; it is also the size of the parts at both ends that are fetched first."""
_MOST_AHEAD = 2**20
"""Bytes that are fetched at a time where a file is read from front to back."""


class BlobFile(io.RawIOBase):
    """A blob of which some blocks are here, as a file to be read.

    Args:
        path: The blob.
        signature: Its size and version; once it is another version it is not read any more.
        is_kept: Whether the cache on the local disk is used.
    """

    def __init__(self, path: BlobPath, signature: Signature, *, is_kept: bool = True) -> None:
        super().__init__()
        self.path = path
        self.signature = signature
        self._is_kept = is_kept
        self._blocks: dict[int, memoryview] = {}
        self._position = 0
        self._missing: tuple[int, int] | None = None
        self._ahead, self._last = 1, -1

    @property
    def size_bytes(self) -> int:
        """Of the whole blob."""
        return self.signature[0]

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a byte."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size_bytes}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """The byte that is read next."""
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer from the blocks that are here.

        Raises:
            OSError: One is not; `fetch_missing` gets it.
        """
        target = memoryview(buffer).cast("B")
        start, stop = self._position, min(self._position + len(target), self.size_bytes)
        if stop <= start:
            return 0
        numbers = range(start // BLOCK_BYTES, (stop - 1) // BLOCK_BYTES + 1)
        absent = [number for number in numbers if number not in self._blocks]
        if absent:
            self._missing = (absent[0], absent[-1] + 1)
            raise OSError(f"{self.path}: bytes from {absent[0] * BLOCK_BYTES} are not here yet")
        for number in numbers:
            first = number * BLOCK_BYTES
            low, high = max(start, first), min(stop, first + BLOCK_BYTES)
            target[low - start : high - start] = self._blocks[number][low - first : high - first]
        self._position = stop
        return stop - start

    def fetch_ends(self) -> None:
        """Fetch the first 64 KiB and at least the last, both at once; a small blob by one request.

        Raises:
            DataError: The blob is gone, or changed.
            StorageError: It cannot be read.
        """
        if self._blocks:
            return
        num_blocks = -(-self.size_bytes // BLOCK_BYTES)
        if num_blocks <= 3:
            self._fetch(0, num_blocks)
            return
        # The last whole 64 KiB straddle two blocks.
        with ThreadPoolExecutor(1) as other:
            tail = other.submit(self._fetch, num_blocks - 2, num_blocks)
            self._fetch(0, 1)
            tail.result()

    def fetch_missing(self) -> bool:
        """Fetch what reading failed for since the last call, and more where it goes on from there; False if nothing.

        Raises:
            DataError: The blob is gone, or changed.
            StorageError: It cannot be read.
        """
        if self._missing is None:
            return False
        first, last = self._missing
        self._missing = None
        self._ahead = min(self._ahead * 2, _MOST_AHEAD // BLOCK_BYTES) if first == self._last else 1
        self._last = max(last, min(first + self._ahead, -(-self.size_bytes // BLOCK_BYTES)))
        self._fetch(first, self._last)
        return True

    def _fetch(self, first: int, last: int) -> None:
        """Blocks [first, last) by one request."""
        start = first * BLOCK_BYTES
        whole = memoryview(bytearray(min(last * BLOCK_BYTES, self.size_bytes) - start))
        read_blob(self.path, start, whole, self.signature, is_kept=self._is_kept)
        for number in range(first, last):
            offset = (number - first) * BLOCK_BYTES
            self._blocks[number] = whole[offset : offset + BLOCK_BYTES]


class BlobFiles:
    """The blobs that make up one volume, each looked at and opened once.

    Args:
        known: Signatures from a listing, which has every blob there is; without it each blob is asked for.
        is_kept: Whether the cache on the local disk is used.
    """

    def __init__(self, known: Mapping[BlobPath, Signature] | None = None, *, is_kept: bool = True) -> None:
        self._known = known
        self.is_kept = is_kept
        self._open: dict[BlobPath, BlobFile | None] = {}

    def find(self, path: BlobPath) -> BlobFile | None:
        """A blob without its blocks; None if there is none.

        Raises:
            StorageError: Whether it is there cannot be known.
        """
        if path not in self._open:
            signature = blob_signature(path) if self._known is None else self._known.get(path)
            self._open[path] = None if signature is None else BlobFile(path, signature, is_kept=self.is_kept)
        return self._open[path]


def known_blob(path: Location, signature: Signature | None) -> BlobFiles | None:
    """A blob as it was when it had that signature; None for a local file."""
    if not isinstance(path, BlobPath) or signature is None:
        return None
    return BlobFiles({path: signature})


def blob_signature(path: BlobPath) -> Signature | None:
    """Size and version of a blob; None if there is none.

    Raises:
        StorageError: Whether it is there cannot be known.
    """
    state = file_state(path)
    return None if state is None else (state.size_bytes, state.version)


def read_blob(path: BlobPath, start: int, buffer: memoryview, signature: Signature, *, is_kept: bool = True) -> None:
    """Fill the buffer from byte `start` of a blob by the cache or one request.

    Raises:
        DataError: The blob is gone, or changed, or too short.
        StorageError: It cannot be read.
    """
    size_bytes, version = signature
    try:
        is_whole = start + len(buffer) <= size_bytes and read_into(path, start, buffer, version, is_kept=is_kept)
    except StorageError as error:
        # For a blob that is not there Azure says the one, Azurite the other.
        if getattr(error.__cause__, "error_code", None) in ("BlobNotFound", "ConditionNotMet"):
            raise DataError(
                f"{path}: replaced or deleted since it was looked at; run `mrikit data index` once more"
            ) from error
        raise
    if not is_whole:
        raise DataError(
            f"{path}: the blob ends at byte {size_bytes}, before byte {start + len(buffer)}; is it truncated? "
            "Copy it again"
        )
