"""The one scan of a data folder that every command shares."""

import contextlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mrikit.errors import DataError, StorageError
from mrikit.storage import BlobPath, Location, file_state
from mrikit.volumes.blob_file import BlobFiles
from mrikit.volumes.data_folder import DataFolder, known_entries, list_folder, look_into
from mrikit.volumes.faults import Fault, load_fault
from mrikit.volumes.files import is_single_file, nothing_found, open_volumes
from mrikit.volumes.index import update_index
from mrikit.volumes.index_entry import Entry, label_of, load_volume, read_entry
from mrikit.volumes.snu import image_sibling
from mrikit.volumes.volume import Volume

_NO_NOTES = '"notes":[]', '"interpolated_matrix":null'
_MOST_NOTES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeFile:
    """A volume of a data folder; its file was looked into at most once, and is not kept open.

    A file that holds several volumes is there once for each.
    """

    folder: Location
    name: str
    """Of the file, relative to the folder."""
    signature: tuple[int, ...]
    """Size and version of the file, and of its companion where it has one; see `mrikit.volumes.scan`."""
    entry: Entry | None
    """What it holds; None if nobody needed to know."""

    @property
    def suffix(self) -> str:
        """Which of several volumes of its file it is, such as `_contrast1`; empty for the only one."""
        return self.entry.suffix if self.entry else ""

    @property
    def volume_id(self) -> str:
        """As in the `ScanInfo` of the volume."""
        return self.path.stem + self.suffix

    @property
    def label(self) -> str:
        """The name, and in brackets which of several volumes it is."""
        return label_of(self.name, self.suffix)

    @property
    def path(self) -> Location:
        """The file."""
        return self.folder / self.name

    @property
    def source_signature(self) -> tuple[int, int]:
        """Size and version of the file alone, as reconstructions keep them."""
        return self.signature[0], self.signature[1]

    @property
    def fault(self) -> Fault | None:
        """Why it cannot be opened; None if it can."""
        return load_fault(self.entry.line) if self.entry and self.entry.kind == "bad" else None

    @property
    def num_slices(self) -> int:
        """0 if it cannot be opened, or nobody needed to know."""
        return self.entry.shape[0] if self.entry and self.entry.shape else 0

    def open(self) -> Volume:
        """The volume as it was when it was looked into; its file is read when a slice is asked for.

        Raises:
            DataError: It cannot be opened.
        """
        if self.fault is not None:
            raise DataError(self.fault.message)
        if self.entry is None or self.entry.kind != "volume":
            return open_volumes(self.path)[0]  # says what is wrong with a reconstruction
        return load_volume(self.folder, self.name, self.entry.line, self.suffix)

    def current(self) -> "VolumeFile":
        """The same, looked into again where a local file changed since; of a blob the version is fixed.

        Raises:
            DataError: The file holds no such volume any more.
        """
        if isinstance(self.path, BlobPath):
            return self
        signature = _signature(self.path)[: len(self.signature)]
        if signature == self.signature:
            return self
        entries = read_entry(self.folder, self.name).volumes
        entry = next((one for one in entries if one.suffix == self.suffix), None)
        if entry is None:
            found = ", ".join(self.path.stem + one.suffix for one in entries)
            raise DataError(f"{self.path}: changed meanwhile, and holds no volume {self.volume_id}; found {found}")
        return replace(self, signature=signature, entry=entry)


