"""Read files without a header: of the SNU challenge with its image file beside, and of fastMRI's layout."""

import h5py
import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.storage import BlobPath, Location
from mrikit.volumes.blob_file import BlobFiles
from mrikit.volumes.fastmri import anatomy_of, mask_number, own_reference
from mrikit.volumes.hdf5 import attribute, read_hdf5, sampling_mask, text_attribute
from mrikit.volumes.hdf5_arrays import kspace_slices, reference_slices
from mrikit.volumes.slices import FileSlices
from mrikit.volumes.volume import ScanInfo, Volume

ANATOMIES = ("brain", "knee")
NO_HEADER = "no header: the field of view is unknown, and all columns count as acquired until the data say otherwise"


def image_sibling(path: Location) -> Location | None:
    """The image file that belongs to a k-space file, or None if it does not lie in a folder named `kspace`."""
    return path.parent.parent / "image" / path.name if path.parent.name == "kspace" else None


def read_snu(path: Location, file: h5py.File, blobs: BlobFiles | None = None) -> Volume:
    """Read an open k-space file without a header, and the facts of its image file; slices are read later.

    All columns count as acquired. In SNU's `kspace/NAME.h5` the anatomy is the first word of the file name, and
    `image/NAME.h5` has reference and maximum; the scored window is that of `image_label`, where that is missing of
    `image_grappa`. Where there is no image file, those of fastMRI's layout in the file itself are used, and its
    protocol tells the anatomy. Without a reference the scored window is the full field of view.

    The mask of a leaderboard file, whose k-space is zero outside it, says what was sampled. Files for training and
    validation hold full k-space beside a mask: theirs is only planned, and training draws others.

    Args:
        path: The k-space file.
        file: The same, open.
        blobs: Where the image file is looked for if it is a blob.

    Raises:
        DataError: Something is missing or does not fit; the message does not name the k-space file.
    """
    kspace = kspace_slices(path, file)
    matrix = (kspace.shape[2], kspace.shape[3])
    mask = sampling_mask(file, matrix)
    is_applied = mask is not None and _is_applied(mask, file, kspace)
    reference, window, largest = _image(path, len(kspace), blobs)
    own = own_reference(path, file, kspace)
    notes = []
    if window is None and (own is not None or attribute(file, "max") is not None):
        reference, largest = own, attribute(file, "max")
        window = None if own is None else (own.shape[1], own.shape[2])
        notes.append(NO_HEADER)
    elif own is not None:
        notes.append(f"'{own.key}' is not used; the image file beside has the reference")
    acquisition = text_attribute(file, "acquisition")
    num_center_lines = mask_number(file, "num_low_frequency")
    word = path.stem.split("_")[0].lower()
    return Volume(
        kspace=kspace,
        reference=reference,
        mask=mask if is_applied else None,
        planned_mask=None if is_applied else mask,
        info=ScanInfo(
            volume_id=path.stem,
            patient_id=text_attribute(file, "patient_id"),
            anatomy=word if word in ANATOMIES else anatomy_of(None, acquisition) if NO_HEADER in notes else None,
            acquisition=acquisition,
            matrix=matrix,
            recon_matrix=window or matrix,
            padding=(0, matrix[1]),
            reference_max=None if largest is None else float(largest),
            acceleration=mask_number(file, "acceleration"),
            num_center_lines=None if num_center_lines is None else round(num_center_lines),
            source=path,
            notes=tuple(notes),
        ),
    )


def _is_applied(mask: npt.NDArray[np.bool_], file: h5py.File, slices: FileSlices) -> bool:
    """Whether k-space is zero outside the mask, in the middle slice; for whole columns, its middle row tells.

    The first coil decides for every file whose k-space is full: of a blob the others, which lie apart, are left alone.
    """
    kspace = file["kspace"]
    middle, rows = len(kspace) // 2, kspace.shape[-2] // 2 if mask.ndim == 1 else slice(None)
    if kspace.dtype.kind != "c":  # a real and an imaginary part side by side
        whole = np.ascontiguousarray(kspace[middle]).view(slices.stored_dtype).reshape(slices.shape[1:])
        return not whole[..., ~mask].any()
    coils = ((0,), (slice(1, None),)) if kspace.ndim == 4 else ((),)
    has_samples = False
    for coil in coils:
        part = kspace[middle, *coil, rows]
        if part[..., ~mask].any():
            return False
        has_samples = has_samples or bool(part.any())
    return has_samples  # zeros alone are no leaderboard file: whoever looks at all of them refuses it


def _image(
    path: Location, num_slices: int, blobs: BlobFiles | None
) -> tuple[FileSlices | None, tuple[int, int] | None, float | None]:
    """Reference, (y, x) size of the images and maximum of the reference from the image file, where there is one."""
    sibling = image_sibling(path)
    blobs = blobs or BlobFiles()
    if sibling is None or not (blobs.find(sibling) if isinstance(sibling, BlobPath) else sibling.exists()):
        return None, None, None

    def read(file: h5py.File) -> tuple[FileSlices | None, tuple[int, int] | None, float | None]:
        try:
            reference = reference_slices(sibling, file, ["image_label"], num_slices)
            shown = reference or reference_slices(sibling, file, ["image_grappa"], num_slices)
        except DataError as error:
            raise DataError(f"its image file {sibling}: {error}") from error
        largest = attribute(file, "max")
        window = None if shown is None else (shown.shape[1], shown.shape[2])
        return reference, window, None if largest is None else float(largest)

    return read_hdf5(sibling, read, blobs)
