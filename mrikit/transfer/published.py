"""The published digests of archives, kept beside them: they are compared long after the mail and its list are gone."""

import json
import re
from collections.abc import Mapping

from mrikit.errors import DataError, StorageError
from mrikit.storage import (
    NOT_THERE,
    BlobPath,
    Location,
    file_state,
    read_bytes,
    write_bytes,
    write_json,
)
from mrikit.storage.blob import is_changed
from mrikit.transfer.places import MANIFEST_FOLDER

PUBLISHED_NAME = "published.json"
"""In `MANIFEST_FOLDER`: hex digits in lower case by name of archive."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST_TRIES = 8


def published_digests(folder: Location) -> dict[str, str]:
    """The published SHA256 of archives that `mrikit data copy` was to bring into a folder.

    Returns:
        64 hex digits in lower case by name of archive; none where nothing was noted.

    Raises:
        StorageError: The note cannot be read.
        DataError: It is none.
    """
    path = folder / MANIFEST_FOLDER / PUBLISHED_NAME
    if file_state(path) is None:
        return {}
    try:
        found = json.loads(read_bytes(path))
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(_is_digest(digest) for digest in found.values()):
        raise DataError(f"{path}: no SHA256 digests by archive; delete it, `mrikit data copy` writes it anew")
    return found


def note_published(folder: Location, digests: Mapping[str, str]) -> None:
    """Add digests to those that are noted; nothing is written where nothing is new.

    Raises:
        StorageError: They cannot be written.
    """
    path = folder / MANIFEST_FOLDER / PUBLISHED_NAME
    for trial in range(1, _MOST_TRIES + 1):
        state = file_state(path)
        try:
            noted = published_digests(folder)
        except DataError:
            noted = {}  # a note that is none holds nothing worth keeping
        merged = noted | {name: digest.lower() for name, digest in digests.items()}
        if merged == noted:
            return
        if not isinstance(path, BlobPath):
            write_json(path, dict(sorted(merged.items())))
            return
        data = json.dumps(dict(sorted(merged.items())), indent=2).encode() + b"\n"
        try:
            write_bytes(path, data, if_version=state.version if state else NOT_THERE)
        except StorageError as error:
            # Another machine may have noted something in between.
            if trial == _MOST_TRIES or not is_changed(error.__cause__):
                raise
        else:
            return


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None
