"""Read BART arrays: `NAME.hdr` with the sizes, `NAME.cfl` with complex64 in column-major order."""

from dataclasses import replace

import numpy as np

from mrikit.errors import DataError, StorageError
from mrikit.storage import BlobPath, FileState, Location, file_state, read_bytes
from mrikit.volumes.blob_file import BlobFiles
from mrikit.volumes.sampling import find_sampling
from mrikit.volumes.slices import FileSlices
from mrikit.volumes.volume import ScanInfo, Volume

READ, PHS1, PHS2, COIL, SLICE = 0, 1, 2, 3, 13
NUM_DIMS = 16


def read_dims(path: Location) -> tuple[int, ...]:
    """The sizes in a BART header, filled up with ones to 16.

    Args:
        path: The `.cfl` or `.hdr` file.

    Raises:
        DataError: The header is missing or says no sizes, or the data file has another size.
    """
    header, data = _pair(path)
    lines = _read(header).decode(errors="replace").splitlines()
    words = [word for line in lines if not line.startswith("#") for word in line.split()][:NUM_DIMS]
    if not words or not all(word.isdecimal() and int(word) > 0 for word in words):
        raise DataError(f"{header}: not a BART header; a line of sizes such as '640 368 1 15' is needed")
    dims = tuple(int(word) for word in words) + (1,) * (NUM_DIMS - len(words))
    expected_bytes, size_bytes = int(np.prod(dims)) * 8, _require(data).size_bytes
    if size_bytes != expected_bytes:
        raise DataError(
            f"{data}: {size_bytes} bytes, but its header {header.name} promises {expected_bytes}; "
            "is it truncated? Copy it again"
        )
    return dims


def read_bart(path: Location, blobs: BlobFiles | None = None) -> Volume:
    """Read a BART array as k-space of a 2-D scan; slices are read once here, to find the mask, and again later.

    (READ, PHS1) is (readout, phase). Where READ has size 1 the array is a plane of two phase encodings, as after a
    Fourier transform of a 3-D scan along its readout, and (PHS1, PHS2) is (readout, phase). BART stores no further
    facts: what is zero in every slice and coil was not sampled, and the scored window is the full field of view.

    Raises:
        DataError: The file is damaged or all zero, or has further axes such as maps, echoes or times.
    """
    dims = read_dims(path)
    readout_dim, phase_dim = (PHS1, PHS2) if dims[READ] == 1 else (READ, PHS1)
    used = {readout_dim, phase_dim, COIL, SLICE}
    extra = {dim: size for dim, size in enumerate(dims) if dim not in used and size > 1}
    if extra:
        raise DataError(
            f"{path}: a 2-D scan is needed, with sizes along READ (0), PHS1 (1), COIL (3) and SLICE (13); "
            f"found dimensions {extra} too. Extract one with `bart slice`"
        )
    matrix = (dims[readout_dim], dims[phase_dim])
    shape = (dims[SLICE], dims[COIL], *matrix)
    _, data = _pair(path)
    signature = None
    if isinstance(data, BlobPath) and (blob := (blobs or BlobFiles()).find(data)):
        signature = blob.signature
    kspace = FileSlices(path=data, shape=shape, stored_dtype="<c8", start=0, is_phase_first=True, signature=signature)
    try:
        # Who looks once into every file does not read its slices a second time.
        found = find_sampling(replace(kspace, is_kept=blobs is None or blobs.is_kept))
    except DataError as error:
        raise error if str(data) in str(error) else DataError(f"{data}: {error}") from error
    info = ScanInfo(volume_id=path.stem, matrix=matrix, recon_matrix=matrix, padding=found.region.columns, source=data)
    return Volume(kspace=kspace, mask=found.samples, info=info)


def _pair(path: Location) -> tuple[Location, Location]:
    """Header and data file of an array."""
    return path.with_name(f"{path.stem}.hdr"), path.with_name(f"{path.stem}.cfl")


def _require(path: Location) -> FileState:
    state = file_state(path)
    if state is None:
        raise DataError(f"{path}: No such file or directory; a BART array is a .hdr and a .cfl file of the same name")
    return state


def _read(header: Location) -> bytes:
    _require(header)
    try:
        return read_bytes(header)
    except StorageError as error:
        raise DataError(str(error)) from error
