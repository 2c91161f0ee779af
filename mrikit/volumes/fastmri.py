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
from mrikit.volumes.slice_array import SliceArray
from mrikit.volumes.slices import FileSlices
from mrikit.volumes.volume import ScanInfo, Volume

ANATOMY_OF_PROTOCOL = {"AX": "brain", "COR": "knee"}
"""fastMRI names its brain protocols AXT1, AXT2, AXFLAIR, ... and its knee protocols CORPD_FBK and CORPDFS_FBK."""


def read_fastmri(path: Location, file: h5py.File, kspace: SliceArray | None = None) -> Volume:
    """Read an open fastMRI file; slices are read later, when they are asked for.

    The scored window is that of the stored reference, or of the header where there is none (test files). The
    acquired columns are counted from the encoded size in the header, as fastMRI does. Test files say with what
    acceleration and how many centre lines their mask was drawn (`acceleration`, `num_low_frequency`). Arrays whose
    phase axis comes first are transposed, which `info.notes` say.

    Args:
        path: The file.
        file: The same, open.
        kspace: Its k-space, where that is not stored as (slice, coil, readout, phase).

    Raises:
        DataError: Something is missing or does not fit; the message does not name the file.
    """
    kspace = kspace_slices(path, file) if kspace is None else kspace
    reference = own_reference(path, file, kspace)
    header = read_header(text(file, "ismrmrd_header"))
    notes: tuple[str, ...] = ()
    order = phase_first((kspace.shape[2], kspace.shape[3]), header.encoded_matrix[:2])
    if order and isinstance(kspace, FileSlices):
        notes = (order.words,)
        if order.is_certain:
            kspace = transposed(kspace)
            if reference is not None and is_reference_transposed(file, reference):
                reference = transposed(reference)
    matrix = (kspace.shape[2], kspace.shape[3])
    left, right = header.padding
    acquisition = text_attribute(file, "acquisition")
    largest = attribute(file, "max")
    num_center_lines = mask_number(file, "num_low_frequency")
    return Volume(
        kspace=kspace,
        reference=reference,
        mask=sampling_mask(file, matrix, is_phase_first=isinstance(kspace, FileSlices) and kspace.is_phase_first),
        info=ScanInfo(
            volume_id=path.stem,
            patient_id=text_attribute(file, "patient_id") or header.patient_id,
            anatomy=anatomy_of(header.body_part, acquisition),
            acquisition=acquisition,
            field_strength_t=header.field_strength_t,
            system=header.system,
            matrix=matrix,
            recon_matrix=(reference.shape[1], reference.shape[2]) if reference else header.window[:2],
            fov_mm=header.fov_mm,
            geometry=geometry_of_header(header, matrix),
            padding=(max(left, 0), min(right, matrix[1])),
            reference_max=None if largest is None else float(largest),
            acceleration=mask_number(file, "acceleration"),
            num_center_lines=None if num_center_lines is None else round(num_center_lines),
            source=path,
            notes=notes,
            study_id=text_attribute(file, "study_id"),
        ),
    )


def own_reference(path: Location, file: h5py.File, kspace: SliceArray) -> FileSlices | None:
    """The reference that a file of fastMRI's layout stores beside its k-space, or None.

    Raises:
        DataError: It does not fit k-space.
    """
    num_slices, num_coils, *_ = kspace.shape
    keys = ["reconstruction_esc", "reconstruction_rss"] if num_coils == 1 else ["reconstruction_rss"]
    return reference_slices(path, file, keys, num_slices)


def mask_number(file: h5py.File, name: str) -> float | None:
    """What a test file says of its mask; None where it says nothing, or 0.

    Raises:
        DataError: It is another number, or none.
    """
    found = attribute(file, name)
    try:
        number = float(found or 0)
    except (TypeError, ValueError):
        number = math.nan
    if number and not 1 <= number < math.inf:
        raise DataError(f"the attribute '{name}' is {found!r}; a number from 1 is needed, or none")
    return number or None


def anatomy_of(body_part: str | None, acquisition: str | None) -> str | None:
    """What a scan shows, by the body part of its header, else by the name of its protocol."""
    if body_part:
        return body_part.lower()
    return next(
        (anatomy for start, anatomy in ANATOMY_OF_PROTOCOL.items() if (acquisition or "").startswith(start)), None
    )
