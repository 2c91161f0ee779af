"""DataFolder: the files of a folder now, and what each holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mrikit.storage import BlobPath, Location
from mrikit.volumes.files import NUM_IN_FLIGHT
from mrikit.volumes.index_blob import BlobIndex, read_blob_entries
from mrikit.volumes.index_entry import Entry
from mrikit.volumes.index_file import INDEX_NAME, LocalIndex, Records, read_partial
from mrikit.volumes.index_workers import num_processors, read_entries
from mrikit.volumes.scan import BlobListing, list_blobs, scan


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFolder:
    """A data folder at one time."""

    path: Location
    index: LocalIndex | BlobIndex
    """Where its index is kept."""
    signatures: dict[str, list[int]]
    """Of every file that may be a volume, by its name, as `scan` has them."""
    listing: BlobListing | None
    """None for a local folder."""


def list_folder(path: Location, index_path: Path | None = None) -> DataFolder:
    """List a data folder; no file is opened.

    Args:
        path: The folder.
        index_path: The index file, where it does not lie in the data folder.

    Raises:
        DataError: There is no such folder.
        StorageError: Blobs cannot be listed.
    """
    if isinstance(path, BlobPath):
        listing = list_blobs(path)
        index = BlobIndex(path, listing) if index_path is None else LocalIndex(Path(index_path))
        return DataFolder(path=path, index=index, signatures=listing.volumes, listing=listing)
    local = LocalIndex(Path(path) / INDEX_NAME if index_path is None else Path(index_path))
    return DataFolder(path=Path(path), index=local, signatures=scan(Path(path)), listing=None)


def known_entries(folder: DataFolder, indexes: list[tuple[Location, Records]]) -> dict[str, Entry]:
    """What is known of the files that still are as they were.

    Bad files are left out, because they are tried again.

    Args:
        folder: The files that are there now.
        indexes: What its indexes hold; what a build that was killed had read counts more.
    """
    sources = [*(records for _, records in indexes), read_partial(folder.index.work)]
    known = {
        name: entry
        for records in sources
        for name, (signature, entry) in records.items()
        if folder.signatures.get(name) == signature
    }
    return {name: entry for name, entry in known.items() if entry.kind != "bad"}


def look_into(folder: DataFolder, names: list[str], num_workers: int | None = None) -> Iterator[tuple[str, Entry]]:
    """Open each of the named files once, in any order, and describe it.

    Args:
        folder: Where they lie.
        names: Of the files.
        num_workers: Processes that read files; None for one per processor. Few files are read without starting any.
            Of blobs, how many are read at once; None for 32.

    Raises:
        StorageError: Blobs cannot be read.
    """
    if isinstance(folder.path, BlobPath):
        assert folder.listing is not None
        return read_blob_entries(folder.path, names, folder.listing, num_workers or NUM_IN_FLIGHT)
    return read_entries(folder.path, names, num_workers or num_processors())
