"""Download of a job's outputs, finished or running."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from mrikit.errors import JobError, StorageError
from mrikit.launching.job import JobSpec
from mrikit.storage import (
    BlobPath,
    FileState,
    file_state,
    is_temporary,
    list_files,
    parse_location,
    read_json,
    read_range,
    write_json,
    write_stream,
)

_PIECE_BYTES = 8 * 2**20
_VERSIONS = ".mrikit-pulled.json"
"""Which version of which file is there already."""


def pull_outputs(spec: JobSpec, to: Path) -> list[Path]:
    """Copy the places that a job writes into a folder, each below its own name; what is there is not read again.

    A file that changes while it is read is left for the next time: each one here is a whole version of it.

    Returns:
        All files that are there afterwards.

    Raises:
        JobError: It writes nothing to az://.
        StorageError: A file cannot be read or written.
    """
    places = [place for place in map(parse_location, spec.outputs) if isinstance(place, BlobPath)]
    if not places:
        raise JobError(f"job {spec.name} writes to no az:// place, so that there is nothing to pull")
    paths: list[Path] = []
    for place in places:
        target = to / (place.name or place.container)
        paths += _pull(place, target)
    return paths


def _pull(place: BlobPath, target: Path) -> list[Path]:
    if place.key and (state := file_state(place)) is not None:
        files, sources = {place.name: state}, {place.name: place}
        target = target.parent
    else:
        files = list_files(place)
        sources = {name: place / name for name in files if _is_inside(name)}
    known = _known(target / _VERSIONS)
    paths = []
    try:
        for name, source in sources.items():
            path = target / name
            if _is_here(path, files[name], known.get(name)) or _copy(source, files[name], path):
                known[name] = files[name].version
                paths.append(path)
    finally:
        if known:
            write_json(target / _VERSIONS, known)
    return paths


def _is_inside(name: str) -> bool:
    """Whether a blob's name is one of a file below the folder: blobs may be called anything."""
    parts = PurePosixPath(name).parts
    return bool(parts) and ".." not in parts and not name.startswith("/") and not is_temporary(parts[-1])


def _is_here(path: Path, state: FileState, version: int | None) -> bool:
    return version == state.version and path.is_file() and path.stat().st_size == state.size_bytes


def _copy(source: BlobPath, state: FileState, path: Path) -> bool:
    """Whether it is here now; not where it has changed or gone meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_stream(path, _pieces(source, state), num_bytes=state.size_bytes)
    except StorageError:
        now = file_state(source)
        if now is not None and now.version == state.version:
            raise
        return False
    return True


def _pieces(source: BlobPath, state: FileState) -> Iterator[bytes]:
    for start in range(0, state.size_bytes, _PIECE_BYTES):
        count = min(_PIECE_BYTES, state.size_bytes - start)
        yield read_range(source, start, count, if_version=state.version)


def _known(path: Path) -> dict[str, int]:
    """Versions of files that are there; none where the note is damaged."""
    try:
        found = read_json(path) if path.exists() else {}
    except StorageError:
        return {}
    return (
        {str(key): value for key, value in found.items() if isinstance(value, int)}
        if isinstance(found, Mapping)
        else {}
    )
