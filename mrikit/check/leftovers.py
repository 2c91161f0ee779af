"""What killed or unfinished commands left in a data folder."""

import os
import re
from collections.abc import Iterable

from mrikit.check.findings import Finding

_TEMPORARY = re.compile(r"\..+\.(?P<host>[A-Za-z0-9-]+)\.(?P<process>\d+)\.tmp(\.[^.]*)?")
"""As `mrikit.storage.atomic_path` names what it writes to."""
_PARTIAL = re.compile(r"\..+\.partial")


def check_leftovers(names: Iterable[str]) -> list[Finding]:
    """Partial copies and temporary files, unless the process that writes them is alive on this host.

    Args:
        names: Every file of the folder, those whose names start with a dot too.
    """
    names = list(names)
    partial = [name for name in names if _PARTIAL.fullmatch(_last(name))]
    temporary = [name for name in names if _is_orphan(_last(name))]
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
    match = _TEMPORARY.fullmatch(name)
    if match is None:
        return False
    is_ours = match["host"] == re.sub(r"[^A-Za-z0-9-]", "-", os.uname().nodename)
    return not (is_ours and _is_alive(int(match["process"])))


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
