"""Files that are either whole or absent: written under a temporary name, then renamed."""

import contextlib
import errno
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mrikit.errors import StorageError


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` that becomes `path` when the block ends without an error.

    The folder is made if it is missing. After an error nothing is left behind and the old file, if any, is untouched;
    what a killed process of this machine left is removed by the next writer of the same path.

    Args:
        path: The file to write.

    Yields:
        The temporary path to write to, with the same suffix.

    Raises:
        StorageError: The folder or file cannot be written, or the disk is full.
    """
    temporary = path.parent / f".{path.stem}.{os.getpid()}.tmp{path.suffix}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_orphans(path)
        yield temporary
        _flush(temporary)
        temporary.replace(path)
    except OSError as error:
        raise StorageError(_explain(path, error)) from error
    finally:
        # The folder itself may be what could not be made.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all.

    Raises:
        StorageError: The path cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - anything that JSON holds
    """Write `value` as indented JSON, whole or not at all.

    Raises:
        StorageError: The path cannot be written.
    """
    write_text(path, json.dumps(value, indent=2, sort_keys=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:  # noqa: ANN401 - anything that JSON holds
    """The value of a JSON file.

    Raises:
        StorageError: The file cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise StorageError(f"{path}: not a JSON file: {error}") from error


def _remove_orphans(path: Path) -> None:
    """Delete temporary files for `path` whose process is gone."""
    pattern = re.compile(rf"\.{re.escape(path.stem)}\.(\d+)\.tmp{re.escape(path.suffix)}")
    for entry in path.parent.iterdir():
        match = pattern.fullmatch(entry.name)
        if match and not _is_alive(int(match[1])):
            entry.unlink(missing_ok=True)


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _flush(path: Path) -> None:
    """Force the bytes to disk, so that a rename never outlives its content."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _explain(path: Path, error: OSError) -> str:
    # h5py raises OSError without an errno and names it in its text.
    named = re.search(r"errno = (\d+)", str(error))
    code = error.errno or (int(named[1]) if named else None)
    if code == errno.ENOSPC:
        return f"{path}: the disk is full; nothing was written. Free some space or choose another folder."
    reason = os.strerror(code) if code else str(error)
    return f"{path}: cannot be written: {reason}. Choose a folder that you may write to."
