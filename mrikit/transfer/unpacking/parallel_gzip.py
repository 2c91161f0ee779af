"""A local .gz decoded on several threads by rapidgzip, where that is installed.

rapidgzip compares the CRC of each member, but says little of what is wrong, takes a file that is cut off for one that
ends, and refuses what follows the end. So it is believed only where it came to the end of one whole member; in all
other cases the file is decoded once more, from front to back, which tells what is wrong and where.

Source:
    M. Knespel and H. Brunst, Rapidgzip: parallel decompression and seeking in gzip files, HPDC 2023,
    https://doi.org/10.1145/3588195.3592992
"""

import importlib.util
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mrikit.transfer.source import ByteSource, FileSource
from mrikit.transfer.unpacking.pieces import Pieces, RawPieces
from mrikit.transfer.unpacking.sequential import Piece, Trailer
from mrikit.transfer.unpacking.xz_blocks import PIECE_BYTES
from mrikit.words import in_unicode

_WORKER_BYTES = 2**26
"""What a thread of rapidgzip takes, for compressed and decoded chunks that it reads ahead."""


class _Decoder(Protocol):
    def read(self, size: int) -> bytes: ...
    def tell_compressed(self) -> int: ...
    def close(self) -> None: ...


def can_decode(source: ByteSource) -> bool:
    """Whether rapidgzip is there, and the file on a disk of this machine, by a name in UTF-8, as rapidgzip wants it."""
    if not isinstance(source, FileSource) or not isinstance(source.path, Path):
        return False
    is_unicode = in_unicode(str(source.path)) == str(source.path)
    return is_unicode and importlib.util.find_spec("rapidgzip") is not None


class ParallelGzip:
    """A .gz file in pieces, see `Pieces`.

    Args:
        path: The file.
        raw: The same file, to be read for its digest.
        sequentially: Makes the pieces that are taken where rapidgzip is not believed.
        num_workers: Threads.
        memory_bytes: For all of them.
    """

    def __init__(
        self, path: Path, raw: RawPieces, sequentially: Callable[[], Pieces], num_workers: int, memory_bytes: int
    ) -> None:
        import rapidgzip

        num_threads = max(1, min(num_workers, memory_bytes // _WORKER_BYTES))
        self._decoder: _Decoder = rapidgzip.open(str(path), parallelization=num_threads)
        self._path, self._raw, self._sequentially = path, raw, sequentially
        self._rest: Pieces | None = None
        self._position = self._raw_stop = 0
        self._has_ended = False
        self._trailer = Trailer()

    @property
    def trailer(self) -> Trailer:
        """See `Pieces`."""
        return self._rest.trailer if self._rest is not None else self._trailer

    def next(self) -> Piece | None:
        """See `Pieces.next`."""
        if self._rest is not None:
            return self._rest.next()
        if self._has_ended:
            return None
        try:
            data = self._decoder.read(PIECE_BYTES)
        except (RuntimeError, ValueError, OSError):  # damage, another member, or what follows the end
            return self._go_on_sequentially()
        if not data and not self._is_end():
            return self._go_on_sequentially()
        self._position += len(data)
        self._has_ended = not data
        size_bytes = self._path.stat().st_size
        self._read_raw(size_bytes if self._has_ended else min(self._decoder.tell_compressed() // 8, size_bytes))
        verified = self._position if self._has_ended else 0
        return Piece(data=data, compressed_stop=self._raw_stop, verified_stop=verified)

    def jump(self, target: int, position: int) -> int:
        """See `Pieces.jump`."""
        return self._rest.jump(target, position) if self._rest is not None else position

    def close(self) -> None:
        """See `Pieces.close`."""
        self._decoder.close()
        self._raw.close()
        if self._rest is not None:
            self._rest.close()

    def _is_end(self) -> bool:
        """Whether the length at the end of the file is that of all that was decoded: it was one member, and whole."""
        with self._path.open("rb") as file:
            file.seek(-4, 2)
            return bool(struct.unpack("<I", file.read(4))[0] == self._position % 2**32)

    def _read_raw(self, stop: int) -> None:
        """Read on for the digest, as far as was decoded."""
        while self._raw_stop < stop:
            piece = self._raw.next()
            if piece is None:
                return
            self._raw_stop = piece.compressed_stop

    def _go_on_sequentially(self) -> Piece | None:
        """Decode again up to here, and then what rapidgzip does not."""
        self._rest = self._sequentially()
        left = self._position
        while left:
            piece = self._rest.next()
            if piece is None or len(piece.data) > left:
                break
            left -= len(piece.data)
        else:
            return self._rest.next()
        if piece is None:
            return None
        return Piece(
            data=memoryview(piece.data)[left:],
            compressed_stop=piece.compressed_stop,
            verified_stop=piece.verified_stop,
        )
