"""The manifests of a folder, and the same for its copy."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mrikit.storage import FileState, Location, file_state, read_bytes, write_bytes
from mrikit.transfer.places import MANIFEST_FOLDER
from mrikit.transfer.unpacking.manifest import (
    MANIFEST_SUFFIX,
    Manifest,
    Member,
    format_manifest,
    manifest_path,
    read_manifest_if_any,
)
from mrikit.transfer.unpacking.reasons import NOT_COPIED


@dataclass(frozen=True, kw_only=True, slots=True)
class SetManifest:
    """The manifest of one archive."""

    prefix: str
    """Of the folder that it describes, below the data set: empty, or with a slash at its end."""
    manifest: Manifest
    """What it says."""

    @property
    def members(self) -> dict[str, Member]:
        """The files that have to be there, by their name below the data set."""
        return {self.prefix + member.name: member for member in self.manifest.done}


def read_set_manifests(folder: Location, names: Collection[str]) -> list[SetManifest]:
    """All manifests below a folder.

    Args:
        folder: The data set.
        names: Every file of it.

    Raises:
        StorageError: One cannot be read.
    """
    found = []
    for name in names:
        *above, last = name.split("/")
        if above[-1:] == [MANIFEST_FOLDER] and last.endswith(MANIFEST_SUFFIX):
            prefix = "".join(f"{part}/" for part in above[:-1])
            archive = last.removesuffix(MANIFEST_SUFFIX)
            manifest = read_manifest_if_any(below(folder, prefix), archive)
            # One that speaks of another archive would be written to another place.
            if manifest is not None and manifest.archive.name == archive:
                found.append(SetManifest(prefix=prefix, manifest=manifest))
    return found


def carry_manifest(one: SetManifest, to: Location, written: Mapping[str, FileState]) -> None:
    """Write the manifest beside the copy: the members that are there, and those that are not.

    Members of the same archive that another copy brought stay in it. One that did not come counts as refused: a check
    names it, and an unpack there brings it.

    Args:
        one: The manifest of the original.
        to: The copy of the data set.
        written: The files that are there and verified, with their state there, by name below the data set.

    Raises:
        StorageError: It cannot be read or written.
    """
    folder = below(to, one.prefix)
    members = {
        member.name: replace(member, file_version=written[name].version if isinstance(to, Path) else None)
        for name, member in one.members.items()
        if name in written
    }
    there = read_manifest_if_any(folder, one.manifest.archive.name)
    others = [member for member in there.done if member.name not in members] if there else []
    known = {*members, *(member.name for member in others)}
    lost = [
        replace(member, sha256=None, state="refused", reason=NOT_COPIED, file_version=None)
        for member in one.manifest.done
        if member.name not in known
    ]
    # A copy that has the whole of an archive stays one, whatever part of it another folder has.
    is_whole = there is not None and there.archive.version == one.manifest.archive.version and there.is_ok
    archive = there.archive if there is not None and is_whole and others else one.manifest.archive
    everything = (*members.values(), *others, *lost, *one.manifest.refused)
    text = format_manifest(Manifest(archive=archive, members=everything))
    path = manifest_path(folder, archive.name)
    if file_state(path) is None or read_bytes(path) != text:
        write_bytes(path, text)


def below(folder: Location, prefix: str) -> Location:
    """A folder of the data set; itself where there is no prefix."""
    return folder / prefix if prefix else folder
