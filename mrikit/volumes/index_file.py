"""The two files of an index: the finished one, and the partial one that a build appends to.

The finished file is text. Its first line is a JSON object of columns (name, signature, kind and shape of each file);
then follows one line of JSON per file, in the same order, which stays text until its volume is opened: this is what
makes opening an index of 10,000 files fast. It is replaced as a whole. The partial file has one line of JSON per file
that was read; a build that is killed leaves at most its last line incomplete.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from mrikit.errors import StorageError
from mrikit.storage import Location, write_bytes
from mrikit.volumes.index_entry import Entry

INDEX_NAME = ".mrikit-index.jsonl"
INDEX_VERSION = 9

Record: TypeAlias = tuple[list[int], Entry]
"""The signature of a file (see `scan.scan`) when it was read, and what was read."""
Records: TypeAlias = dict[str, Record]
"""By name, relative to the data folder."""


class LocalIndex:
    """An index that is one local file.

    Args:
        path: The file; what a build has read so far lies beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path: Location = path
        self.work = path

    def read(self) -> list[tuple[Location, Records]]:
        """What the file holds, with where it lies."""
        return [(self.path, read_records(self.work))]

    def write(self, records: Records) -> Location:
        """Replace the file.

        Raises:
            StorageError: It cannot be written.
        """
        try:
            write_records(self.work, records)
        except StorageError as error:
            if not isinstance(error.__cause__, OSError):
                raise
            raise _not_written(self.work, error.__cause__) from error
        return self.path


def read_records(path: Path) -> Records:
    """The records of a finished index; none if it is missing, damaged or of another version."""
    try:
        return parse_records(path.read_bytes())
    except OSError:
        return {}


def parse_records(data: bytes) -> Records:
    """The records of a finished index from its text; none if it is damaged or of another version."""
    try:
        head, *lines = data.decode().splitlines()
        columns = json.loads(head)
        if columns["version"] != INDEX_VERSION:
            return {}
        rows = zip(columns["names"], columns["signatures"], columns["kinds"], columns["shapes"], lines, strict=True)
        return {
            name: (signature, Entry(kind=kind, shape=shape, line=line)) for name, signature, kind, shape, line in rows
        }
    except (ValueError, KeyError, TypeError):
        return {}


def write_records(path: Path, records: Records) -> None:
    """Replace the finished index.

    Raises:
        StorageError: It cannot be written.
    """
    write_bytes(path, dump_records(records))


def dump_records(records: Records) -> bytes:
    """The text of a finished index."""
    columns: dict[str, Any] = {
        "version": INDEX_VERSION,
        "names": list(records),
        "signatures": [signature for signature, _ in records.values()],
        "kinds": [entry.kind for _, entry in records.values()],
        "shapes": [entry.shape for _, entry in records.values()],
    }
    head = json.dumps(columns, separators=(",", ":"))
    return ("\n".join([head, *(entry.line for _, entry in records.values())]) + "\n").encode()


def partial_path(path: Path) -> Path:
    """Where the build of the index `path` keeps what it has read so far."""
    return path.with_name(f"{path.name}.partial")


def read_partial(path: Path) -> Records:
    """What a build of the index `path` that was killed had read; incomplete lines and other versions are skipped."""
    records: Records = {}
    with contextlib.suppress(OSError):
        for line in partial_path(path).read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, TypeError):
                version, name, signature, kind, shape, text = json.loads(line)
                if version == INDEX_VERSION:
                    records[name] = (signature, Entry(kind=kind, shape=shape, line=text))
    return records


@contextlib.contextmanager
def open_partial(path: Path) -> Iterator[Callable[[str, Record], None]]:
    """A function that saves a record in the partial file at once.

    Raises:
        StorageError: The file cannot be written.
    """
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = partial_path(path).open("ab", buffering=0)
    with file:

        def save(name: str, record: Record) -> None:
            signature, entry = record
            line = json.dumps([INDEX_VERSION, name, signature, entry.kind, entry.shape, entry.line]).encode()
            with _writing(path):
                file.write(b"\n" + line)  # the line break first: it ends what a killed build left

        yield save


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path}: the index cannot be written here: {os.strerror(error.errno or 0)}; "
        "keep it elsewhere with `mrikit data index --index FILE`"
    )
