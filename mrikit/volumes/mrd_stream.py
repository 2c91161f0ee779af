"""StreamAcquisitions: the acquisitions of an MRD stream, v1 or v2, read at known bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mrikit.storage import Location
from mrikit.volumes.acquisitions import Walked
from mrikit.volumes.blob_file import Signature
from mrikit.volumes.held import HeldFile
from mrikit.volumes.mrd_v1 import is_mrd1, walk_mrd1
from mrikit.volumes.mrd_v2 import is_mrd2, walk_mrd2
from mrikit.volumes.pieces import read_pieces

FIRST_BYTES = 16
"""From which `stream_version` tells."""
_GAP_BYTES, _MOST_BYTES = 2**16, 2**26
"""Acquisitions that lie this close are read together, up to that much."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StreamAcquisitions:
    """The acquisitions of a stream, read at known bytes."""

    path: Location
    version: int
    """Of MRD, 1 or 2."""
    starts: npt.NDArray[np.int64]
    """(acquisition,) byte where the samples begin."""
    channels: npt.NDArray[np.int64]
    """(acquisition,) number of coils."""
    counts: npt.NDArray[np.int64]
    """(acquisition,) number of samples of a coil."""
    signature: Signature | None = None
    held: HeldFile | None = None
    walked: Walked | None = None
    """What the reader found; not kept."""

    @property
    def xml(self) -> bytes:
        """The ISMRMRD XML header."""
        return self._found().xml

    @property
    def head(self) -> npt.NDArray[np.void]:
        """(acquisition,) headers."""
        return self._found().head

    def samples(self, rows: npt.NDArray[np.int64]) -> Sequence[npt.NDArray[np.complex64]]:
        """(coil, sample) complex64 of each named acquisition.

        Raises:
            DataError: The file is gone or too short.
        """
        sizes = self.channels[rows] * self.counts[rows] * np.dtype(np.complex64).itemsize
        lines: list[npt.NDArray[np.complex64]] = []
        for first, last in _runs(self.starts[rows], sizes):
            begin = int(self.starts[rows[first]])
            whole = np.empty(int(self.starts[rows[last - 1]] + sizes[last - 1]) - begin, np.uint8)
            what = f"acquisition {rows[first]}"
            read_pieces(self.path, [(begin, whole.data)], what, held=self.held, signature=self.signature)
            for row, size in zip(rows[first:last], sizes[first:last], strict=True):
                start = int(self.starts[row]) - begin
                lines.append(whole[start : start + int(size)].view(np.complex64).reshape(int(self.channels[row]), -1))
        return lines

    def _found(self) -> Walked:
        if self.walked is not None:
            return self.walked
        size_bytes = self.signature[0] if self.signature else Path(str(self.path)).stat().st_size
        return _walk(self.path, size_bytes, self.version, self.signature)


def stream_version(first: bytes) -> int | None:
    """Which MRD a file is a stream of that begins so, 1 or 2; None if it is none."""
    if is_mrd2(first):
        return 2
    return 1 if is_mrd1(first) else None


def open_stream(path: Location, size_bytes: int, version: int, signature: Signature | None) -> StreamAcquisitions:
    """Walk through a stream once.

    Args:
        path: The file.
        size_bytes: Its size.
        version: Of MRD, 1 or 2.
        signature: Of a blob.

    Raises:
        DataError: It ends early, is damaged, has another schema or holds no scan.
    """
    walked = _walk(path, size_bytes, version, signature)
    return StreamAcquisitions(
        path=path,
        version=version,
        starts=walked.starts,
        channels=walked.head["active_channels"].astype(np.int64),
        counts=walked.head["number_of_samples"].astype(np.int64),
        signature=signature,
        walked=walked,
    )


def _walk(path: Location, size_bytes: int, version: int, signature: Signature | None) -> Walked:
    return (walk_mrd1 if version == 1 else walk_mrd2)(path, size_bytes, signature)


def _runs(starts: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """[first, last) places of acquisitions that lie close enough to be read by one request."""
    runs: list[tuple[int, int]] = []
    for place, (start, size) in enumerate(zip(starts.tolist(), sizes.tolist(), strict=True)):
        if runs:
            first, last = runs[-1]
            gap, total = start - starts[last - 1] - sizes[last - 1], start + size - starts[first]
            if 0 <= gap <= _GAP_BYTES and total <= _MOST_BYTES:
                runs[-1] = (first, place + 1)
                continue
        runs.append((place, place + 1))
    return runs
