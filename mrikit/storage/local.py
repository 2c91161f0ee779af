"""Files that are either whole or absent: written under a temporary name, then renamed."""

import contextlib
import errno
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mrikit.errors import StorageError
from mrikit.words import in_unicode

_MARGIN_BYTES = 2**16  # what a file system and HDF5 need besides the data
_TEMPORARY = re.compile(r"\.(?P<stem>.+)\.(?P<host>[A-Za-z0-9-]+)\.(?P<process>\d+)(-\d+)?\.tmp(?P<suffix>\.[^.]*)?")
_ERRNO = re.compile(r"errno = (\d+)")


@contextlib.contextmanager
def atomic_path(path: Path, num_bytes: int = 0) -> Iterator[Path]:
    """A temporary name beside `path` that becomes `path` when the block ends without an error.

    The folder is made if it is missing. After an error nothing is left behind and the old file, if any, is untouched;
    what a killed process of this host left is removed by the next writer of the same path on it.

    Args:
        path: The file to write.
        num_bytes: Expected size; a disk with less space is refused before anything is written, because HDF5 cannot
            stop halfway without a second error.

    Yields:
        The temporary path to write to, with the same suffix.

    Raises:
        StorageError: The folder or file cannot be written, or the disk is full.
    """
    writer = f"{os.getpid()}-{threading.get_native_id()}"
    temporary = path.parent / f".{path.stem}.{_host()}.{writer}.tmp{path.suffix}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_orphans(path)
        _require_space(path.parent, num_bytes)
        yield temporary
        _flush(temporary)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        # HDF5 reports a failed write at closing as RuntimeError.
        if isinstance(error, RuntimeError) and not _ERRNO.search(str(error)):
            raise
        raise StorageError(_explain(path, error)) from error
    finally:
        # The folder itself may be what could not be made.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all; names that are no UTF-8 stand in it as `in_unicode` has them.

    Raises:
        StorageError: The path cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(in_unicode(text), encoding="utf-8")


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - anything that JSON holds
    """Write `value` as indented JSON, whole or not at all.

    Raises:
        StorageError: The path cannot be written.
    """
    write_text(path, json.dumps(value, indent=2, sort_keys=False, allow_nan=False) + "\n")


def create_json(path: Path, value: Any) -> bool:  # noqa: ANN401 - anything that JSON holds
    """Write `value` as JSON unless the file is there already; of two processes that try at once, one succeeds.

    Returns:
        Whether the file is ours. An empty file, left by a process that was killed right here, counts as absent.

    Raises:
        StorageError: The path cannot be written.
    """
    with contextlib.suppress(OSError):  # what is wrong with the folder, writing will say
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            if path.stat().st_size:
                return False
    write_json(path, value)
    return True


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


def is_temporary(name: str) -> bool:
    """Whether a file of this name is one that `atomic_path` writes to."""
    return _TEMPORARY.fullmatch(name) is not None


def has_living_writer(name: str) -> bool:
    """Whether the process that writes to a temporary file of this name is alive on this host."""
    match = _TEMPORARY.fullmatch(name)
    return match is not None and match["host"] == _host() and _is_alive(int(match["process"]))


def _require_space(folder: Path, num_bytes: int) -> None:
    if num_bytes and shutil.disk_usage(folder).free < num_bytes + _MARGIN_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _remove_orphans(path: Path) -> None:
    """Delete temporary files for `path` whose process on this host is gone; of other hosts nothing is known."""
    for entry in path.parent.iterdir():
        match = _TEMPORARY.fullmatch(entry.name)
        is_for_path = match and match["stem"] == path.stem and (match["suffix"] or "") == path.suffix
        if is_for_path and match and match["host"] == _host() and not _is_alive(int(match["process"])):
            entry.unlink(missing_ok=True)


def _host() -> str:
    """The name of this host, of letters, digits and hyphens; hosts may share a disk, but not process ids."""
    return re.sub(r"[^A-Za-z0-9-]", "-", os.uname().nodename)


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _flush(path: Path) -> None:
    """Force the bytes to disk, so that a rename never outlives its content."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _explain(path: Path, error: OSError | RuntimeError) -> str:
    # h5py raises errors without an errno and names it in their text.
    named = _ERRNO.search(str(error))
    code = getattr(error, "errno", None) or (int(named[1]) if named else None)
    if code == errno.ENOSPC:
        return f"{path}: the disk is full; nothing was written. Free some space or choose another folder."
    reason = os.strerror(code) if code else str(error)
    return f"{path}: cannot be written: {reason}. Choose a folder that you may write to."
