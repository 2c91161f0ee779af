"""Read files of Calgary-Campinas: (x, ky, kz, 2 x coil) floats, transformed along the readout."""

import h5py
import numpy as np
import numpy.typing as npt

from mrikit.storage import Location
from mrikit.volumes.axes import PARTS_OF_COILS, AxisMap, find_image_corner
from mrikit.volumes.mapped import mapped_slices
from mrikit.volumes.sampling import sampled_in
from mrikit.volumes.volume import ScanInfo, Volume

NAMES = ("slice", "readout", "phase", PARTS_OF_COILS)
_CENTER = 16  # the centre of k-space is looked for in one sixteenth of each axis


def is_calgary(file: h5py.File) -> bool:
    """Whether four axes of floats are k-space: positive and negative, with their energy at a corner or the middle.

    A stack of magnitude images is positive; one of phases, or of real parts, has no such peak.
    """
    stored = file["kspace"]
    if 0 in stored.shape or stored.shape[-1] % 2:
        return False
    values = stored[len(stored) // 2]
    kspace, _ = AxisMap(names=NAMES).arrange(values)
    return bool(values.min() < 0 < values.max()) and max(_center_share(kspace), _corner_share(kspace)) > 1 / 2


def read_calgary(path: Location, file: h5py.File) -> Volume:
    """Read an open file: slices along x, with (ky, kz) as (readout, phase).

    Where the centre of k-space lies at index 0 it is brought to the middle, and so is that of the image.

    Raises:
        DataError: Its k-space is empty; the message does not name the file.
    """
    stored = file["kspace"]
    plain, _ = AxisMap(names=NAMES).arrange(stored[len(stored) // 2])
    is_dc_cornered = _corner_share(plain) > _center_share(plain)
    axes = AxisMap(
        names=NAMES, is_dc_cornered=is_dc_cornered, is_image_cornered=not is_dc_cornered or find_image_corner(plain)
    )
    kspace = mapped_slices(path, file, "kspace", axes)
    matrix = (kspace.shape[2], kspace.shape[3])
    notes = ["taken for Calgary-Campinas: slices along x, real and imaginary parts of the coils alternate"]
    if is_dc_cornered:
        notes.append("the centre of k-space lies at index 0 and is brought to the middle")
    return Volume(
        kspace=kspace,
        mask=sampled_in(kspace.axes.arrange(stored[len(stored) // 2])[0]),
        info=ScanInfo(
            volume_id=path.stem,
            anatomy="brain",
            matrix=matrix,
            recon_matrix=matrix,
            padding=(0, matrix[1]),
            source=path,
            notes=tuple(notes),
        ),
    )


def _corner_share(kspace: npt.NDArray[np.complex64]) -> float:
    return _center_share(np.fft.fftshift(kspace, axes=(-2, -1)))


def _center_share(kspace: npt.NDArray[np.complex64]) -> float:
    """The share of the energy of (coil, readout, phase) k-space that lies around its middle."""
    energy = np.square(np.abs(kspace), dtype=np.float64).sum(axis=0)
    near = tuple(slice(size // 2 - size // _CENTER, size // 2 + size // _CENTER + 1) for size in energy.shape)
    return float(energy[near].sum() / energy.sum()) if energy.any() else 0.0
