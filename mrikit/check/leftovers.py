"""What killed or unfinished commands left in a data folder."""

import re
from collections.abc import Iterable
from pathlib import Path

from mrikit.check.findings import Finding
from mrikit.storage import Location, has_living_writer, is_temporary
from mrikit.storage.lock import is_held
from mrikit.transfer.places import MANIFEST_FOLDER

_PARTIAL = re.compile(r"\..+\.partial")
_LOCK = re.compile(r"\..+\.lock")


def check_leftovers(folder: Location, names: Iterable[str]) -> list[Finding]:
    """Partial copies, temporary files and locks, unless the process that has them is alive on this host.

    Args:
        folder: The data folder.
        names: Every file of the folder, those whose names start with a dot too.
    """
    names = list(names)
    partial = [name for name in names if _PARTIAL.fullmatch(_last(name))]
    temporary = [name for name in names if _is_orphan(_last(name)) or _is_old_lock(folder, name)]
    found = []
    if partial:
        found.append(
            Finding(
                severity="warning",
                kind="partial",
                files=tuple(partial),
                what=f"{len(partial)} unfinished files of a copy or an index",
                remedy="give the same command again, which goes on from them, or delete them",
            )
        )
    if temporary:
        found.append(
            Finding(
                severity="warning",
                kind="temporary",
                files=tuple(temporary),
                what=f"{len(temporary)} temporary files of commands that ended before they were done",
                remedy="delete them, unless a command on another host is writing here",
            )
        )
    return found


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _is_orphan(name: str) -> bool:
    return is_temporary(name) and not has_living_writer(name)


def _is_old_lock(folder: Location, name: str) -> bool:
    """Whether it is the lock of an unpack that is not held any more."""
    *above, last = name.split("/")
    is_lock = above[-1:] == [MANIFEST_FOLDER] and _LOCK.fullmatch(last) is not None
    return is_lock and isinstance(folder, Path) and not is_held(folder / name)
