"""Where the decoded bytes of an archive come from: the file itself, one decoder, or one for each block of an .xz."""

import lzma
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from mrikit.transfer.source import ByteSource
from mrikit.transfer.unpacking.archive_digest import ArchiveDigest
from mrikit.transfer.unpacking.archive_kind import Compression
from mrikit.transfer.unpacking.damage import ArchiveError
from mrikit.transfer.unpacking.read_ahead import OnThread, ReadAhead
from mrikit.transfer.unpacking.sequential import Piece, Trailer, decode_sequentially
from mrikit.transfer.unpacking.xz_blocks import XzBlock, decode_block

RAW_BYTES = 2**22
"""One read of a file that is read from front to back."""
_RAW_DEPTH = 3
_DECODED_DEPTH = 8


class Pieces(Protocol):
    """Where decoded bytes come from."""

    @property
    def trailer(self) -> Trailer:
        """What follows the last unit, once it is known."""

    def next(self) -> Piece | None:
        """The next piece; None at the end."""

    def jump(self, target: int, position: int) -> int:
        """Go towards a decoded offset without decoding; returns where the next piece begins, at most `target`."""

    def close(self) -> None:
        """Stop the threads."""


class RawPieces:
    """The bytes of the file itself, which nothing checks: what was read counts as verified."""

    def __init__(self, source: ByteSource, pool: ThreadPoolExecutor, digest: ArchiveDigest) -> None:
        self.trailer = Trailer()
        self._source, self._digest = source, digest
        # A server that ignores ranges can only be read in order, by one thread.
        depth = _RAW_DEPTH if getattr(source, "is_ranged", True) else 1
        self._ahead = ReadAhead(pool, self._read, -(-source.size_bytes // RAW_BYTES), depth)

    def next(self) -> Piece | None:
        """See `Pieces.next`."""
        start = self._ahead.position * RAW_BYTES
        data = self._ahead.next()
        if data is None:
            return None
        self._digest.update(start, data)
        stop = start + len(data)
        return Piece(data=data, compressed_stop=stop, verified_stop=stop)

    def jump(self, target: int, position: int) -> int:
        """See `Pieces.jump`."""
        self._ahead.jump(min(target, self._source.size_bytes) // RAW_BYTES)
        return max(position, min(self._ahead.position * RAW_BYTES, self._source.size_bytes))

    def close(self) -> None:
        """See `Pieces.close`."""
        self._ahead.close()

    def _read(self, number: int) -> bytes:
        start = number * RAW_BYTES
        return self._source.read(start, min(RAW_BYTES, self._source.size_bytes - start))


class SequentialPieces:
    """A compressed file from front to back."""

    def __init__(self, raw: RawPieces, compression: Compression, memory_bytes: int) -> None:
        self.trailer = Trailer()
        self._raw = raw
        data = (bytes(piece.data) for piece in iter(raw.next, None))
        self._decoded = OnThread(decode_sequentially(data, compression, self.trailer, memory_bytes), _DECODED_DEPTH)

    def next(self) -> Piece | None:
        """See `Pieces.next`."""
        return self._decoded.next()

    def jump(self, target: int, position: int) -> int:
        """See `Pieces.jump`."""
        del target
        return position

    def close(self) -> None:
        """See `Pieces.close`."""
        self._decoded.close()
        self._raw.close()


class BlockPieces:
    """The blocks of an .xz file, decoded on several threads."""

    def __init__(
        self,
        source: ByteSource,
        blocks: tuple[XzBlock, ...],
        pool: ThreadPoolExecutor,
        depth: int,
        memory_bytes: int,
        digest: ArchiveDigest,
    ) -> None:
        self.trailer = Trailer()
        self._source, self._blocks, self._digest = source, blocks, digest
        self._memory_bytes = memory_bytes
        self._is_closed = threading.Event()
        self._pieces: deque[bytes] = deque()
        self._ahead = ReadAhead(pool, self._decode, len(blocks), depth)

    def next(self) -> Piece | None:
        """See `Pieces.next`."""
        while not self._pieces:
            number = self._ahead.position
            found = self._ahead.next()
            if found is None:
                self._read_end()
                return None
            data, pieces = found
            self._digest.update(self._start(number), data)
            if isinstance(pieces, ArchiveError):
                raise pieces
            self._pieces.extend(pieces)
        block = self._blocks[self._ahead.position - 1]
        return Piece(data=self._pieces.popleft(), compressed_stop=block.stop, verified_stop=block.output_stop)

    def jump(self, target: int, position: int) -> int:
        """See `Pieces.jump`."""
        if self._pieces and target < self._blocks[self._ahead.position - 1].output_stop:
            return position  # inside the block that is being read
        last = len(self._blocks)
        number = next((n for n in range(self._ahead.position, last) if self._blocks[n].output_stop > target), last)
        self._pieces.clear()
        self._ahead.jump(number)
        return self._blocks[number].output_start if number < last else self._blocks[-1].output_stop

    def close(self) -> None:
        """See `Pieces.close`."""
        self._is_closed.set()
        self._ahead.close()

    def _start(self, number: int) -> int:
        """Where the bytes before a block begin: the stream's header, or the end of the stream before."""
        return self._blocks[number - 1].stop if number else 0

    def _decode(self, number: int) -> tuple[bytes, list[bytes] | ArchiveError]:
        """A block with what lies before it, and its pieces or what is wrong with it."""
        block, start = self._blocks[number], self._start(number)
        self._check_open()
        data = self._source.read(start, block.stop - start)
        try:
            part = memoryview(data)[block.start - start :]
            return data, decode_block(part, block, self._memory_bytes, self._check_open)
        except lzma.LZMAError as error:
            where = f"xz block {number + 1} of {len(self._blocks)}, from byte {block.start} on: {error}"
            return data, ArchiveError("damaged", where)

    def _read_end(self) -> None:
        """The index and footer of the last stream, for the digest; `read_blocks` has checked them."""
        start = self._blocks[-1].stop
        self._digest.update(start, self._source.read(start, self._source.size_bytes - start))

    def _check_open(self) -> None:
        if self._is_closed.is_set():
            raise ArchiveError("stopped", "it was closed")
