"""What mirrors know of their files: which version of its blob each one was when both were last the same."""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mrikit.errors import StorageError
from mrikit.storage.location import BlobPath

_TIMEOUT_S = 60.0
_TABLE = """CREATE TABLE IF NOT EXISTS files (
    container TEXT, key TEXT, version TEXT DEFAULT '0', size_bytes INTEGER DEFAULT -1, mtime_ns INTEGER DEFAULT 0,
    sha256 TEXT DEFAULT '', pending TEXT DEFAULT '', PRIMARY KEY (container, key)) WITHOUT ROWID"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A file and its blob when they were last the same."""

    version: int
    """Of the blob; 0 if they never were."""
    signature: tuple[int, int]
    """Size in bytes and modification time in ns of the file."""
    sha256: str
    """Of their content."""
    pending: str = ""
    """SHA256 of what was about to be written to the blob; a killed process leaves it behind."""


class Ledger:
    """A small database beside the mirrors of an account, for any number of processes of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def entries(self, prefix: BlobPath) -> dict[str, Entry]:
        """All that is known below a prefix, by name relative to it."""
        # "0" follows "/", so that this is the range of all keys that begin with the prefix and a slash.
        start = f"{prefix.key}/" if prefix.key else ""
        bounds = (prefix.container, start, f"{prefix.key}0" if prefix.key else "\U0010ffff")
        with self._open() as connection:
            rows = connection.execute(
                "SELECT key, version, size_bytes, mtime_ns, sha256, pending FROM files "
                "WHERE container = ? AND key >= ? AND key < ?",
                bounds,
            ).fetchall()
        return {key[len(start) :]: _entry(*facts) for key, *facts in rows}

    def entry(self, path: BlobPath) -> Entry | None:
        """What is known of one file."""
        with self._open() as connection:
            row = connection.execute(
                "SELECT version, size_bytes, mtime_ns, sha256, pending FROM files WHERE container = ? AND key = ?",
                (path.container, path.key),
            ).fetchone()
        return _entry(*row) if row else None

    def note(self, path: BlobPath, entry: Entry) -> None:
        """File and blob are the same now; nothing is pending."""
        self.note_all({path: entry})

    def note_all(self, entries: Mapping[BlobPath, Entry]) -> None:
        """Files and blobs are the same now; a transaction for all of them takes no longer than for one."""
        facts = [
            (path.container, path.key, str(entry.version), *entry.signature, entry.sha256)
            for path, entry in entries.items()
        ]
        with self._open() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO files (container, key, version, size_bytes, mtime_ns, sha256) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                facts,
            )

    def intend(self, path: BlobPath, sha256: str) -> None:
        """Content of this digest is about to be written to the blob."""
        with self._open() as connection:
            connection.execute(
                "INSERT INTO files (container, key, pending) VALUES (?, ?, ?) "
                "ON CONFLICT (container, key) DO UPDATE SET pending = excluded.pending",
                (path.container, path.key, sha256),
            )

    def forget(self, path: BlobPath, version: int) -> None:
        """Neither is there any more, unless another process has noted another version meanwhile."""
        with self._open() as connection:
            connection.execute(
                "DELETE FROM files WHERE container = ? AND key = ? AND version = ?",
                (path.container, path.key, str(version)),
            )

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction: threads and forked processes must not share one."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self._path, timeout=_TIMEOUT_S)) as connection, connection:
                connection.execute(_TABLE)
                yield connection
        except (OSError, sqlite3.Error) as error:
            raise StorageError(
                f"{self._path}: cannot be kept: {error}; free some space, or set MRIKIT_CACHE to another folder"
            ) from error


def _entry(version: str, size_bytes: int, mtime_ns: int, sha256: str, pending: str) -> Entry:
    # As text, because the number of an ETag may be larger than any that the database holds.
    return Entry(version=int(version), signature=(size_bytes, mtime_ns), sha256=sha256, pending=pending)
