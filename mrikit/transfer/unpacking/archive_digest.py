"""The SHA256 of an archive that is read in order, but perhaps not all of it."""

import hashlib
from collections.abc import Callable

from mrikit.transfer.source import ByteSource

_READ_BYTES = 2**22


class ArchiveDigest:
    """SHA256 of an archive's bytes, as far as they are read in order.

    Args:
        source: The archive.
        is_wanted: Read also what decoding skips; otherwise a skip ends the digest.
        on_read: Called with the position while what was skipped is read; raises to stop.
    """

    def __init__(
        self, source: ByteSource, *, is_wanted: bool, on_read: Callable[[int], None] = lambda _position: None
    ) -> None:
        self._source, self._on_read = source, on_read
        self._hash = hashlib.sha256()
        self._position = 0
        self._is_wanted = is_wanted

    def update(self, start: int, data: bytes) -> None:
        """Take notice of bytes that were read from `start` on."""
        if start > self._position and self._is_wanted:
            self._read_to(start)
        if start == self._position:
            self._hash.update(data)
            self._position += len(data)

    def finish(self) -> str | None:
        """The hex digest; None if some bytes were skipped, or are left and nobody wants it enough to read them.

        Raises:
            TransferError: The source cannot be read.
            StorageError: The source cannot be read.
        """
        if self._is_wanted:
            self._read_to(self._source.size_bytes)
        return self._hash.hexdigest() if self._position == self._source.size_bytes else None

    def _read_to(self, stop: int) -> None:
        while self._position < stop:
            self._on_read(self._position)
            data = self._source.read(self._position, min(_READ_BYTES, stop - self._position))
            self._hash.update(data)
            self._position += len(data)
