"""Read files of the fastMRI data set, multi-coil and single-coil."""

import math

import h5py

from mrikit.errors import DataError
from mrikit.storage import Location
from mrikit.volumes.geometry import geometry_of_header
from mrikit.volumes.hdf5 import attribute, sampling_mask, text, text_attribute
from mrikit.volumes.hdf5_arrays import kspace_slices, reference_slices
from mrikit.volumes.header import read_header
from mrikit.volumes.phase_first import is_reference_transposed, phase_first, transposed
from mrikit.volumes.volume import ScanInfo, Volume

ANATOMY_OF_PROTOCOL = {"AX": "brain", "COR": "knee"}
"""fastMRI names its brain protocols AXT1, AXT2, AXFLAIR, ... and its knee protocols CORPD_FBK and CORPDFS_FBK."""


def read_fastmri(path: Location, file: h5py.File) -> Volume:
    """Read an open fastMRI file; slices are read later, when they are asked for.

    The scored window is that of the stored reference, or of the header where there is none (test files). The
    acquired columns are counted from the encoded size in the header, as fastMRI does. Test files say with what
    acceleration and how many centre lines their mask was drawn (`acceleration`, `num_low_frequency`). Arrays whose
    phase axis comes first are transposed, which `info.notes` say.

    Raises:
        DataError: Something is missing or does not fit; the message does not name the file.
    """
    kspace = kspace_slices(path, file)
    num_slices, num_coils, *_ = kspace.shape
    keys = ["reconstruction_esc", "reconstruction_rss"] if num_coils == 1 else ["reconstruction_rss"]
    reference = reference_slices(path, file, keys, num_slices)
    header = read_header(text(file, "ismrmrd_header"))
    notes: tuple[str, ...] = ()
    if order := phase_first(kspace.shape[2:], header.encoded_matrix[:2]):
        notes = (order.words,)
        if order.is_certain:
            kspace = transposed(kspace)
            if reference is not None and is_reference_transposed(file, reference):
                reference = transposed(reference)
    matrix = (kspace.shape[2], kspace.shape[3])
    left, right = header.padding
    acquisition = text_attribute(file, "acquisition")
    largest = attribute(file, "max")
    num_center_lines = _number(file, "num_low_frequency")
    return Volume(
        kspace=kspace,
        reference=reference,
        mask=sampling_mask(file, matrix, is_phase_first=kspace.is_phase_first),
        info=ScanInfo(
            volume_id=path.stem,
            patient_id=text_attribute(file, "patient_id") or header.patient_id,
            anatomy=_anatomy(header.body_part, acquisition),
            acquisition=acquisition,
            field_strength_t=header.field_strength_t,
            matrix=matrix,
            recon_matrix=(reference.shape[1], reference.shape[2]) if reference else header.window[:2],
            fov_mm=header.fov_mm,
            geometry=geometry_of_header(header, matrix),
            padding=(max(left, 0), min(right, matrix[1])),
            reference_max=None if largest is None else float(largest),
            acceleration=_number(file, "acceleration"),
            num_center_lines=None if num_center_lines is None else round(num_center_lines),
            source=path,
            notes=notes,
        ),
    )


def _number(file: h5py.File, name: str) -> float | None:
    """What a test file says of its mask; None where it says nothing, or 0."""
    found = attribute(file, name)
    try:
        number = float(found or 0)
    except (TypeError, ValueError):
        number = math.nan
    if number and not 1 <= number < math.inf:
        raise DataError(f"the attribute '{name}' is {found!r}; a number from 1 is needed, or none")
    return number or None


def _anatomy(body_part: str | None, acquisition: str | None) -> str | None:
    if body_part:
        return body_part.lower()
    return next(
        (anatomy for start, anatomy in ANATOMY_OF_PROTOCOL.items() if (acquisition or "").startswith(start)), None
    )
