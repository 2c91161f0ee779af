"""Read BART arrays: `NAME.hdr` with the sizes, `NAME.cfl` with complex64 in column-major order."""

from pathlib import Path

import numpy as np

from mrikit.errors import DataError
from mrikit.volumes.sampling import find_sampling
from mrikit.volumes.slices import FileSlices
from mrikit.volumes.volume import ScanInfo, Volume

READ, PHS1, PHS2, COIL, SLICE = 0, 1, 2, 3, 13
NUM_DIMS = 16


def read_dims(path: Path) -> tuple[int, ...]:
    """The sizes in a BART header, filled up with ones to 16.

    Args:
        path: The `.cfl` or `.hdr` file.

    Raises:
        DataError: The header is missing or says no sizes, or the data file has another size.
    """
    header, data = path.with_suffix(".hdr"), path.with_suffix(".cfl")
    try:
        lines = header.read_text(encoding="utf-8", errors="replace").splitlines()
        size_bytes = data.stat().st_size
    except OSError as error:
        raise DataError(
            f"{error.filename}: {error.strerror}; a BART array is a .hdr and a .cfl file of the same name"
        ) from error
    words = [word for line in lines if not line.startswith("#") for word in line.split()][:NUM_DIMS]
    if not words or not all(word.isdecimal() and int(word) > 0 for word in words):
        raise DataError(f"{header}: not a BART header; a line of sizes such as '640 368 1 15' is needed")
    dims = tuple(int(word) for word in words) + (1,) * (NUM_DIMS - len(words))
    expected_bytes = int(np.prod(dims)) * 8
    if size_bytes != expected_bytes:
        raise DataError(
            f"{data}: {size_bytes} bytes, but its header {header.name} promises {expected_bytes}; "
            "is it truncated? Copy it again"
        )
    return dims


def read_bart(path: Path) -> Volume:
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
    data = path.with_suffix(".cfl")
    kspace = FileSlices(path=data, shape=shape, stored_dtype="<c8", start=0, is_phase_first=True)
    try:
        mask, padding = find_sampling(kspace)
    except DataError as error:
        raise error if str(data) in str(error) else DataError(f"{data}: {error}") from error
    info = ScanInfo(volume_id=path.stem, matrix=matrix, recon_matrix=matrix, padding=padding, source=data)
    return Volume(kspace=kspace, mask=mask, info=info)
