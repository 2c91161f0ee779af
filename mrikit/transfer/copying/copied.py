"""What is known of an archive that an earlier run copied, without asking its source or reading it again."""

from dataclasses import dataclass
from pathlib import Path

from mrikit.errors import StorageError
from mrikit.storage import BlobPath, Location, file_state, read_json, write_json

_FOLDER = ".mrikit"


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


def copied_note(folder: Path, name: str) -> Path:
    """Where the note of a local archive lies."""
    return folder / _FOLDER / f"{name}.copied.json"
