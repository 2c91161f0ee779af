"""The sidecar index: what is known about every volume of a folder, kept in one file so that none has to be opened.

`build_index` brings it up to date and reads only files that are new or changed; a build that was killed is continued.
`load_index` takes it as it is and refuses a stale one.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mrikit.errors import DataError
from mrikit.volumes.entries import load_info, load_volume
from mrikit.volumes.files import nothing_found, scan
from mrikit.volumes.index_file import (
    Record,
    Records,
    open_partial,
    partial_path,
    read_partial,
    read_records,
    write_records,
)
from mrikit.volumes.index_workers import num_processors, read_entries
from mrikit.volumes.volume import ScanInfo, Volume

INDEX_NAME = ".mrikit-index.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class BadFile:
    """A file that looks like a volume by its name but cannot be opened."""

    path: Path
    message: str
    """Why, on one line; it begins with the path."""


@dataclass(frozen=True, kw_only=True)
class Index:
    """All volumes of a folder, known without opening their files. It can be pickled and used by many processes."""

    folder: Path
    """The data folder."""
    path: Path
    """The index file."""
    names: list[str]
    """Files relative to the folder, sorted; volumes only."""
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
        """File names without folder and suffix, in the order of `names`."""
        return [name.rpartition("/")[2].rpartition(".")[0] for name in self.names]

    def open(self, volume_id: str) -> Volume:
        """The volume, without reading its file before a slice is asked for.

        Raises:
            DataError: There is no such volume, or more than one.
        """
        position = self._position(volume_id)
        return load_volume(self.folder, self.names[position], self.lines[position])

    def info(self, volume_id: str) -> ScanInfo:
        """The facts of a volume.

        Raises:
            DataError: There is no such volume, or more than one.
        """
        position = self._position(volume_id)
        return load_info(self.folder, self.names[position], self.lines[position])

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
    folder: Path,
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
        path: The index file, where it shall not lie in the data folder.
        on_progress: Called with the number of files read and the number to read.

    Raises:
        DataError: There is no such folder, or no volume in it.
        StorageError: The index cannot be written there.
    """
    folder, path = Path(folder), _index_path(folder, path)
    current = scan(folder)
    if not current:
        raise DataError(nothing_found(folder))
    old = read_records(path)
    known = old | read_partial(path)
    changed = [name for name in current if name not in known or known[name][0] != current[name] or _is_bad(known[name])]
    if changed:
        with open_partial(path) as save:
            for count, (name, entry) in enumerate(read_entries(folder, changed, num_workers or num_processors()), 1):
                known[name] = (current[name], entry)
                save(name, known[name])
                if on_progress:
                    on_progress(count, len(changed))
    records = {name: known[name] for name in current}
    if records != old:
        write_records(path, records)
    partial_path(path).unlink(missing_ok=True)
    return _make_index(folder, path, records)


def load_index(folder: Path, *, path: Path | None = None) -> Index:
    """The index of a folder, if it is there and every file still is as it was.

    Raises:
        DataError: There is no index, or it is stale.
    """
    folder, path = Path(folder), _index_path(folder, path)
    current = scan(folder)
    records = read_records(path)
    if not records:
        raise DataError(f"{folder}: not indexed yet; run `mrikit data index {folder}`")
    num_new = len(current.keys() - records.keys())
    num_gone = len(records.keys() - current.keys())
    num_changed = sum(records[name][0] != current[name] for name in current.keys() & records.keys())
    if num_new or num_gone or num_changed:
        raise DataError(
            f"{folder}: since it was indexed {num_new} files came, {num_gone} went and {num_changed} changed; "
            f"run `mrikit data index {folder}` again"
        )
    return _make_index(folder, path, records)


def _make_index(folder: Path, path: Path, records: Records) -> Index:
    entries = {name: entry for name, (_, entry) in records.items()}
    volumes = {name: entry for name, entry in entries.items() if entry.shape is not None}
    bad_files = [
        BadFile(path=folder / name, message=json.loads(entry.line))
        for name, entry in entries.items()
        if entry.kind == "bad"
    ]
    if not volumes and not bad_files:
        raise DataError(nothing_found(folder))
    return Index(
        folder=folder,
        path=path,
        names=list(volumes),
        shapes=[entry.shape for entry in volumes.values() if entry.shape is not None],
        lines=[entry.line for entry in volumes.values()],
        bad_files=bad_files,
    )


def _is_bad(record: Record) -> bool:
    return record[1].kind == "bad"


def _index_path(folder: Path, path: Path | None) -> Path:
    return Path(folder) / INDEX_NAME if path is None else Path(path)