def scan_volumes(
    data: Location, *, is_needed: Callable[[VolumeFile], bool] | None = None, is_index_kept: bool = False
) -> list[VolumeFile]:
    """All volumes at or below a place, sorted by name, bad files among them.

    Facts come from the index of the folder where it is fresh; each other file is looked into once. Left out are names
    that start with a dot, SNU image files beside their k-space, and reconstructions.

    Args:
        data: Folder of volumes, or one file.
        is_needed: Whether somebody needs to know what a file holds; files that nobody needs are not opened, and count
            as volumes.
        is_index_kept: Whether to bring the index of the folder up to date, where it can be written.

    Raises:
        DataError: There is no such folder, or no volume in it.
        StorageError: Blobs cannot be listed or read.
    """
    if is_single_file(data):
        return _split([_single(data, is_needed)])
    folder = list_folder(data)
    entries = _entries(folder, is_needed, is_index_kept=is_index_kept)
    found = [_volume_file(folder, name, entries.get(name)) for name in folder.signatures]
    volumes = _split([file for file in found if file.entry is None or file.entry.kind != "reconstruction"])
    if not volumes and found:
        raise DataError(f"{data}: holds {len(found)} reconstructions and no volume; name the folder of their volumes")
    if not volumes:
        raise DataError(nothing_found(data))
    return volumes


def warn_of_notes(files: Sequence[VolumeFile]) -> None:
    """Warn once of each thing that readers left out, inferred or repaired, with the number of its volumes."""
    noted: dict[str, list[str]] = {}
    for file in files:
        # The index knows volumes as text, and nearly all have no note.
        if file.entry and file.entry.kind == "volume" and not all(none in file.entry.line for none in _NO_NOTES):
            info = file.open().info
            for note in (*info.notes, *filter(None, [info.interpolation])):
                noted.setdefault(note, []).append(file.label)
    for note, names in list(noted.items())[:_MOST_NOTES]:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        warnings.warn(f"{names[0]}{more}: {note}", stacklevel=2)
    if len(noted) > _MOST_NOTES:
        warnings.warn(f"{len(noted) - _MOST_NOTES} more notes on volumes; `mrikit data check` lists all", stacklevel=2)


def find_volumes(data: Location) -> list[Location]:
    """The places of all files in which `scan_volumes` finds volumes."""
    return list(dict.fromkeys(file.path for file in scan_volumes(data)))


def _split(files: list[VolumeFile]) -> list[VolumeFile]:
    """The same with a file of several volumes once for each."""
    return [replace(file, entry=entry) for file in files for entry in (file.entry.volumes if file.entry else [None])]


def _entries(
    folder: DataFolder, is_needed: Callable[[VolumeFile], bool] | None, *, is_index_kept: bool
) -> dict[str, Entry]:
    """What is known of the files by name, after those that somebody needs were looked into."""
    if is_index_kept and folder.signatures:
        with contextlib.suppress(StorageError):  # the folder may be read-only
            return {name: entry for name, (_, entry) in update_index(folder)[1].items()}
    entries = known_entries(folder, folder.index.read())
    unknown = [name for name in folder.signatures if name not in entries]
    needed = [name for name in unknown if is_needed is None or is_needed(_volume_file(folder, name, None))]
    return entries | dict(look_into(folder, needed))


def _volume_file(folder: DataFolder, name: str, entry: Entry | None) -> VolumeFile:
    return VolumeFile(folder=folder.path, name=name, signature=tuple(folder.signatures[name]), entry=entry)


def _single(data: Location, is_needed: Callable[[VolumeFile], bool] | None) -> VolumeFile:
    """A file that is named itself, whatever it holds."""
    blobs = BlobFiles() if isinstance(data, BlobPath) else None
    file = VolumeFile(folder=data.parent, name=data.name, signature=_signature(data), entry=None)
    if is_needed is not None and not is_needed(file):
        return file
    return replace(file, entry=read_entry(file.folder, file.name, blobs))


def _signature(path: Location) -> tuple[int, ...]:
    """Size and version of a file, zeros if there is none, and of its companion where there is one."""
    companion = path.with_name(f"{path.stem}.hdr") if path.suffix == ".cfl" else image_sibling(path)
    states = [file_state(path), *([file_state(companion)] if companion else [])]
    own, *others = [(0, 0) if state is None else (state.size_bytes, state.version) for state in states]
    return (*own, *(number for other in others if any(other) for number in other))
