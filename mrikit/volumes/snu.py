"""Read files of the SNU fastMRI challenge: `kspace/NAME.h5` with its sibling `image/NAME.h5`."""

import h5py
import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.storage import BlobPath, Location
from mrikit.volumes.blob_file import BlobFiles
from mrikit.volumes.hdf5 import attribute, read_hdf5, sampling_mask, text_attribute
from mrikit.volumes.hdf5_arrays import kspace_slices, reference_slices
from mrikit.volumes.slices import FileSlices
from mrikit.volumes.volume import ScanInfo, Volume

ANATOMIES = ("brain", "knee")


def image_sibling(path: Location) -> Location | None:
    """The image file that belongs to a k-space file, or None if it does not lie in a folder named `kspace`."""
    return path.parent.parent / "image" / path.name if path.parent.name == "kspace" else None


def read_snu(path: Location, file: h5py.File, blobs: BlobFiles | None = None) -> Volume:
    """Read an open SNU k-space file and the facts of its image file; slices are read later.

    The format has no header: the anatomy is the first word of the file name, all columns count as acquired, and
    without an image file there is no reference and the scored window is the full field of view.

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
    is_applied = mask is not None and _is_applied(mask, file)
    reference, largest = _image(path, len(kspace), blobs)
    word = path.stem.split("_")[0].lower()
    return Volume(
        kspace=kspace,
        reference=reference,
        mask=mask if is_applied else None,
        planned_mask=None if is_applied else mask,
        info=ScanInfo(
            volume_id=path.stem,
            patient_id=text_attribute(file, "patient_id"),
            anatomy=word if word in ANATOMIES else None,
            acquisition=text_attribute(file, "acquisition"),
            matrix=matrix,
            recon_matrix=(reference.shape[1], reference.shape[2]) if reference else matrix,
            padding=(0, matrix[1]),
            reference_max=largest,
            source=path,
        ),
    )


def _is_applied(mask: npt.NDArray[np.bool_], file: h5py.File) -> bool:
    """Whether k-space is zero outside the mask, in the middle slice; for whole columns, its middle row tells.

    The first coil decides for every file whose k-space is full: of a blob the others, which lie apart, are left alone.
    """
    kspace = file["kspace"]
    middle, rows = len(kspace) // 2, kspace.shape[-2] // 2 if mask.ndim == 1 else slice(None)
    coils = ((0,), (slice(1, None),)) if kspace.ndim == 4 else ((),)
    has_samples = False
    for coil in coils:
        part = kspace[middle, *coil, rows]
        if part[..., ~mask].any():
            return False
        has_samples = has_samples or bool(part.any())
    return has_samples  # zeros alone are no leaderboard file: whoever looks at all of them refuses it


def _image(path: Location, num_slices: int, blobs: BlobFiles | None) -> tuple[FileSlices | None, float | None]:
    """Reference and its maximum from the image file, where there is one."""
    sibling = image_sibling(path)
    blobs = blobs or BlobFiles()
    if sibling is None or not (blobs.find(sibling) if isinstance(sibling, BlobPath) else sibling.exists()):
        return None, None

    def read(file: h5py.File) -> tuple[FileSlices | None, float | None]:
        try:
            reference = reference_slices(sibling, file, ["image_label"], num_slices)
        except DataError as error:
            raise DataError(f"its image file {sibling}: {error}") from error
        largest = attribute(file, "max")
        return reference, None if largest is None else float(largest)

    return read_hdf5(sibling, read, blobs)
