"""Write volumes in the file formats that fastMRI, the SNU challenge and ISMRMRD define.

Every file is whole or absent, and the same volume always gives the same bytes.
"""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.storage import atomic_path
from mrikit.volumes.geometry import Geometry
from mrikit.volumes.hdf5 import create_hdf5
from mrikit.volumes.header import make_header
from mrikit.volumes.slice_array import SliceArray
from mrikit.volumes.volume import Volume

MRD_FLAG_LAST_IN_SLICE = 8
MRD_VERSION = 1


def write_fastmri(
    path: Path,
    volume: Volume,
    *,
    attributes: Mapping[str, str | float] | None = None,
    is_only_coil: bool = False,
) -> None:
    """Write a volume as fastMRI stores it.

    One coil gives a single-coil file: `kspace` (slice, readout, phase) and `reconstruction_esc`; more coils give
    `kspace` (slice, coil, readout, phase) and `reconstruction_rss`. K-space is contiguous complex64. A planned mask is
    not stored: a mask of this format says what was sampled.

    Args:
        path: The `.h5` file; its stem is the volume's id when it is read back.
        volume: The scan. `info.volume_id` and `info.source` are not stored.
        attributes: Further attributes.
        is_only_coil: Whether the one coil of the volume is all that was measured. Then its image is that of all coils
            too, and is also called `reconstruction_rss`.

    Raises:
        DataError: Reference, mask or padding do not fit the k-space.
        StorageError: The path cannot be written or the disk is full.
    """
    _check(path, volume)
    num_slices, num_coils, *matrix = volume.kspace.shape
    shape = (num_slices, *matrix) if num_coils == 1 else volume.kspace.shape
    with atomic_path(path) as temporary, create_hdf5(temporary) as file:
        file["ismrmrd_header"] = make_header(volume.info, num_coils, num_slices)
        _write_slices(file, "kspace", volume.kspace, shape, np.complex64)
        if volume.mask is not None:
            file["mask"] = volume.mask
        largest = norm = None
        if volume.reference is not None:
            key = "reconstruction_esc" if num_coils == 1 else "reconstruction_rss"
            largest, norm = _write_slices(file, key, volume.reference, volume.reference.shape, np.float32)
            if is_only_coil:
                file["reconstruction_rss"] = file[key]  # a second name for the same bytes
        found = {
            "acquisition": volume.info.acquisition,
            "max": largest if volume.info.reference_max is None else volume.info.reference_max,
            "norm": norm,
            "patient_id": volume.info.patient_id,
            "acceleration": volume.info.acceleration,
            "num_low_frequency": volume.info.num_center_lines,
            "study_id": volume.info.study_id,
            **(attributes or {}),
        }
        for name, value in found.items():
            if value is not None:
                file.attrs[name] = value


def write_snu(root: Path, name: str, volume: Volume, *, image_grappa: npt.NDArray[np.float32]) -> None:
    """Write a volume as the SNU challenge stores it: `root/kspace/name.h5` and `root/image/name.h5`.

    The image appears first, so that a k-space file is never without it; should the second renaming fail, the image
    stays and is replaced by the next attempt.

    Args:
        root: The folder that holds `kspace/` and `image/`.
        name: File name without suffix; the anatomy is read back from its first word, as in `brain_acc4_1`.
        volume: The scan; it must have a reference and a (phase,) mask, applied or planned. Patient and acquisition are
            kept as attributes.
        image_grappa: (slice, y, x) float32, what the scanner would show.

    Raises:
        DataError: The volume lacks what the format holds, or shapes do not fit.
        StorageError: The path cannot be written or the disk is full.
    """
    kspace_path, image_path = root / "kspace" / f"{name}.h5", root / "image" / f"{name}.h5"
    _check(kspace_path, volume)
    mask = volume.planned_mask if volume.mask is None else volume.mask
    if volume.reference is None or mask is None or mask.ndim != 1:
        raise DataError(f"{kspace_path}: an SNU file holds a reference and a (phase,) mask; this volume lacks one")
    if image_grappa.shape != volume.reference.shape:
        raise DataError(
            f"{image_path}: image_grappa has shape {image_grappa.shape}, the reference {volume.reference.shape}; "
            "they must be the same window"
        )
    with atomic_path(kspace_path) as kspace_temporary, atomic_path(image_path) as image_temporary:
        with create_hdf5(image_temporary) as file:
            file["image_grappa"] = np.asarray(image_grappa, np.float32)
            largest, _ = _write_slices(file, "image_label", volume.reference, volume.reference.shape, np.float32)
            file.attrs["max"] = largest if volume.info.reference_max is None else volume.info.reference_max
        with create_hdf5(kspace_temporary) as file:
            _write_slices(file, "kspace", volume.kspace, volume.kspace.shape, np.complex64)
            file["mask"] = mask
            for key in ("acquisition", "patient_id"):
                if (value := getattr(volume.info, key)) is not None:
                    file.attrs[key] = value


