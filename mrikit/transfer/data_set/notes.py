"""What is known at the target of files that an earlier copy brought.

A blob carries it as metadata, so that the listing of the container is the record, on any machine. A local folder has a
journal: a line of JSON for each file, of which a kill may tear the last.
"""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mrikit.errors import StorageError
from mrikit.storage import FileState, Location
from mrikit.transfer.places import MANIFEST_FOLDER
from mrikit.transfer.unpacking.manifest import Member

JOURNAL_NAME = "data-copy.journal"
"""In `MANIFEST_FOLDER`; no `.jsonl`, which is how manifests are called."""
_FROM = "mrikit_from"
_SHA256 = "sha256"


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """What a copy wrote."""

    came_from: str
    """Size and version of the file that it was copied from; empty where unpacking wrote it."""
    sha256: str | None
    """Hex digest, where a manifest knew it."""


def source_version(state: FileState) -> str:
    """What tells two contents of a source file apart."""
    return f"{state.size_bytes}-{state.version}"


def blob_note(state: FileState) -> Note | None:
    """What a blob says of itself; None where it says nothing."""
    if _FROM not in state.metadata and _SHA256 not in state.metadata:
        return None
    return Note(came_from=state.metadata.get(_FROM, ""), sha256=state.metadata.get(_SHA256))


def blob_metadata(state: FileState, archive: str, member: Member | None) -> dict[str, str]:
    """What a blob shall say of itself, in the words of an unpack where it came from an archive.

    Args:
        state: Of the file that it is copied from.
        archive: Name of the archive; empty for none.
        member: What the archive's manifest knows.
    """
    notes = {_FROM: source_version(state)}
    if member is None or member.sha256 is None:
        return notes
    notes |= {"archive": quote(archive), "archive_version": quote(member.version), _SHA256: member.sha256}
    return notes | ({"verified": "yes"} if member.is_verified else {})


class Journal:
    """The notes of a local folder; `add` may be called from many threads.

    Args:
        folder: The target.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / MANIFEST_FOLDER / JOURNAL_NAME
        self._lines: dict[str, Any] = {}
        with contextlib.suppress(OSError):
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError, TypeError):
                    name, *rest = json.loads(line)
                    self._lines[name] = rest

    def find(self, name: str, state: FileState) -> Note | None:
        """What is noted of a file that still is as it was left."""
        with contextlib.suppress(ValueError):
            size_bytes, version, came_from, sha256 = self._lines.get(name, ())
            if (size_bytes, version) == (state.size_bytes, state.version):
                return Note(came_from=str(came_from), sha256=sha256)
        return None

    def begin(self) -> None:
        """Make the folder.

        Raises:
            StorageError: It cannot be made or written: that is said once, and not of each file.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab"):
                pass
        except OSError as error:
            raise self._not_written(error) from error

    def add(self, name: str, written: FileState, note: Note) -> None:
        """A file is there.

        Raises:
            StorageError: It cannot be noted.
        """
        line = json.dumps([name, written.size_bytes, written.version, note.came_from, note.sha256])
        try:
            with self._path.open("ab", buffering=0) as file:
                file.write(f"\n{line}".encode())  # the line break first: it ends what a kill has torn
        except OSError as error:
            raise self._not_written(error) from error

    def _not_written(self, error: OSError) -> StorageError:
        return StorageError(f"{self._path}: cannot be written: {error.strerror}; name another folder")


def find_note(name: str, state: FileState, journal: Journal | None) -> Note | None:
    """What is known of a file of the target.

    Args:
        name: Below the target.
        state: How it is now.
        journal: Of a local target; None for blobs.
    """
    return blob_note(state) if journal is None else journal.find(name, state)


def journal_of(to: Location) -> Journal | None:
    """The journal of a local target; None for blobs, which need none."""
    return Journal(to) if isinstance(to, Path) else None
