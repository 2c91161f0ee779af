"""What a copy of a data set will do."""

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from mrikit.errors import ConfigError, DataError
from mrikit.storage import BlobPath, FileState, Location, is_temporary, list_files
from mrikit.transfer.data_set.manifests import SetManifest, read_set_manifests
from mrikit.transfer.data_set.notes import Note, find_note, journal_of, source_version
from mrikit.transfer.places import MANIFEST_FOLDER
from mrikit.transfer.unpacking.manifest import Member
from mrikit.volumes.index_file import INDEX_NAME

_LEFTOVER = re.compile(r"\..+\.(partial|journal)")


@dataclass(frozen=True, kw_only=True, slots=True)
class SetFile:
    """One file of a data set."""

    name: str
    """Below the data set, joined by `/`."""
    state: FileState
    """Of the original."""
    archive: str = ""
    """The archive that it came from; empty where no manifest says so."""
    member: Member | None = None
    """What that manifest knows."""
    there: FileState | None = None
    """What is at the target; None for nothing."""
    note: Note | None = None
    """What an earlier copy or an unpack noted of that."""

    @property
    def sha256(self) -> str | None:
        """Hex digest that it has to have; None if nobody knows one."""
        return self.member.sha256 if self.member else None

    @property
    def is_there(self) -> bool:
        """Whether it is known to be at the target, without reading it."""
        if self.there is None or self.note is None or self.there.size_bytes != self.state.size_bytes:
            return False
        if self.sha256 is not None and self.note.sha256 is not None:
            return self.note.sha256 == self.sha256
        return self.sha256 is None and self.note.came_from == source_version(self.state)


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSetPlan:
    """All files of a data set."""

    source: Location
    """Where it is."""
    to: Location
    """Where it shall be."""
    files: tuple[SetFile, ...]
    """Sorted by name."""
    manifests: tuple[SetManifest, ...]
    """Of the archives that it was unpacked from."""
    faults: Mapping[str, str]
    """Files that are not as their manifest says, or are not there, each with what is wrong."""
    unpacked: tuple[str, ...]
    """Archives that lie among the files, and are left out because all that they hold is there."""
    indexes: tuple[str, ...]
    """Folders below the data set that have an index; empty or with a slash at their end."""
    published: tuple[str, ...]
    """The same of folders with published digests."""

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(one.state.size_bytes for one in self.files)

    @property
    def missing_bytes(self) -> int:
        """Of those that are not known to be at the target."""
        return sum(one.state.size_bytes for one in self.files if not one.is_there)


def plan_data_set(source: Location, to: Location) -> DataSetPlan:
    """List both places and compare them; no file of data is opened, and nothing is changed.

    Args:
        source: A folder, or a prefix of blobs.
        to: The same.

    Raises:
        ConfigError: One lies in the other, or the target is a file.
        DataError: There is nothing at the source.
        StorageError: A place cannot be listed.
    """
    _require_apart(source, to)
    names = list_files(source)
    manifests = read_set_manifests(source, names)
    unpacked = _unpacked(names, manifests)
    wanted = {name: state for name, state in names.items() if _is_data(name) and name not in unpacked}
    dead = _dead_links(source)
    if not wanted and not dead:
        raise DataError(f"{source}: no file of data is there; name the folder or az:// prefix of a data set")
    members = {name: (one.manifest.archive.name, member) for one in manifests for name, member in one.members.items()}
    there, journal = list_files(to), journal_of(to)
    faults, files = _faults(wanted, members) | dict.fromkeys(dead, "a link that leads nowhere; mend or delete it"), []
    for name, state in wanted.items():
        if not _may_be_written(name):
            faults[name] = "its name leads out of the folder; rename it"
        if name in faults:
            continue
        archive, member = members.get(name, ("", None))
        found = there.get(name)
        note = find_note(name, found, journal) if found else None
        files.append(SetFile(name=name, state=state, archive=archive, member=member, there=found, note=note))
    return DataSetPlan(
        source=source,
        to=to,
        files=tuple(files),
        manifests=tuple(manifests),
        faults=faults,
        unpacked=tuple(sorted(unpacked)),
        indexes=_folders_with(INDEX_NAME, names),
        published=_folders_with(f"{MANIFEST_FOLDER}/published.json", names),
    )


def _require_apart(source: Location, to: Location) -> None:
    here, there = source.resolve(), to.resolve()
    if isinstance(source, Path) and not source.is_dir():
        raise DataError(f"{source}: no such folder; name the folder or az:// prefix of a data set")
    if isinstance(to, Path):
        file = next((place for place in (to, *to.parents) if place.exists() and not place.is_dir()), None)
        if file is not None:
            raise ConfigError(f"--to {to}: {file} is a file; name a folder for the data")
    if isinstance(here, BlobPath) and isinstance(there, BlobPath):
        is_apart = not f"{here}/".startswith(f"{there}/") and not f"{there}/".startswith(f"{here}/")
    elif isinstance(here, Path) and isinstance(there, Path):
        is_apart = not here.is_relative_to(there) and not there.is_relative_to(here)
    else:
        is_apart = True
    if not is_apart:
        raise ConfigError(f"--to {to}: one of it and {source} lies in the other; name a folder beside it")


def _unpacked(names: Mapping[str, FileState], manifests: Collection[SetManifest]) -> set[str]:
    """Archives of which nothing is lost if they stay behind."""
    whole = {
        (one.manifest.archive.name, one.manifest.archive.size_bytes)
        for one in manifests
        if one.manifest.is_ok and one.manifest.archive.state == "whole" and one.members.keys() <= names.keys()
    }
    return {name for name, state in names.items() if (name.rpartition("/")[2], state.size_bytes) in whole}


def _faults(wanted: Mapping[str, FileState], members: Mapping[str, tuple[str, Member]]) -> dict[str, str]:
    found = {}
    for name, (archive, member) in members.items():
        state = wanted.get(name)
        if state is None:
            found[name] = f"unpacked from {archive}, but not there any more; unpack that again"
        elif state.size_bytes != member.size_bytes:
            found[name] = f"{state.size_bytes} bytes, but {archive} has it with {member.size_bytes}; unpack that again"
    return found


def _dead_links(folder: Location) -> list[str]:
    """Links to files or folders that are not there, which no list of files has; a disk may not be mounted."""
    if isinstance(folder, BlobPath):
        return []
    walk = os.walk(folder, followlinks=True)
    paths = (Path(place, name) for place, _, names in walk for name in names)
    names = (path.relative_to(folder).as_posix() for path in paths if path.is_symlink() and not path.exists())
    return sorted(name for name in names if _is_data(name))


def _is_data(name: str) -> bool:
    """Whether it is no note of mrikit, and nothing that a command has not finished."""
    *above, last = name.split("/")
    is_note = MANIFEST_FOLDER in above or last.startswith(INDEX_NAME)
    return not is_note and not is_temporary(last) and not _LEFTOVER.fullmatch(last)


def _may_be_written(name: str) -> bool:
    """Names of blobs may hold anything."""
    return not name.startswith("/") and not {"", ".", ".."}.intersection(name.split("/")) and "\\" not in name


def _folders_with(ending: str, names: Collection[str]) -> tuple[str, ...]:
    return tuple(name.removesuffix(ending) for name in names if name == ending or name.endswith(f"/{ending}"))
