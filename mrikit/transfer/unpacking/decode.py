"""An archive as the stream of bytes that it holds, whatever it is compressed with, in constant memory."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mrikit.transfer.source import ByteSource, FileSource
from mrikit.transfer.unpacking.archive_digest import ArchiveDigest
from mrikit.transfer.unpacking.archive_kind import HEAD_BYTES, describe_head, find_compression
from mrikit.transfer.unpacking.damage import ArchiveError, LimitError, NotAnArchiveError
from mrikit.transfer.unpacking.parallel_gzip import ParallelGzip, can_decode
from mrikit.transfer.unpacking.pieces import BlockPieces, Pieces, RawPieces, SequentialPieces
from mrikit.transfer.unpacking.xz_blocks import read_blocks

_AHEAD_BYTES = 2**26


class DecodedStream:
    """The decoded bytes of an archive, read forward; going far forward skips what can be skipped without decoding.

    Args:
        pieces: Where they come from.
        max_bytes: An archive that holds more is taken for a decompression bomb.
        check: Called for each piece, also for one that is passed over; raises to stop.
    """

    def __init__(self, pieces: Pieces, max_bytes: int, check: Callable[[], None] = lambda: None) -> None:
        self.compressed_position = 0
        """How many bytes of the archive have been used."""
        self.verified_position = 0
        """Decoded bytes before this offset have passed the archive's own checks."""
        self._pieces, self._max_bytes, self._check = pieces, max_bytes, check
        self._piece = memoryview(b"")
        self._piece_stop = 0

    @property
    def trailer(self) -> str | None:
        """What follows the compressed data, on one line; known at the end of the stream."""
        return self._pieces.trailer.where

    def tell(self) -> int:
        """Offset of the next decoded byte."""
        return self._piece_stop - len(self._piece)

    def read(self, count: int) -> bytes:
        """The next `count` bytes; fewer at the end.

        Raises:
            ArchiveError: They cannot be decoded.
        """
        parts = []
        while count:
            part = self._take(count)
            if part is None:
                break
            parts.append(bytes(part))
            count -= len(part)
        return b"".join(parts)

    def chunks(self, count: int) -> Iterator[memoryview]:
        """The next `count` bytes in parts that are not copied.

        Raises:
            ArchiveError: They cannot be decoded, or there are fewer.
        """
        while count:
            part = self._take(count)
            if part is None:
                raise ArchiveError("truncated", f"it ends at byte {self.tell()} of what it holds, inside a member")
            count -= len(part)
            yield part

    def skip(self, count: int) -> None:
        """Go `count` bytes forward.

        Raises:
            ArchiveError: What lies between cannot be decoded, or the end comes before.
        """
        target = self.tell() + count
        if target > self._piece_stop:
            self._piece = memoryview(b"")
            start = self._pieces.jump(target, self._piece_stop)
            if start > self._piece_stop:
                # Only what is made of parts that are checked each for itself can be jumped over.
                self._piece_stop = self.verified_position = start
            self.require_plausible(self._piece_stop, "it unpacks to too much")
        for _ in self.chunks(target - self.tell()):
            pass

    def close(self) -> None:
        """Stop reading and decoding."""
        self._pieces.close()

    def require_plausible(self, stop: int, what: str) -> None:
        """Refuse what is taken for a bomb.

        Args:
            stop: Up to which decoded byte the archive wants to be read.
            what: Why, for the message.

        Raises:
            LimitError: That is more than it may hold.
        """
        if stop > self._max_bytes:
            raise LimitError(
                f"{what}: more than {self._max_bytes} bytes, far more than its size lets expect; a bomb, or damaged? "
                f"If it is right, allow it with --max-expansion"
            )

    def _take(self, count: int) -> memoryview | None:
        """At most `count` bytes; None at the end."""
        while not self._piece:
            self._check()
            piece = self._pieces.next()
            if piece is None:
                return None
            self._piece = memoryview(piece.data)
            self._piece_stop += len(self._piece)
            self.compressed_position = piece.compressed_stop
            self.verified_position = piece.verified_stop
            self.require_plausible(self._piece_stop, "it unpacks to too much")
        part, self._piece = self._piece[:count], self._piece[count:]
        return part


def open_decoded(
    source: ByteSource,
    *,
    pool: ThreadPoolExecutor,
    num_workers: int,
    memory_bytes: int,
    max_bytes: int,
    digest: ArchiveDigest,
    check: Callable[[], None] = lambda: None,
) -> DecodedStream:
    """Open an archive as the tar that it holds.

    The blocks of an .xz file are decoded on several threads, and so is a local .gz where rapidgzip is installed;
    everything else is decoded on one, ahead of its reader.

    Args:
        source: The archive.
        pool: Threads that read and decode; others may use them too.
        num_workers: How many of them.
        memory_bytes: For blocks in flight, as they are and decoded, and for the dictionaries that decode them; an .xz
            file whose largest block takes more is decoded from front to back, with one dictionary of at most this size
            or 256 MiB. The block that is being read comes on top; other kinds take about 60 MiB.
        max_bytes: Bound of what the archive may hold.
        digest: Is told every byte that is read.
        check: See `DecodedStream`.

    Raises:
        NotAnArchiveError: It is another kind of file.
        TransferError: The source cannot be read.
        StorageError: The source cannot be read.
    """
    head = source.read(0, min(HEAD_BYTES, source.size_bytes))
    compression = find_compression(head)
    if compression is None or not any(head):
        raise NotAnArchiveError(f"{source.name}: {describe_head(head)}; copy it again, or leave it out")
    # Only a server that ignores ranges is not ranged; going to the end and back would cost all of the file, twice.
    if compression == "xz" and getattr(source, "is_ranged", True):
        blocks = read_blocks(source)
        # A dictionary takes no more room than its block has bytes.
        largest = max((block.stop - block.start + 2 * block.size_bytes for block in blocks), default=1) if blocks else 0
        if blocks and largest <= memory_bytes:
            # More than one for each thread: they go on while the reader waits for a disk to flush a file.
            wanted = max(num_workers + 1, _AHEAD_BYTES // largest)
            depth = max(1, min(wanted, memory_bytes // largest))
            return DecodedStream(BlockPieces(source, blocks, pool, depth, memory_bytes, digest), max_bytes, check)
    raw = RawPieces(source, pool, digest)
    if compression == "gz" and can_decode(source):
        assert isinstance(source, FileSource)
        assert isinstance(source.path, Path)

        def sequentially() -> Pieces:
            return SequentialPieces(RawPieces(source, pool, digest), compression, memory_bytes)

        parallel = ParallelGzip(source.path, raw, sequentially, num_workers, memory_bytes)
        return DecodedStream(parallel, max_bytes, check)
    pieces = raw if compression == "none" else SequentialPieces(raw, compression, memory_bytes)
    return DecodedStream(pieces, max_bytes, check)
