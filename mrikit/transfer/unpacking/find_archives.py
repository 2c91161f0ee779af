"""Archives in a folder, and the published lists of their members."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mrikit.errors import ConfigError, StorageError
from mrikit.storage import Location, file_state, list_files, read_range
from mrikit.transfer.catalogue import archive_key
from mrikit.transfer.unpacking.archive_kind import ARCHIVE_NAME, HEAD_BYTES, find_compression

_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundArchives:
    """What is to be unpacked."""

    archives: tuple[Location, ...]
    """Files that were named, and those in folders that begin as archives do or are called so."""
    meant: frozenset[Location]
    """Those that were named, or are called as archives are: if one turns out to be none, that is an error."""
    num_others: int
    """Other files that lie directly in those folders."""


def find_archives(places: Sequence[Location]) -> FoundArchives:
    """Archives by their first bytes.

    A file that is named, or called as archives are, is taken for one in any case, for its error to be seen. Of a folder
    the files directly in it are looked at, without those whose names begin with a dot.

    Raises:
        StorageError: There is nothing, or it cannot be read.
    """
    archives: list[Location] = []
    meant: set[Location] = set()
    num_others = 0
    for place in places:
        is_file = place.is_file() if isinstance(place, Path) else bool(place.key and file_state(place))
        if is_file:
            archives.append(place)
            meant.add(place)
            continue
        names = [name for name in list_files(place) if "/" not in name and not name.startswith(".")]
        if not names:
            raise StorageError(
                f"{place}: no file or folder with files; name an archive, or the folder they were copied to"
            )
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            heads = pool.map(lambda name, place=place: read_range(place / name, 0, HEAD_BYTES), names)
            pairs = zip(names, heads, strict=True)
            found = [
                place / name
                for name, head in pairs
                if ARCHIVE_NAME.fullmatch(name) or (find_compression(head) and any(head))
            ]
            meant |= {place / name for name in names if ARCHIVE_NAME.fullmatch(name)}
        num_others += len(names) - len(found)
        archives += found
    return FoundArchives(archives=tuple(dict.fromkeys(archives)), meant=frozenset(meant), num_others=num_others)


def read_member_lists(path: Path) -> dict[str, tuple[str, ...]]:
    """Published names of volumes by archive: from `ARCHIVE.txt` with a name on each line, or a folder of such files.

    Returns:
        By `archive_key`; look up with `find_members`.

    Raises:
        StorageError: It cannot be read.
        ConfigError: There is no list, or one names nothing.
    """
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise ConfigError(f"{path}: no lists of members; a folder of files such as knee_multicoil_val.txt is needed")
    lists = {}
    for file in files:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(f"{file}: cannot be read as a list of members: {error}") from error
        names = tuple(line.strip() for line in lines if line.strip())
        if not names or not all(name.endswith(".h5") for name in names):
            raise ConfigError(f"{file}: not a list of members; one name of an .h5 file on each line is needed")
        lists[archive_key(file.name.removesuffix(".txt"))] = names
    return lists


def find_members(lists: Mapping[str, tuple[str, ...]], archive: str) -> tuple[str, ...] | None:
    """The published names of an archive; None if no list is for it."""
    return lists.get(archive_key(archive))
