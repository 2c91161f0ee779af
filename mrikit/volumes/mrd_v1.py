"""Walk through an MRD v1 stream: messages one after the other, as converters and scanners send them."""

import math
from collections import Counter
from ctypes import sizeof

import numpy as np
from numpy.lib.recfunctions import repack_fields

from mrikit.errors import DataError
from mrikit.storage import BlobPath, Location
from mrikit.volumes.acquisitions import Walked
from mrikit.volumes.blob_file import Signature
from mrikit.volumes.faults import DamageError
from mrikit.volumes.pieces import read_pieces

CONFIG_FILE, CONFIG_TEXT, HEADER, CLOSE, TEXT = 1, 2, 3, 4, 5
ACQUISITION, IMAGE, WAVEFORM, ARRAY = 1008, 1022, 1026, 1030
"""Messages that a stream is made of, by the number that each begins with."""
_LEFT_OUT = {IMAGE: "images", WAVEFORM: "waveforms", ARRAY: "arrays"}
_CONFIG_BYTES = 1024
_AHEAD_BYTES = 2**20
_SAMPLE_BYTES = {1: 2, 2: 2, 3: 4, 4: 4, 5: 4, 6: 8, 7: 8, 8: 16}
"""Of images and arrays, by the number of their type."""


def is_mrd1(first: bytes) -> bool:
    """Whether a file that begins so is an MRD v1 stream; any of its first messages may come before the header."""
    message = int.from_bytes(first[:2], "little")
    if message == CONFIG_FILE:
        return len(first) > 2 and first[2:3].isascii() and first[2] >= 32
    length = int.from_bytes(first[2:6], "little")
    return message in (CONFIG_TEXT, HEADER, TEXT) and length > 0 and first[6:7].isascii() and first[6:7] != b"\0"


def walk_mrd1(path: Location, size_bytes: int, signature: Signature | None) -> Walked:
    """The header and every acquisition header of a stream, and where samples lie; samples themselves are passed over.

    Raises:
        DataError: It ends early, is damaged, or holds no scan; the message does not name the file.
    """
    from ismrmrd.hdf5 import acquisition_header_dtype

    dtype = repack_fields(np.dtype(acquisition_header_dtype))
    window = _Window(path, size_bytes, signature)
    heads, starts, xml, left_out = list[bytes](), list[int](), list[bytes](), Counter[str]()
    message = None
    try:
        while message != CLOSE:
            begin = window.position
            message = window.number(2)
            if message == ACQUISITION:
                head = window.take(dtype.itemsize)
                start, end = _extent(head, dtype, window.position)
                window.move_to(end)
                heads.append(head)
                starts.append(start)
            elif message == HEADER:
                xml.append(window.take(window.number(4)))
            elif message != CLOSE:
                _pass_over(window, message, begin, len(heads))
                left_out.update([_LEFT_OUT[message]] if message in _LEFT_OUT else [])
    except EOFError:
        raise DamageError(
            f"the MRD stream ends after {len(heads)} whole acquisitions without its closing message; is it truncated? "
            "Copy or convert it again"
        ) from None
    if not xml or not heads:
        what = "header" if not xml else "acquisition"
        raise DataError(f"an MRD stream without any {what}; found {len(heads)} acquisitions and {dict(left_out)}")
    notes = [f"{count} {name} of the stream are left out" for name, count in left_out.items()]
    notes += [f"{len(xml) - 1} further headers of the stream are ignored"] * (len(xml) > 1)
    rest = size_bytes - window.position
    notes += [f"{rest} bytes after the closing message are ignored"] * (rest > 0)
    return Walked(xml[0], np.frombuffer(b"".join(heads), dtype), np.array(starts, np.int64), tuple(notes))


def _extent(head: bytes, dtype: np.dtype[np.void], position: int) -> tuple[int, int]:
    """Where the samples of an acquisition begin and end whose header ends at `position`; its trajectory comes first."""
    known = np.frombuffer(head, dtype)[0]
    count = int(known["number_of_samples"])
    start = position + count * int(known["trajectory_dimensions"]) * 4
    return start, start + count * int(known["active_channels"]) * 8


def _pass_over(window: "_Window", message: int, begin: int, num_done: int) -> None:
    """Move beyond a message that is no part of the raw data.

    Raises:
        DataError: There is no such message.
        EOFError: The stream ends in it.
    """
    from ismrmrd.image import ImageHeader
    from ismrmrd.waveform import WaveformHeader

    if message == CONFIG_FILE:
        window.move_to(window.position + _CONFIG_BYTES)
    elif message in (CONFIG_TEXT, TEXT):
        length = window.number(4)
        window.move_to(window.position + length)
    elif message == WAVEFORM:
        wave = WaveformHeader.from_buffer_copy(window.take(sizeof(WaveformHeader)))
        window.move_to(window.position + 4 * wave.channels * wave.number_of_samples)
    elif message == IMAGE:
        image = ImageHeader.from_buffer_copy(window.take(sizeof(ImageHeader)))
        length, num_pixels = window.number(8), image.channels * math.prod(image.matrix_size)
        window.move_to(window.position + length + num_pixels * _SAMPLE_BYTES.get(image.data_type, 0))
    elif message == ARRAY:
        data_type, _, num_dims = (window.number(2) for _ in range(3))
        num_values = math.prod(window.number(8) for _ in range(num_dims))
        window.move_to(window.position + num_values * _SAMPLE_BYTES.get(data_type, 0))
    else:
        raise DamageError(
            f"the MRD stream has an unknown message {message} at byte {begin}, after {num_done} acquisitions; is it "
            "damaged? Copy or convert it again"
        )


class _Window:
    """Small numbers and pieces of a large file in order, by few large reads.

    Args:
        path: The file.
        size_bytes: Its size.
        signature: Of a blob.
    """

    def __init__(self, path: Location, size_bytes: int, signature: Signature | None) -> None:
        self.position = 0
        self._path, self._size_bytes, self._signature = path, size_bytes, signature
        self._first, self._bytes = 0, b""

    def take(self, count: int) -> bytes:
        """The next bytes.

        Raises:
            EOFError: The file has not as many.
        """
        offset = self.position - self._first
        if not 0 <= offset <= len(self._bytes) - count:
            self._read(count)
            offset = 0
        self.position += count
        return self._bytes[offset : offset + count]

    def number(self, num_bytes: int) -> int:
        """The next unsigned number."""
        return int.from_bytes(self.take(num_bytes), "little")

    def move_to(self, position: int) -> None:
        """Go on at a later byte.

        Raises:
            EOFError: The file ends before.
        """
        if position > self._size_bytes:
            raise EOFError
        self.position = position

    def _read(self, count: int) -> None:
        if self.position + count > self._size_bytes:
            raise EOFError
        # Where acquisitions are large, only their headers are wanted; of a blob each read is a request.
        ahead = max(count, _AHEAD_BYTES if isinstance(self._path, BlobPath) else 4096)
        buffer = bytearray(min(ahead, self._size_bytes - self.position))
        read_pieces(self._path, [(self.position, memoryview(buffer))], "the stream", signature=self._signature)
        self._first, self._bytes = self.position, bytes(buffer)
