"""Which version of its blob each local file is."""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from mrikit.errors import StorageError
from mrikit.storage.location import BlobPath

_TIMEOUT_S = 60.0
_TABLE = "(path TEXT PRIMARY KEY, version TEXT, size_bytes INTEGER, mtime_ns INTEGER) WITHOUT ROWID"


class Synced(NamedTuple):
    """A local file and its blob when both were last the same."""

    version: int
    """ETag of the blob."""
    size_bytes: int
    mtime_ns: int


class Versions:
    """A small database beside the mirrors of an account, for all processes of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def below(self, prefix: BlobPath) -> dict[str, Synced]:
        """Every known file below a prefix, by name relative to it."""
        start = f"{prefix.container}/{prefix.key}".rstrip("/")
        with self._open() as connection:
            # "0" follows "/", so that this is the range of all paths that begin with the prefix and a slash.
            rows = connection.execute("SELECT * FROM files WHERE path > ? AND path < ?", (f"{start}/", f"{start}0"))
            return {path[len(start) + 1 :]: Synced(int(version), *facts) for path, version, *facts in rows}

    def note(self, prefix: BlobPath, files: Mapping[str, Synced | None]) -> None:
        """Note files that are as their blobs are; None where neither exists any more."""
        if not files:
            return
        rows = [(f"{prefix.container}/{prefix.key}".rstrip("/") + f"/{name}", one) for name, one in files.items()]
        # An ETag may be larger than any number that the database holds.
        known = [(path, str(one.version), one.size_bytes, one.mtime_ns) for path, one in rows if one]
        with self._open() as connection:
            connection.executemany("DELETE FROM files WHERE path = ?", [(path,) for path, one in rows if not one])
            connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", known)

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction: threads and forked processes must not share one."""
        try:
            with contextlib.closing(sqlite3.connect(self._path, timeout=_TIMEOUT_S)) as connection, connection:
                connection.execute(f"CREATE TABLE IF NOT EXISTS files {_TABLE}")
                yield connection
        except sqlite3.Error as error:
            raise StorageError(
                f"{self._path}: cannot be written: {error}; free some space, or set MRIKIT_CACHE to another folder"
            ) from error
