"""The index of a prefix of blobs: it lies below the prefix for all machines, and a copy of it in the local cache."""

import contextlib
import hashlib
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from mrikit.errors import StorageError
from mrikit.storage import BlobPath, Location, cache_folder, read_bytes, remove, write_bytes
from mrikit.storage.blob import blob_endpoint
from mrikit.volumes.blob_file import BlobFiles
from mrikit.volumes.index_entry import Entry, read_entry
from mrikit.volumes.index_file import INDEX_NAME, Records, dump_records, parse_records, read_records, write_records
from mrikit.volumes.scan import BlobListing

_REFUSED = 403


class BlobIndex:
    """The index of a prefix, as an identity with the right to write keeps it there, and one without it here.

    Args:
        folder: The prefix.
        listing: What lies below it.
    """

    def __init__(self, folder: BlobPath, listing: BlobListing) -> None:
        self.path = folder / INDEX_NAME
        self.listing = listing
        digest = hashlib.sha256(
            f"{blob_endpoint(folder.container)}/{folder.container}/{folder.key}".encode()
        ).hexdigest()
        self._cache = cache_folder() / "indexes" / digest[:32]
        self.work = self._cache / "kept.jsonl"
        """The index where it cannot be written to Blob; beside it lies what a build has read so far."""

    def read(self) -> list[tuple[Location, Records]]:
        """The index of everybody, and the one that this machine had to keep for itself, with where they lie.

        Raises:
            StorageError: The blob cannot be read.
        """
        return [(self.path, self._read_published()), (self.work, read_records(self.work))]

    def write(self, records: Records) -> Location:
        """Replace the index; where this identity may not write, it is kept here, with a warning.

        Returns:
            Where it lies now.

        Raises:
            StorageError: Neither can be written.
        """
        text = dump_records(records)
        try:
            state = write_bytes(self.path, text)
        except StorageError as error:
            if getattr(error.__cause__, "status_code", None) != _REFUSED:
                raise
            if read_records(self.work) != records:
                write_records(self.work, records)
                warnings.warn(
                    f"{self.path}: this identity may not write here; the index is in {self.work}, for this machine "
                    f"alone; with the role Storage Blob Data Contributor `mrikit data index` shares it",
                    stacklevel=2,
                )
            return self.work
        self._copy(state.version, text)
        with contextlib.suppress(OSError):
            self.work.unlink(missing_ok=True)
        return self.path

    def _read_published(self) -> Records:
        state = self.listing.states.get(INDEX_NAME)
        if state is None:
            return {}
        records = read_records(self._copy_path(state.version))
        if records:
            return records
        text = read_bytes(self.path)
        self._copy(state.version, text)
        return parse_records(text)

    def _copy(self, version: int, text: bytes) -> None:
        """Keep a copy of the published index in place of older ones; a cache that cannot be written is no error."""
        path = self._copy_path(version)
        with contextlib.suppress(StorageError, OSError):
            write_bytes(path, text)
            for other in self._cache.glob("published-*.jsonl"):
                if other != path:
                    remove(other)

    def _copy_path(self, version: int) -> Path:
        return self._cache / f"published-{version:x}.jsonl"


def read_blob_entries(
    folder: BlobPath, names: list[str], listing: BlobListing, num_in_flight: int
) -> Iterator[tuple[str, Entry]]:
    """Describe each blob, in any order; while some are waited for, others are read.

    Raises:
        StorageError: One cannot be read for a reason that is not its own.
    """
    pool = ThreadPoolExecutor(num_in_flight, thread_name_prefix="mrikit-index")
    try:
        # What is read once to describe a blob is not worth a place in the cache.
        futures = {
            pool.submit(read_entry, folder, name, BlobFiles(listing.signatures, is_kept=False)): name for name in names
        }
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)
