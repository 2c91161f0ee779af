"""The folder of a data set, which the members of its archives go to: knees and brains both hold `multicoil_train`."""

from collections.abc import Collection
from urllib.parse import quote

from mrikit.storage import BlobPath, Location, file_state, list_files
from mrikit.transfer.catalogue import load_catalogue
from mrikit.transfer.places import MANIFEST_FOLDER
from mrikit.transfer.unpacking.manifest import MANIFEST_SUFFIX, manifest_path


def member_folders(to: Location, archives: Collection[str]) -> dict[str, str]:
    """Where the members of archives go, by name of archive: a folder below `to`, or empty for `to` itself.

    It is named after the data set, unless `to` is called so already, or nothing says what the archive belongs to. An
    archive that an earlier version of mrikit began to unpack into `to` itself stays there; see `in_old_place`.

    Raises:
        StorageError: What is there cannot be known.
    """
    old = in_old_place(to, archives)
    return {name: "" if name in old else _data_set(to, name) for name in archives}


def in_old_place(to: Location, archives: Collection[str]) -> set[str]:
    """Archives whose members lie in `to` itself although a folder of their data set is meant for them.

    Raises:
        StorageError: What is there cannot be known.
    """
    moved = {name: folder for name in archives if (folder := _data_set(to, name))}
    if not moved:
        return set()
    if not isinstance(to, BlobPath):
        return {name for name in moved if file_state(manifest_path(to, name)) is not None}
    # Members of an unpack that was killed have no manifest yet, but say themselves where they come from.
    there = list_files(to)
    origins = {(state.metadata.get("archive"), name.partition("/")[0]) for name, state in there.items()}
    return {
        name
        for name, folder in moved.items()
        if _manifest(name) in there
        or any(
            archive == quote(name) and first != folder and f"{first}/{_manifest(name)}" not in there
            for archive, first in origins
        )
    }


def notes_on_old_places(to: Location, archives: Collection[str]) -> list[str]:
    """What to tell of archives that stay where an earlier version unpacked them, one line each.

    Raises:
        StorageError: What is there cannot be known.
    """
    return [
        f"{name}: an earlier version unpacked it into {to} itself, and it goes on there; to have it in "
        f"{_data_set(to, name)}/, name another --to"
        for name in sorted(in_old_place(to, archives))
    ]


def below(to: Location, folder: str) -> Location:
    """A folder below another; empty for that itself."""
    return to / folder if folder else to


def _manifest(archive: str) -> str:
    """Of an archive, below the folder of its members."""
    return f"{MANIFEST_FOLDER}/{archive}{MANIFEST_SUFFIX}"


def _data_set(to: Location, archive: str) -> str:
    name = load_catalogue().dataset_of(archive) or ""
    return "" if to.resolve().name == name else name
