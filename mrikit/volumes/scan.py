"""What lies in a data folder: every file that by its name may be a volume, and when it changed."""

import os
from dataclasses import dataclass
from pathlib import Path

from mrikit.errors import DataError
from mrikit.storage import BlobPath, FileState, Location, list_files
from mrikit.volumes.blob_file import Signature

HDF5_SUFFIXES = (".h5", ".hdf5", ".mrd")
BART_SUFFIX = ".cfl"
VOLUME_SUFFIXES = (*HDF5_SUFFIXES, BART_SUFFIX, ".mat")


def scan(folder: Location) -> dict[str, list[int]]:
    """Every file below a folder that by its name may be a volume, with a signature that changes when the file does.

    No file is opened, and names are plain text: 10,000 files take a tenth of a second.

    Returns:
        Names relative to the folder, sorted, each with size in bytes and modification time in ns of the file, and
        where it has a companion (the image file of SNU, the header of BART) also of that. Blobs have a version in place
        of a time.

    Raises:
        DataError: There is no such folder.
        StorageError: Blobs cannot be listed.
    """
    if isinstance(folder, BlobPath):
        return list_blobs(folder).volumes
    if folder.is_file():
        raise DataError(f"{folder}: a file, not a folder; name the folder that it lies in")
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    root = os.path.abspath(folder)  # noqa: PTH100 - links are kept as they are
    folders = _walk(root)
    # A user may point at the k-space folder alone; its image files still count as companions.
    beside = _walk(f"{root[:-7]}/image") if root.endswith("/kspace") and Path(f"{root[:-7]}/image").is_dir() else {}
    return _match(root, folders, beside)


@dataclass(frozen=True, kw_only=True, slots=True)
class BlobListing:
    """All blobs below a prefix at one time."""

    volumes: dict[str, list[int]]
    """As `scan` returns them."""
    signatures: dict[BlobPath, Signature]
    """Of every blob, and of the images beside a prefix of k-space."""
    states: dict[str, FileState]
    """Of every blob below the prefix, by its name relative to it."""


def list_blobs(folder: BlobPath) -> BlobListing:
    """List a prefix once, and the images beside a prefix of k-space.

    Raises:
        DataError: There is no blob below it.
        StorageError: It cannot be listed.
    """
    states = list_files(folder)
    if not states:
        raise DataError(f"{folder}: no such folder; there is no blob below it")
    signatures = {folder / name: (state.size_bytes, state.version) for name, state in states.items()}
    images = folder.parent / "image"
    beside = list_files(images) if folder.name == "kspace" else {}
    signatures |= {images / name: (state.size_bytes, state.version) for name, state in beside.items()}
    root = f"/{folder.key}".rstrip("/")
    return BlobListing(
        volumes=_match(root, _by_folder(root, states), _by_folder(f"/{images.key}".rstrip("/"), beside)),
        signatures=signatures,
        states=states,
    )


def _match(
    root: str, folders: dict[str, dict[str, list[int]]], beside: dict[str, dict[str, list[int]]]
) -> dict[str, list[int]]:
    """The volumes among the files of each folder, with what belongs to them."""
    found = {}
    for place, files in folders.items():
        parent, _, last = place.rpartition("/")
        images = (folders | beside).get(f"{parent}/image", {}) if last == "kspace" else {}
        kspaces = folders.get(f"{parent}/kspace", {}) if last == "image" else {}
        prefix = place[len(root) + 1 :] + "/" if place != root else ""
        for name, signature in files.items():
            if name.endswith(VOLUME_SUFFIXES) and name not in kspaces:
                companion = files.get(f"{name[:-4]}.hdr") if name.endswith(BART_SUFFIX) else images.get(name)
                found[prefix + name] = signature + (companion or [])
    return dict(sorted(found.items()))


def _by_folder(root: str, states: dict[str, FileState]) -> dict[str, dict[str, list[int]]]:
    """Blobs as `_walk` finds files."""
    folders: dict[str, dict[str, list[int]]] = {}
    for name, state in states.items():
        if not any(part.startswith(".") for part in name.split("/")):
            parent, _, last = f"{root}/{name}".rpartition("/")
            folders.setdefault(parent, {})[last] = [state.size_bytes, state.version]
    return folders


def _walk(root: str) -> dict[str, dict[str, list[int]]]:
    """Size and time of every file of every folder from `root` down; names that start with a dot are left out.

    Links to folders are followed, but not back to a folder on the way to them.
    """
    folders: dict[str, dict[str, list[int]]] = {}
    waiting: list[tuple[str, set[tuple[int, int]]]] = [(root, set())]
    try:
        while waiting:
            place, above = waiting.pop()
            status = os.stat(place)  # noqa: PTH116 - names are plain text here
            identity = (status.st_dev, status.st_ino)
            if identity in above:
                continue
            files = folders[place] = {}
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        waiting.append((entry.path, above | {identity}))
                    else:
                        files[entry.name] = _signature(entry)
    except OSError as error:
        raise DataError(f"{error.filename}: this folder cannot be listed: {error.strerror}") from error
    return folders


def _signature(entry: os.DirEntry[str]) -> list[int]:
    """Size and modification time; zeros for a link to nowhere, which opening will report."""
    try:
        status = entry.stat()
    except FileNotFoundError:
        return [0, 0]
    return [status.st_size, status.st_mtime_ns]
