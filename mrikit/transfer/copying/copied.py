"""What is known of an archive that an earlier run copied, without asking its source or reading it again."""

import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mrikit.errors import StorageError
from mrikit.storage import BlobPath, Location, file_state, read_json, write_json
from mrikit.transfer.places import MANIFEST_FOLDER

_PIECE_BYTES = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Copied:
    """A whole archive."""

    size_bytes: int
    """Of the archive at its source, and of the copy."""
    sha256: str | None
    """Hex digest of the bytes as they came; None if they were not all seen by one run."""


def copied_before(folder: Location, name: str) -> Copied | None:
    """What an earlier run noted of an archive that still is as it left it.

    Raises:
        StorageError: Whether it is there cannot be known.
    """
    state = file_state(folder / name)
    if state is None:
        return None
    if isinstance(folder, BlobPath):
        if state.metadata.get("mrikit_size") != str(state.size_bytes):
            return None
        return Copied(size_bytes=state.size_bytes, sha256=state.metadata.get("sha256"))
    try:
        note = read_json(copied_note(folder, name))
    except StorageError:
        return None
    if not isinstance(note, dict) or (note.get("size_bytes"), note.get("mtime_ns")) != (
        state.size_bytes,
        state.version,
    ):
        return None
    return Copied(size_bytes=state.size_bytes, sha256=note.get("sha256"))


def write_copied(folder: Path, name: str, copied: Copied, mtime_ns: int) -> None:
    """Note beside a local archive what is known of it.

    Raises:
        StorageError: The note cannot be written.
    """
    note = {"size_bytes": copied.size_bytes, "mtime_ns": mtime_ns, "sha256": copied.sha256}
    write_json(copied_note(folder, name), note)


def hash_copied(folder: Path, name: str, is_wanted: Callable[[], bool]) -> str | None:
    """The SHA256 of a local archive that no run of ours has seen come; noted, so that it is read only once.

    Args:
        folder: Where it lies.
        name: Of the archive.
        is_wanted: Asked now and then; None is returned once it is not.

    Raises:
        StorageError: It cannot be read, or changed meanwhile.
    """
    path, digest = folder / name, hashlib.sha256()
    try:
        with path.open("rb", buffering=0) as file:
            before, piece = os.fstat(file.fileno()), memoryview(bytearray(_PIECE_BYTES))
            left = before.st_size
            while left > 0 and (num_bytes := file.readinto(piece[:left])):
                if not is_wanted():
                    return None
                digest.update(piece[:num_bytes])
                left -= num_bytes
            after = path.stat()
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}; is the disk all right?") from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise StorageError(f"{path}: was replaced or changed while it was read; give the same command again")
    with contextlib.suppress(StorageError):  # a folder that may only be read has no note
        copied = Copied(size_bytes=after.st_size, sha256=digest.hexdigest())
        write_copied(folder, name, copied, after.st_mtime_ns)
    return digest.hexdigest()


def copied_note(folder: Path, name: str) -> Path:
    """Where the note of a local archive lies."""
    return folder / MANIFEST_FOLDER / f"{name}.copied.json"
