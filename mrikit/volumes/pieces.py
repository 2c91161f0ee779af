"""Pieces of a file at known bytes, of a local one or a blob."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from mrikit.storage import BlobPath, Location
from mrikit.volumes.blob_file import Signature, read_blob
from mrikit.volumes.faults import DamageError, system_fault
from mrikit.volumes.held import HeldFile


def read_pieces(
    path: Location,
    pieces: Sequence[tuple[int, memoryview]],
    what: str,
    *,
    held: HeldFile | None = None,
    signature: Signature | None = None,
    is_kept: bool = True,
) -> None:
    """Fill each buffer from its first byte in a file.

    Args:
        path: The file.
        pieces: First byte, and the buffer to fill.
        what: Is read, for messages: `slice 3`.
        held: The file where somebody keeps it open.
        signature: Of a blob when it was opened; another one is not read.
        is_kept: Whether the cache of blobs is used.

    Raises:
        DataError: The file is gone, changed or too short.
        StorageError: A blob cannot be read.
    """
    if isinstance(path, BlobPath):
        assert signature is not None
        for start, piece in pieces:
            read_blob(path, start, piece, signature, is_kept=is_kept)
        return
    try:
        with _opened(path) if held is None else held.descriptor() as descriptor:
            is_whole = all(_fill(descriptor, buffer, start) for start, buffer in pieces)
    except OSError as error:
        raise system_fault(f"{path}: {what} cannot be read", error) from error
    if not is_whole:
        raise DamageError(f"{path}: the file ends inside {what}; is it truncated? Copy it again")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _fill(descriptor: int, buffer: memoryview, start: int) -> bool:
    """Read until the buffer is full; False if the file ends before."""
    done = 0
    while done < len(buffer):
        count = os.preadv(descriptor, [buffer[done:]], start + done)
        if count == 0:
            return False
        done += count
    return True
