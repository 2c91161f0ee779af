"""Find volumes in a folder and open them, whatever their format."""

import os
from pathlib import Path

import h5py

from mrikit.errors import DataError
from mrikit.volumes.bart import read_bart
from mrikit.volumes.fastmri import read_fastmri
from mrikit.volumes.hdf5 import open_hdf5
from mrikit.volumes.ismrmrd import find_group, read_ismrmrd
from mrikit.volumes.snu import read_snu
from mrikit.volumes.volume import Volume

HDF5_SUFFIXES = (".h5", ".hdf5", ".mrd")
BART_SUFFIX = ".cfl"
VOLUME_SUFFIXES = (*HDF5_SUFFIXES, BART_SUFFIX)


def open_volume(path: Path) -> Volume:
    """Open a volume of any format; slices are read when they are asked for.

    A `.cfl` or `.hdr` file is BART. An HDF5 file is recognised by what it holds: fastMRI has `kspace` and
    `ismrmrd_header`, SNU `kspace` alone, MRD a group with `xml` and `data`.

    Raises:
        DataError: It is no such file, or it is damaged.
    """
    path = Path(path)
    if path.suffix in (BART_SUFFIX, ".hdr"):
        return read_bart(path)
    with open_hdf5(path) as file:
        try:
            return _read(path, file)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error


def find_volumes(folder: Path) -> list[Path]:
    """All volumes below a folder, sorted by name; a path that is a file stands for itself.

    Left out are names that start with a dot, SNU image files beside their k-space, and reconstructions.

    Raises:
        DataError: There is no such folder, or no volume in it.
    """
    folder = Path(folder)
    if folder.is_file():
        return [folder]
    names = scan(folder)
    found = [folder / name for name in names if not is_reconstruction(folder / name)]
    if not found and names:
        raise DataError(f"{folder}: holds {len(names)} reconstructions and no volume; name the folder of their volumes")
    if not found:
        raise DataError(nothing_found(folder))
    return found


def nothing_found(folder: Path) -> str:
    """What to say about a folder without volumes."""
    return f"{folder}: no volume in this folder or below; looked for files that end in {', '.join(VOLUME_SUFFIXES)}"


def scan(folder: Path) -> dict[str, list[int]]:
    """Every file below a folder that by its name may be a volume, with a signature that changes when the file does.

    No file is opened, and names are plain text: 10,000 files take a tenth of a second.

    Returns:
        Names relative to the folder, sorted, each with size in bytes and modification time in ns of the file, and
        where it has a companion (the image file of SNU, the header of BART) also of that.

    Raises:
        DataError: There is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    root = os.path.abspath(folder)  # noqa: PTH100 - links are kept as they are
    folders = _walk(root)
    # A user may point at the k-space folder alone; its image files still count as companions.
    beside = _walk(f"{root[:-7]}/image") if root.endswith("/kspace") and Path(f"{root[:-7]}/image").is_dir() else {}
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


def is_reconstruction(path: Path) -> bool:
    """Whether a readable HDF5 file holds a reconstruction and no k-space."""
    if path.suffix not in HDF5_SUFFIXES:
        return False
    try:
        with open_hdf5(path) as file:
            return "reconstruction" in file and "kspace" not in file
    except DataError:
        return False  # opening it as a volume will say what is wrong


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


def _read(path: Path, file: h5py.File) -> Volume:
    if b"kspace" in file.id:
        return read_fastmri(path, file) if b"ismrmrd_header" in file.id else read_snu(path, file)
    group = find_group(file)
    if group is not None:
        return read_ismrmrd(path, file, group)
    if "reconstruction" in file:
        raise DataError(f"a reconstruction, not k-space; found {sorted(file)}. Open it with `read_reconstruction`")
    raise DataError(
        f"no dataset 'kspace' and no group with ISMRMRD 'xml' and 'data'; found {sorted(file)}. "
        "Is it an image-only file?"
    )
