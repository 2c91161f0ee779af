"""Read T2 files of fastMRI prostate: k-space with averages in front, which hold alternating lines."""

from dataclasses import replace

import h5py
import numpy as np

from mrikit.errors import DataError
from mrikit.storage import Location
from mrikit.volumes.axes import AxisMap
from mrikit.volumes.fastmri import read_fastmri
from mrikit.volumes.mapped import mapped_slices
from mrikit.volumes.sampling import sampled_in
from mrikit.volumes.volume import Volume

AXES = AxisMap(names=("average", "slice", "coil", "readout", "phase"))
CALIBRATION = "calibration_data"
DIFFUSION_KEYS = ("coil_sens_maps", "phase_correction")


def is_prostate(file: h5py.File) -> bool:
    """Whether k-space of five axes has averages in front: another array counts as many slices as its second axis."""
    num_averages, num_slices, *_ = file["kspace"].shape
    if CALIBRATION in file:
        return True
    references = [key for key in ("reconstruction_rss", "reconstruction_esc") if key in file]
    return num_averages > 1 and any(len(file[key]) == num_slices for key in references)


def read_prostate(path: Location, file: h5py.File) -> Volume:
    """Read an open file; each line is the mean of the averages that hold it.

    The separate calibration lines are left unused: they serve to fill the lines that each average lacks.

    Raises:
        DataError: It is a diffusion scan, or does not fit; the message does not name the file.
    """
    found = [key for key in DIFFUSION_KEYS if key in file]
    if found:
        raise DataError(
            f"a diffusion scan with {', '.join(found)}; its first axis are weightings, not averages, and its lines "
            "need a phase correction. Only T2 files of fastMRI prostate can be read"
        )
    kspace = mapped_slices(path, file, "kspace", AXES)
    volume = read_fastmri(path, file, kspace)
    middle, angles = AXES.arrange(file["kspace"][AXES.index(len(kspace) // 2)])
    notes = [f"{kspace.stored_shape[0]} averages are combined: each line is the mean of those that hold it"]
    if angles.any():
        turned = ", ".join(
            f"{number + 1} by {np.degrees(angles[number]):.0f} degrees" for number in angles.nonzero()[0]
        )
        notes.append(f"averages out of phase are turned before that: in the middle slice {turned}")
    if CALIBRATION in file:
        notes.append(f"'{CALIBRATION}' of shape {file[CALIBRATION].shape} is not used")
    is_masked = volume.mask is not None
    return replace(
        volume,
        mask=volume.mask if is_masked else sampled_in(middle),
        info=replace(
            volume.info,
            # Its protocol AXT2 is one of brains in the other data sets.
            anatomy=volume.info.anatomy if volume.info.anatomy not in (None, "brain") else "prostate",
            notes=(*volume.info.notes, *notes),
        ),
    )
