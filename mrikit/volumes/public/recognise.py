"""Recognise a public data set by what lies in a file."""

import h5py

from mrikit.storage import Location
from mrikit.volumes.blob_file import BlobFiles
from mrikit.volumes.public.calgary import is_calgary, read_calgary
from mrikit.volumes.public.cmrxrecon import read_cmrxrecon
from mrikit.volumes.public.prostate import is_prostate, read_prostate
from mrikit.volumes.public.skm_tea import is_skm_tea, read_skm_tea
from mrikit.volumes.slices import open_dataset
from mrikit.volumes.volume import Volume

NUM_USUAL_AXES = 4


def read_public(path: Location, file: h5py.File, blobs: BlobFiles | None = None) -> tuple[Volume, ...] | None:
    """The volumes of an open file of a public data set; None if it is of another form.

    Args:
        path: The file.
        file: The same, open.
        blobs: Where files beside it are looked for if it is a blob.

    Raises:
        NoRawDataError: A MATLAB file without k-space of CMRxRecon.
        DataError: It is such a file, but something does not fit; the message does not name the file.
    """
    if path.suffix == ".mat":
        return read_cmrxrecon(path, file, blobs)
    if b"kspace" not in file.id:
        return None
    dataset, has_header = open_dataset(file, "kspace"), b"ismrmrd_header" in file.id
    has_more_axes = dataset.rank > NUM_USUAL_AXES
    if has_header and not has_more_axes:  # as nearly all files
        return None
    is_real = dataset.get_type().get_class() == h5py.h5t.FLOAT
    if has_header:
        return (read_prostate(path, file),) if not is_real and is_prostate(file) else None
    if has_more_axes and not is_real and is_skm_tea(file):
        return read_skm_tea(path, file)
    if dataset.rank == NUM_USUAL_AXES and is_real and is_calgary(file):
        return (read_calgary(path, file),)
    return None