def write_ismrmrd(path: Path, volume: Volume) -> None:
    """Write a volume as ISMRMRD (MRD) raw data: one acquisition per sampled phase line inside the padding.

    MRD is raw data: the reference, its maximum and a planned mask are not stored.

    Raises:
        DataError: Mask or padding do not fit, the mask is 2-D (MRD lines are sampled whole) or samples no line.
        StorageError: The path cannot be written or the disk is full.
    """
    from ismrmrd.hdf5 import acquisition_dtype  # here, because it doubles the time that importing this file takes

    _check(path, volume)
    if volume.mask is not None and volume.mask.ndim != 1:
        raise DataError(f"{path}: MRD stores whole phase lines; found a 2-D mask. Write it with `write_fastmri`")
    num_slices, num_coils, _, phase = volume.kspace.shape
    left, right = volume.info.padding
    mask = np.ones(phase, bool) if volume.mask is None else volume.mask
    lines = np.flatnonzero(mask[left:right])
    if not len(lines):
        raise DataError(
            f"{path}: the mask samples none of the acquired columns [{left}, {right}); an MRD file needs a line. "
            "Give a mask that samples some of them"
        )
    # In memory first: HDF5 crashes the process when the disk runs full under data of variable length.
    with h5py.File(path.name, "w", driver="core", backing_store=False) as file:
        group = file.create_group("dataset")
        xml = group.create_dataset("xml", (1,), dtype=h5py.special_dtype(vlen=bytes))
        xml[0] = make_header(volume.info, num_coils, num_slices).encode()
        data = group.create_dataset("data", (num_slices * len(lines),), acquisition_dtype, maxshape=(None,))
        for slice_index, kspace in enumerate(volume.kspace):
            rows = np.zeros(len(lines), acquisition_dtype)
            _fill_acquisitions(rows, kspace[:, :, left:right], lines)
            _fill_place(rows["head"], volume.info.geometry or Geometry(), slice_index)
            rows["head"]["idx"]["slice"] = slice_index
            rows["head"]["scan_counter"] = np.arange(len(lines)) + slice_index * len(lines)
            data[slice_index * len(lines) : (slice_index + 1) * len(lines)] = rows
        file.flush()
        image = file.id.get_file_image()
    with atomic_path(path) as temporary:
        temporary.write_bytes(image)


def _check(path: Path, volume: Volume) -> None:
    """Refuse what no reader would take back."""
    shape, info = volume.kspace.shape, volume.info
    if len(shape) != 4 or shape[2:] != info.matrix:
        raise DataError(
            f"{path}: k-space of shape {shape} does not fit the matrix {info.matrix}; "
            "needed is (slice, coil, readout, phase)"
        )
    if volume.reference is not None and volume.reference.shape != (shape[0], *info.recon_matrix):
        raise DataError(
            f"{path}: the reference has shape {volume.reference.shape}; {(shape[0], *info.recon_matrix)} would fit "
            "the k-space slices and recon_matrix"
        )
    for mask in (volume.mask, volume.planned_mask):
        if mask is not None and mask.shape not in (shape[3:], shape[2:]):
            raise DataError(f"{path}: the mask has shape {mask.shape}; {shape[3:]} or {shape[2:]} would fit")


def _write_slices(
    file: h5py.File, key: str, slices: SliceArray, shape: tuple[int, ...], dtype: npt.DTypeLike
) -> tuple[float, float]:
    """Write one slice at a time into a contiguous dataset; returns the maximum and the 2-norm of the magnitude."""
    dataset = file.create_dataset(key, shape, dtype)
    largest = energy = 0.0
    for slice_index, one in enumerate(slices):
        dataset[slice_index] = np.asarray(one).reshape(shape[1:])
        magnitude = np.abs(one)
        largest = max(largest, float(magnitude.max()))
        energy += float(np.sum(np.square(magnitude, dtype=np.float64)))
    return largest, energy**0.5


def _fill_acquisitions(
    rows: npt.NDArray[np.void], kspace: npt.NDArray[np.complex64], lines: npt.NDArray[np.intp]
) -> None:
    """Fill the empty MRD records of one slice, (coil, readout, acquired column) complex64."""
    num_coils, readout, _ = kspace.shape
    head = rows["head"]
    head["version"] = MRD_VERSION
    head["number_of_samples"] = readout
    head["center_sample"] = readout // 2
    head["available_channels"] = head["active_channels"] = num_coils
    head["channel_mask"][:] = _channel_mask(num_coils)
    head["idx"]["kspace_encode_step_1"] = lines
    head["flags"][-1] = 1 << (MRD_FLAG_LAST_IN_SLICE - 1)
    for row, line in enumerate(lines):
        samples = np.ascontiguousarray(kspace[:, :, line], np.complex64)
        rows["data"][row] = samples.view(np.float32).reshape(-1)
        rows["traj"][row] = np.zeros(0, np.float32)


def _fill_place(head: npt.NDArray[np.void], geometry: Geometry, slice_index: int) -> None:
    """Say where a slice lies, as far as that is known; zeros are no direction."""
    if geometry.positions_mm is not None:
        head["position"] = geometry.positions_mm[slice_index]
    for name in ("read_dir", "phase_dir", "slice_dir"):
        direction = getattr(geometry, name)
        if direction is not None:
            head[name] = direction


def _channel_mask(num_coils: int) -> npt.NDArray[np.uint64]:
    """Sixteen words with one bit per coil that is present."""
    bits = (1 << num_coils) - 1
    return np.array([(bits >> (64 * word)) & (2**64 - 1) for word in range(16)], np.uint64)
