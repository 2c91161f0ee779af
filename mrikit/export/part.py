"""One file of an export: where it goes, how it is known, how it is written."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mrikit.errors import DataError
from mrikit.storage import atomic_path


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A file that is not written yet, or was before."""

    name: str
    """Relative to the folder of the export, joined by `/`."""
    mark: str
    """Stands in the file, and differs whenever the file would."""
    read_mark: Callable[[Path], str | None]
    """The mark in a file; None or any error in a foreign one."""
    write: Callable[[Path], object]
    """Writes the file; called with a temporary name of the same suffix."""
    num_bytes: int = 0
    """Expected size."""


def is_written(part: Part, out: Path, source: Path) -> bool:
    """Whether a part is there already, as it would be written now.

    Raises:
        DataError: Something else has its name.
    """
    target = out / part.name
    if not target.exists():
        return False
    if _mark_of(part, target) == part.mark:
        return True
    raise DataError(f"{target}: it is there and was not made so from {source}; choose another --out, or delete it")


def write_part(part: Part, out: Path) -> None:
    """Write a part, whole or not at all.

    Raises:
        StorageError: It cannot be written.
    """
    with atomic_path(out / part.name, part.num_bytes) as temporary:
        part.write(temporary)


def _mark_of(part: Part, target: Path) -> str | None:
    try:
        return part.read_mark(target)
    except Exception:  # noqa: BLE001 - whatever a library makes of a foreign file; it is refused by name above
        return None
