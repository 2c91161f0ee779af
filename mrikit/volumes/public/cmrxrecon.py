"""Read MATLAB 7.3 files of CMRxRecon: (time, slice, coil, ky, kx) as HDF5 shows them."""

import re
from dataclasses import dataclass

import h5py
import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.storage import BlobPath, Location
from mrikit.volumes.axes import AxisMap
from mrikit.volumes.blob_file import BlobFiles
from mrikit.volumes.hdf5 import NoRawDataError, read_hdf5
from mrikit.volumes.mapped import mapped_slices
from mrikit.volumes.sampling import sampled_in
from mrikit.volumes.volume import ScanInfo, Volume

KSPACE_KEYS = re.compile(r"kspace|kus|kspace(_single)?_(full|sub\d*)")
NAMES = ("time", "slice", "coil", "phase", "readout")
SINGLE_COIL_NAMES = ("time", "slice", "phase", "readout")


@dataclass(frozen=True, kw_only=True, slots=True)
class _MaskFile:
    """What the mask file beside a k-space file holds."""

    name: str
    mask: npt.NDArray[np.bool_]
    """(readout, phase) bool, or (time, readout, phase) bool."""


def read_cmrxrecon(path: Location, file: h5py.File, blobs: BlobFiles | None = None) -> tuple[Volume, ...]:
    """Read an open file, each time frame (or contrast of a mapping scan) as a volume.

    MATLAB shows the axes as (kx, ky, coil, slice, time): lines along ky are left out, so that ky is the phase axis.
    What is zero in every coil was not measured. The mask file beside says the same, where there is one.

    Raises:
        NoRawDataError: It holds no k-space, as mask files do.
        DataError: Its k-space has another number of axes, or is no compound; the message does not name the file.
    """
    key = next((key for key in sorted(file) if KSPACE_KEYS.fullmatch(key)), None)
    if key is None:
        raise NoRawDataError(
            f"a MATLAB file without k-space of CMRxRecon; found {sorted(file)}. `mrikit data import` reads other arrays"
        )
    stored = file[key]
    names: tuple[str, ...] = SINGLE_COIL_NAMES if "single" in key else NAMES
    names = names[1:] if stored.ndim == len(names) - 1 else names
    if stored.ndim != len(names):
        raise DataError(f"'{key}' has shape {stored.shape}; ({', '.join(names)}) is needed, time perhaps left out")
    num_times = stored.shape[0] if names[0] == "time" else 1
    times = range(num_times) if num_times > 1 else (None,)
    mask_file = None if "full" in key else _find_mask(path, stored.shape[-2:], blobs)
    return tuple(_read_frame(path, file, key, names, time, mask_file) for time in times)


def _read_frame(
    path: Location, file: h5py.File, key: str, names: tuple[str, ...], time: int | None, mask_file: _MaskFile | None
) -> Volume:
    """One time frame; `time` is None where there is a single one."""
    axes = AxisMap(names=names, picks={"time": time or 0} if names[0] == "time" else {})
    kspace = mapped_slices(path, file, key, axes)
    matrix = (kspace.shape[2], kspace.shape[3])
    mask, notes = None, ["taken for CMRxRecon: time frames are volumes, ky is the phase axis"]
    if "full" not in key:
        middle, _ = axes.arrange(file[key][axes.index(len(kspace) // 2)])
        mask = sampled_in(middle)
        if mask is not None and mask_file is not None:
            mask, note = _compare(mask_file, mask, time or 0)
            notes += note
    return Volume(
        kspace=kspace,
        mask=mask,
        info=ScanInfo(
            volume_id=path.stem if time is None else f"{path.stem}_time{time}",
            anatomy="heart",
            matrix=matrix,
            recon_matrix=matrix,
            padding=(0, matrix[1]),
            source=path,
            study_id=path.stem,
            notes=tuple(notes),
        ),
    )


def _compare(
    mask_file: _MaskFile, measured: npt.NDArray[np.bool_], time: int
) -> tuple[npt.NDArray[np.bool_], list[str]]:
    """The mask of the file beside, unless k-space is not zero outside it; then what was measured, and a note."""
    stored = mask_file.mask[time] if mask_file.mask.ndim == 3 else mask_file.mask
    if (measured & ~stored).any():
        return measured, [f"{mask_file.name} does not fit: k-space is not zero outside it, and says what was sampled"]
    return (stored[0] if (stored == stored[0]).all() else stored), []


def _find_mask(path: Location, plane: tuple[int, ...], blobs: BlobFiles | None) -> _MaskFile | None:
    """The mask beside a k-space file that fits its (ky, kx) plane."""
    without_factor = re.sub(r"_(acc|sub)\w*\d+$", "", path.stem, flags=re.IGNORECASE)
    stems = [f"{path.stem}_mask", f"{without_factor}_mask", path.stem.replace("_kus_", "_mask_")]
    for stem in dict.fromkeys(stems):
        beside = path.with_name(f"{stem}.mat")
        if beside == path or not (
            (blobs or BlobFiles()).find(beside) if isinstance(beside, BlobPath) else beside.exists()
        ):
            continue
        mask = read_hdf5(beside, _read_mask, blobs)
        if mask is not None and mask.shape[-2:] == plane[::-1]:
            return _MaskFile(name=beside.name, mask=mask)
    return None


def _read_mask(file: h5py.File) -> npt.NDArray[np.bool_] | None:
    """(readout, phase) bool, or (time, readout, phase) bool."""
    key = next((key for key in sorted(file) if key.startswith("mask") and isinstance(file[key], h5py.Dataset)), None)
    if key is None or file[key].ndim not in (2, 3):
        return None
    return np.asarray(np.swapaxes(file[key][()] != 0, -1, -2))
