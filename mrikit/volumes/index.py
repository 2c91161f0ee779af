"""The sidecar index: what is known about every volume of a folder, kept in one file so that none has to be opened.

`build_index` brings it up to date and reads only files that are new or changed; a build that was killed is continued.
`load_index` takes it as it is and refuses a stale one. Of blobs the index lies among them, for all machines.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mrikit.errors import DataError
from mrikit.storage import Location
from mrikit.volumes.data_folder import DataFolder, known_entries, list_folder, look_into
from mrikit.volumes.faults import Fault, load_fault
from mrikit.volumes.files import nothing_found
from mrikit.volumes.index_entry import label_of, load_info, load_volume
from mrikit.volumes.index_file import (
    INDEX_NAME,
    Records,
    open_partial,
    partial_path,
)
from mrikit.volumes.volume import ScanInfo, Volume
from mrikit.words import in_shell

__all__ = ["INDEX_NAME", "BadFile", "Index", "build_index", "load_index"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BadFile:
    """A file that looks like a volume by its name but cannot be opened."""

    path: Location
    fault: Fault
    """Why, and what would do."""

    @property
    def message(self) -> str:
        """Why, on one line; it begins with the path."""
        return self.fault.message


@dataclass(frozen=True, kw_only=True)
class Index:
    """All volumes of a folder, known without opening their files. It can be pickled and used by many processes."""

    folder: Location
    """The data folder."""
    path: Location
    """The index file."""
    names: list[str]
    """File of each volume, relative to the folder, sorted; one that holds several volumes is there as often."""
    suffixes: list[str]
    """What follows the file's name in each volume id; empty but where a file holds several."""
    shapes: list[list[int]]
    """(slice, coil, readout, phase) of each volume."""
    lines: list[str]
    """What else is known about each volume, as JSON."""
    bad_files: list[BadFile]
    """Files that could not be opened, sorted."""

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def volume_ids(self) -> list[str]:
        """File names without folder and suffix, and which of several it is, in the order of `names`."""
        stems = [name.rpartition("/")[2].rpartition(".")[0] for name in self.names]
        return [stem + suffix for stem, suffix in zip(stems, self.suffixes, strict=True)]

    @cached_property
    def labels(self) -> list[str]:
        """Each volume in words, unlike all others: its file, and in brackets which of several it is."""
        return list(map(label_of, self.names, self.suffixes))

    def open(self, volume_id: str) -> Volume:
        """The volume, without reading its file before a slice is asked for.

        Raises:
            DataError: There is no such volume, or more than one.
        """
        return self.load(self._position(volume_id))

    def load(self, position: int) -> Volume:
        """The volume at a position of `names`, without reading its file before a slice is asked for."""
        return load_volume(self.folder, self.names[position], self.lines[position], self.suffixes[position])

    def info(self, volume_id: str) -> ScanInfo:
        """The facts of a volume.

        Raises:
            DataError: There is no such volume, or more than one.
        """
        position = self._position(volume_id)
        return load_info(self.folder, self.names[position], self.lines[position], self.suffixes[position])

    @cached_property
    def _positions(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for position, volume_id in enumerate(self.volume_ids):
            found.setdefault(volume_id, []).append(position)
        return found

    def _position(self, volume_id: str) -> int:
        positions = self._positions.get(volume_id, [])
        if not positions:
            raise DataError(f"{self.folder}: no volume '{volume_id}' among {len(self)}; see `mrikit data index`")
        if len(positions) > 1:
            names = [self.names[position] for position in positions]
            raise DataError(
                f"{self.folder}: {len(names)} volumes are called '{volume_id}': {names}; index one subfolder"
            )
        return positions[0]


def build_index(
    folder: Location,
    num_workers: int | None = None,
    *,
    path: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Index:
    """Bring the index of a folder up to date and return it.

    Only files whose size or time changed are read, and those that were bad before. Nothing is written if nothing
    changed.

    Args:
        folder: The data folder.
        num_workers: Processes that read files; None for one per processor. Few files are read without starting any.
            Of blobs, how many are read at once; None for 32.
        path: The index file, where it shall not lie in the data folder.
        on_progress: Called with the number of files read and the number to read.

    Raises:
        DataError: There is no such folder, or no volume in it.
        StorageError: The index cannot be written there, or blobs cannot be read.
    """
    found = list_folder(folder, path)
    if not found.signatures:
        raise DataError(nothing_found(folder))
    place, records = update_index(found, num_workers, on_progress)
    return _make_index(found.path, place, records)


def update_index(
    folder: DataFolder, num_workers: int | None = None, on_progress: Callable[[int, int], None] | None = None
) -> tuple[Location, Records]:
    """Look into every file that the index does not know, and write the index.

    Args:
        folder: The files that are there now.
        num_workers: As for `build_index`.
        on_progress: Called with the number of files read and the number to read.

    Returns:
        Where the index lies, and what it holds.

    Raises:
        StorageError: The index cannot be written there, or blobs cannot be read.
    """
    index = folder.index
    indexes = index.read()
    place, published = indexes[0]
    known = known_entries(folder, indexes)
    changed = [name for name in folder.signatures if name not in known]
    if changed:
        with open_partial(index.work) as save:
            for count, (name, entry) in enumerate(look_into(folder, changed, num_workers), 1):
                known[name] = entry
                save(name, (folder.signatures[name], entry))
                if on_progress:
                    on_progress(count, len(changed))
    records = {name: (signature, known[name]) for name, signature in folder.signatures.items()}
    if records != published:
        place = index.write(records)
    with contextlib.suppress(OSError):  # the folder of a current index may be read-only
        partial_path(index.work).unlink(missing_ok=True)
    return place, records


def load_index(folder: Location, *, path: Path | None = None) -> Index:
    """The index of a folder, if it is there and every file still is as it was.

    Raises:
        DataError: There is no index, or it is stale.
        StorageError: Blobs cannot be listed or read.
    """
    now = list_folder(folder, path)
    current = now.signatures
    found = [(place, records) for place, records in now.index.read() if records]
    if not found:
        raise DataError(f"{folder}: not indexed yet; run `{in_shell('data', 'index', folder)}`")
    for place, records in found:
        if records.keys() == current.keys() and all(records[name][0] == current[name] for name in current):
            return _make_index(now.path, place, records)
    _, records = found[0]
    num_new = len(current.keys() - records.keys())
    num_gone = len(records.keys() - current.keys())
    num_changed = sum(records[name][0] != current[name] for name in current.keys() & records.keys())
    raise DataError(
        f"{folder}: since it was indexed {num_new} files came, {num_gone} went and {num_changed} changed; "
        f"run `{in_shell('data', 'index', folder)}` again"
    )


def _make_index(folder: Location, path: Location, records: Records) -> Index:
    entries = {name: entry for name, (_, entry) in records.items()}
    volumes = [
        (name, one, one.shape) for name, entry in entries.items() for one in entry.volumes if one.shape is not None
    ]
    bad_files = [
        BadFile(path=folder / name, fault=load_fault(entry.line))
        for name, entry in entries.items()
        if entry.kind == "bad"
    ]
    if not volumes and not bad_files:
        raise DataError(nothing_found(folder))
    return Index(
        folder=folder,
        path=path,
        names=[name for name, _, _ in volumes],
        suffixes=[entry.suffix for _, entry, _ in volumes],
        shapes=[shape for _, _, shape in volumes],
        lines=[entry.line for _, entry, _ in volumes],
        bad_files=bad_files,
    )
