"""The blocks of an .xz file: where they lie, and each of them decoded alone.

An .xz file is a row of streams; a stream is a header, blocks, an index of their sizes and a footer. Blocks do not know
of each other, so each can be decoded on another core, or skipped.

Source:
    The .xz File Format 1.2.1, https://tukaani.org/xz/xz-file-format.txt
"""

import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mrikit.transfer.source import ByteSource
from mrikit.transfer.unpacking.damage import LimitError

PIECE_BYTES = 2**20
"""Decoded bytes are handed on in pieces of this size."""
DECODER_BYTES = 2**28
"""What a decoder may always take for its dictionary and itself; `xz -9` makes files that need 65 MiB."""

_HEADER_MAGIC = b"\xfd7zXZ\x00"
_FOOTER_MAGIC = b"YZ"
_EDGE_BYTES = 12  # of a header, and of a footer
_PART_BYTES = 2**18
_MAX_INDEX_BYTES = 2**22
_MAX_BLOCKS = 2**18  # 60 MiB; with more it is decoded from front to back
_MAX_STREAMS = 2**12
_MAX_PADDING_BYTES = 2**20
_MAX_GAP_BYTES = 2**22  # before a block, which is read together with it


@dataclass(frozen=True, kw_only=True, slots=True)
class XzBlock:
    """A block of an .xz file."""

    start: int
    """Offset of its first byte in the file."""
    unpadded_size: int
    """Bytes from the block's header to its check."""
    size_bytes: int
    """Decoded."""
    output_start: int
    """Offset of its first decoded byte in the whole."""
    flags: bytes
    """The two bytes of the stream that say which check is used."""

    @property
    def stop(self) -> int:
        """Offset in the file of what follows it and its padding."""
        return self.start + _padded(self.unpadded_size)

    @property
    def output_stop(self) -> int:
        """Offset of what follows it in the decoded whole."""
        return self.output_start + self.size_bytes


