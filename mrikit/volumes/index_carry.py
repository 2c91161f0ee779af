"""The index of a folder, for a copy of the folder: what lies in a file does not depend on where the file lies."""

import json
from collections.abc import Collection
from typing import Any

from mrikit.storage import BlobPath, Location
from mrikit.volumes.data_folder import known_entries, list_folder
from mrikit.volumes.index_entry import Entry

_ARRAYS = ("kspace", "reference")


def carry_index(source: Location, target: Location, names: Collection[str]) -> int:
    """Give a copy of a folder what the index of the original knows.

    What the copy knows itself counts more. Files that nobody knows are left for the next `build_index`.

    Args:
        source: The original.
        target: The copy.
        names: Files that are the same in both.

    Returns:
        How many files the index of the copy knows now.

    Raises:
        DataError: There is no such folder.
        StorageError: An index cannot be read or written.
    """
    there, here = list_folder(source), list_folder(target)
    published = here.index.read()
    known = known_entries(here, published)
    for name, entry in known_entries(there, there.index.read()).items():
        signature = here.signatures.get(name)
        if name in names and name not in known and signature and there.signatures[name][::2] == signature[::2]:
            known[name] = _moved(entry, signature, is_blob=isinstance(target, BlobPath))
    records = {name: (signature, known[name]) for name, signature in here.signatures.items() if name in known}
    if records and records != published[0][1]:
        here.index.write(records)
    return len(records)


def _moved(entry: Entry, signature: list[int], *, is_blob: bool) -> Entry:
    """The entry of a file for its copy of this signature."""
    if entry.kind == "volumes":
        described = [
            [suffix, shape, _moved_line(line, signature, is_blob=is_blob)]
            for suffix, shape, line in json.loads(entry.line)
        ]
        return Entry(kind=entry.kind, shape=entry.shape, line=json.dumps(described))
    if entry.kind != "volume":
        return entry
    return Entry(kind=entry.kind, shape=entry.shape, line=_moved_line(entry.line, signature, is_blob=is_blob))


def _moved_line(line: str, signature: list[int], *, is_blob: bool) -> str:
    """Arrays in Blob carry the version that they were described by, local ones do not."""
    known: dict[str, Any] = json.loads(line)
    for array in (known[key] for key in _ARRAYS if known[key]):
        array.pop("signature", None)
        if is_blob:
            # An array in another file lies in the companion, whose size and version follow those of the file.
            array["signature"] = signature[2:4] if array.get("file") else signature[:2]
    return json.dumps(known, separators=(",", ":"))
