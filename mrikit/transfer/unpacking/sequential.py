"""Compressed files decoded from front to back: xz, gz, zst and bz2, of one or several units one after the other."""

import bz2
import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from mrikit.transfer.unpacking.archive_kind import Compression, find_compression
from mrikit.transfer.unpacking.damage import ArchiveError, LimitError
from mrikit.transfer.unpacking.xz_blocks import PIECE_BYTES, XzDecoder, needs_memory

_PART_BYTES = 2**18  # of compressed bytes in one call: a decoder copies what it cannot use at once
_ZSTD_PART_BYTES = 2**10  # zstandard sets no bound on what one call returns: 1 KiB becomes 32 MiB at worst
_ZSTD_WINDOW_BYTES = 2**27
_ZSTD_MAX_WINDOW_BYTES = 2**31
_MAGIC_BYTES = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """The next decoded bytes."""

    data: bytes | memoryview
    """May be empty."""
    compressed_stop: int
    """How many compressed bytes have been used."""
    verified_stop: int
    """Decoded bytes before this offset have passed the archive's own checks."""


@dataclass(kw_only=True, slots=True)
class Trailer:
    """What follows the last unit."""

    where: str | None = field(default=None)
    """One line; None if nothing follows."""


def decode_sequentially(
    raw: Iterator[bytes], compression: Compression, trailer: Trailer, memory_bytes: int
) -> Iterator[Piece]:
    """Decode one unit (an xz stream, a gz member, a zst frame, a bz2 stream) after the other.

    Args:
        raw: The compressed file in order.
        compression: How it is compressed.
        trailer: Is told what follows the last unit if that is neither a unit nor padding.
        memory_bytes: What a decoder may take, if that is more than it may take anyway.

    Raises:
        LimitError: The decoder needs more.
        ArchiveError: After all that could be decoded before.
    """
    parts = _Parts(raw)
    decoded = verified = 0
    while True:
        unit = _new_unit(compression, memory_bytes)
        try:
            while not unit.eof:
                part = parts.next() if unit.needs_input else b""
                if part is None:
                    raise ArchiveError("truncated", f"the {compression} data ends in the middle, at byte {parts.stop}")
                data = unit.decompress(part, PIECE_BYTES)
                decoded += len(data)
                # In pieces of bounded size, so that a queue of them is bounded too.
                for start in range(0, len(data), PIECE_BYTES):
                    piece = memoryview(data)[start : start + PIECE_BYTES]
                    yield Piece(data=piece, compressed_stop=parts.stop, verified_stop=verified)
        except (lzma.LZMAError, zlib.error, OSError, ValueError, EOFError) as error:
            # OSError is what bz2 raises for damage; ArchiveError and errors of the source are neither.
            raise ArchiveError("damaged", f"the {compression} data near byte {parts.stop}: {error}") from error
        verified = decoded
        parts.put_back(unit.unused_data)
        yield Piece(data=b"", compressed_stop=parts.stop, verified_stop=verified)
        for _ in parts.skip_padding(compression):
            yield Piece(data=b"", compressed_stop=parts.stop, verified_stop=verified)  # lets the reader look up
        head = parts.peek(_MAGIC_BYTES)
        if not head:
            return
        if find_compression(head) != compression:
            trailer.where = f"bytes that are no {compression} data follow its end, from byte {parts.stop} on"
            return


class _Unit(Protocol):
    """What lzma's and bz2's decoders are."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def _new_unit(compression: Compression, memory_bytes: int) -> _Unit:
    match compression:
        case "xz":
            return XzDecoder(memory_bytes)
        case "bz2":
            return bz2.BZ2Decompressor()
        case "gz":
            return _Gzip()
        case "zst":
            return _Zstd(memory_bytes)
        case "none":
            raise AssertionError("a plain tar has no units")


class _Gzip:
    """A gzip member with the manners of lzma's decoder."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        decoded = self._decoder.decompress(self._decoder.unconsumed_tail + data, max_length)
        self.needs_input = not self._decoder.unconsumed_tail and len(decoded) < max_length
        return decoded


class _Zstd:
    """A zst frame with the manners of lzma's decoder."""

    def __init__(self, memory_bytes: int) -> None:
        import zstandard

        self._error = zstandard.ZstdError
        self._limit_bytes = min(max(_ZSTD_WINDOW_BYTES, memory_bytes), _ZSTD_MAX_WINDOW_BYTES)
        decompressor = zstandard.ZstdDecompressor(max_window_size=self._limit_bytes)
        self._decoder = decompressor.decompressobj()
        self._rest = memoryview(b"")

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def needs_input(self) -> bool:
        return not self._rest

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data + bytes(self._rest)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if data:
            self._rest = memoryview(data)
        decoded: list[bytes] = []
        size = 0
        while self._rest and size < max_length and not self._decoder.eof:
            part, self._rest = self._rest[:_ZSTD_PART_BYTES], self._rest[_ZSTD_PART_BYTES:]
            try:
                decoded.append(self._decoder.decompress(part))
            except self._error as error:
                if "too much memory" in str(error):
                    raise LimitError(needs_memory("zst", self._limit_bytes)) from error
                raise ValueError(str(error)) from error
            size += len(decoded[-1])
        return b"".join(decoded)


class _Parts:
    """Compressed bytes in order, in parts for a decoder."""

    def __init__(self, raw: Iterator[bytes]) -> None:
        self._raw = raw
        self._rest = memoryview(b"")
        self.stop = 0
        """Offset of what comes next."""

    def next(self) -> bytes | None:
        """The next part; None at the end."""
        if not self._rest:
            data = next(self._raw, None)
            if data is None:
                return None
            self._rest = memoryview(data)
        part, self._rest = self._rest[:_PART_BYTES], self._rest[_PART_BYTES:]
        self.stop += len(part)
        return bytes(part)

    def put_back(self, data: bytes) -> None:
        """Bytes that turned out to belong to what follows."""
        self._rest = memoryview(data + bytes(self._rest))
        self.stop -= len(data)

    def peek(self, count: int) -> bytes:
        """The next bytes; fewer at the end."""
        while len(self._rest) < count:
            data = next(self._raw, None)
            if data is None:
                break
            self._rest = memoryview(bytes(self._rest) + data)
        return bytes(self._rest[:count])

    def skip_padding(self, compression: Compression) -> Iterator[None]:
        """Zeros that may follow a unit: four at a time in xz, any number in gz, none in others; yields now and then."""
        if compression not in ("xz", "gz"):
            return
        step = 4 if compression == "xz" else 1
        while self.peek(step):
            count = len(self._rest)
            num_zeros = count - len(bytes(self._rest).lstrip(b"\x00"))
            num_skipped = num_zeros - num_zeros % step
            self._rest = self._rest[num_skipped:]
            self.stop += num_skipped
            if num_zeros < count or not num_skipped:
                return
            yield