class XzDecoder:
    """liblzma's decoder of a file, with a bound of its memory.

    Args:
        memory_bytes: What it may take, if that is more than `DECODER_BYTES`.
    """

    def __init__(self, memory_bytes: int) -> None:
        self._limit_bytes = max(DECODER_BYTES, memory_bytes)
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=self._limit_bytes)

    @property
    def eof(self) -> bool:
        """Whether the end of the data was reached."""
        return self._decoder.eof

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes without new data."""
        return self._decoder.needs_input

    @property
    def unused_data(self) -> bytes:
        """What follows the end."""
        return self._decoder.unused_data

    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes:
        """The next decoded bytes.

        Raises:
            lzma.LZMAError: The data are damaged.
            LimitError: The decoder needs more memory.
        """
        try:
            return self._decoder.decompress(data, max_length)
        except lzma.LZMAError as error:
            if "memory usage limit" in str(error).lower():
                raise LimitError(needs_memory("xz", self._limit_bytes)) from error
            raise


class _NoIndexError(ValueError):
    """The end of the file is not what it has to be."""


def read_blocks(source: ByteSource) -> tuple[XzBlock, ...] | None:
    """All blocks of all streams, from the indices at their ends; two or three short reads for each stream.

    Returns:
        None if the file does not end as an .xz file does: it is cut, damaged, something follows it, or its index is
        larger than any that is plausible.

    Raises:
        TransferError: The source cannot be read.
        StorageError: The source cannot be read.
    """
    streams: list[list[tuple[int, int, int, bytes]]] = []
    stop = source.size_bytes
    num_blocks = 0
    try:
        while stop > 0:
            stop, blocks = _read_stream(source, stop)
            streams.append(blocks)
            num_blocks += len(blocks)
            if len(streams) > _MAX_STREAMS or num_blocks > _MAX_BLOCKS:
                return None
    except _NoIndexError:
        return None
    found: list[XzBlock] = []
    output_start = stop = 0
    for start, unpadded_size, size_bytes, flags in (block for stream in reversed(streams) for block in stream):
        found.append(
            XzBlock(
                start=start, unpadded_size=unpadded_size, size_bytes=size_bytes, output_start=output_start, flags=flags
            )
        )
        output_start += size_bytes
        if start - stop > _MAX_GAP_BYTES:
            return None
        stop = found[-1].stop
    return tuple(found) if source.size_bytes - stop <= _MAX_INDEX_BYTES + _MAX_GAP_BYTES else None


def decode_block(
    data: memoryview, block: XzBlock, memory_bytes: int = 0, check: Callable[[], None] = lambda: None
) -> list[bytes]:
    """The decoded bytes of a block, in pieces; liblzma compares them with the block's own check and the index.

    Args:
        data: The block with its padding.
        block: What the index says of it.
        memory_bytes: What the decoder may take, if that is more than `DECODER_BYTES`.
        check: Called before each piece; raises to stop.

    Raises:
        lzma.LZMAError: The block is damaged, or not what the index says.
        LimitError: The decoder needs more.
    """
    decoder = XzDecoder(memory_bytes)
    parts = _as_stream(data, block)
    pieces, size = [], 0
    while not decoder.eof:
        check()
        part = next(parts, None) if decoder.needs_input else b""
        if part is None:
            raise lzma.LZMAError("cut short")
        piece = decoder.decompress(part, PIECE_BYTES)
        size += len(piece)
        if size > block.size_bytes:
            break
        if piece:
            pieces.append(piece)
    if size != block.size_bytes:
        raise lzma.LZMAError("not of the size that the index says")
    return pieces


def needs_memory(compression: str, limit_bytes: int) -> str:
    """What to say of an archive whose dictionary is too large."""
    return (
        f"its {compression} data need a dictionary of about {limit_bytes / 2**20:.0f} MiB or more; "
        f"allow more with --memory, such as {limit_bytes // 2**19}MiB for each archive at a time"
    )


def _as_stream(data: memoryview, block: XzBlock) -> Iterator[bytes | memoryview]:
    """A stream of this block alone, in parts: a decoder copies what it cannot use at once."""
    yield _HEADER_MAGIC + block.flags + _crc(block.flags)
    yield from (data[start : start + _PART_BYTES] for start in range(0, len(data), _PART_BYTES))
    index = b"\x00\x01" + _number(block.unpadded_size) + _number(block.size_bytes)
    index += bytes(-len(index) % 4)
    index += _crc(index)
    sizes = (len(index) // 4 - 1).to_bytes(4, "little") + block.flags
    yield index + _crc(sizes) + sizes + _FOOTER_MAGIC


def _read_stream(source: ByteSource, stop: int) -> tuple[int, list[tuple[int, int, int, bytes]]]:
    """Where the stream that ends before `stop` begins, and start, unpadded size, size and flags of its blocks."""
    stop = _skip_padding(source, stop)
    if stop < 2 * _EDGE_BYTES:
        raise _NoIndexError
    footer = source.read(stop - _EDGE_BYTES, _EDGE_BYTES)
    if footer[10:] != _FOOTER_MAGIC or _crc(footer[4:10]) != footer[:4]:
        raise _NoIndexError
    index_bytes = 4 * (int.from_bytes(footer[4:8], "little") + 1)
    index_start = stop - _EDGE_BYTES - index_bytes
    if index_start < _EDGE_BYTES or index_bytes > _MAX_INDEX_BYTES:
        raise _NoIndexError
    sizes = _parse_index(source.read(index_start, index_bytes))
    start = index_start - sum(_padded(unpadded) for unpadded, _ in sizes)
    if start < _EDGE_BYTES:
        raise _NoIndexError
    flags = footer[8:10]
    if source.read(start - _EDGE_BYTES, _EDGE_BYTES) != _HEADER_MAGIC + flags + _crc(flags):
        raise _NoIndexError
    stream_start = start - _EDGE_BYTES
    blocks = []
    for unpadded, size in sizes:
        blocks.append((start, unpadded, size, flags))
        start += _padded(unpadded)
    return stream_start, blocks


def _skip_padding(source: ByteSource, stop: int) -> int:
    """Before the zeros, four at a time, that may follow a stream."""
    for _ in range(_MAX_PADDING_BYTES // 4096):
        count = min(stop, 4096)
        tail = source.read(stop - count, count)
        num_zeros = len(tail) - len(tail.rstrip(b"\x00"))
        if num_zeros < count or count == 0:
            if num_zeros % 4:
                raise _NoIndexError
            return stop - num_zeros
        stop -= count
    raise _NoIndexError


def _parse_index(index: bytes) -> list[tuple[int, int]]:
    """Unpadded and decoded size of each block."""
    if index[0] != 0 or _crc(index[:-4]) != index[-4:]:
        raise _NoIndexError
    num_blocks, position = _read_number(index, 1)
    if num_blocks > _MAX_BLOCKS:
        raise _NoIndexError
    sizes = []
    for _ in range(num_blocks):
        unpadded, position = _read_number(index, position)
        size, position = _read_number(index, position)
        if unpadded < 5:
            raise _NoIndexError
        sizes.append((unpadded, size))
    if any(index[position:-4]) or len(index) - 4 - position > 3:
        raise _NoIndexError
    return sizes


def _read_number(data: bytes, position: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    value = 0
    for count in range(9):
        if position >= len(data) - 4:
            raise _NoIndexError
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << (7 * count)
        if not byte & 0x80:
            return value, position
    raise _NoIndexError


def _number(value: int) -> bytes:
    data = bytearray()
    while value >= 0x80:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def _padded(size: int) -> int:
    return size + -size % 4


def _crc(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "little")
