"""Read files of SKM-TEA: (x, ky, kz, echo, coil), transformed along the readout."""

import h5py
import numpy as np
import numpy.typing as npt

from mrikit.storage import Location
from mrikit.volumes.axes import AxisMap
from mrikit.volumes.mapped import MappedSlices, mapped_slices
from mrikit.volumes.sampling import sampled_in
from mrikit.volumes.volume import ScanInfo, Volume

NAMES = ("slice", "readout", "phase", "echo", "coil")
TARGET_NAMES = ("slice", "readout", "phase", "echo", "map")
_MOST_ERROR = 0.25  # of a target that belongs to its k-space, relative to the energy of the image


def is_skm_tea(file: h5py.File) -> bool:
    """Whether k-space of five axes has what lies beside it in SKM-TEA, of the same x, ky and kz."""
    shape = file["kspace"].shape[:3]
    arrays = [file[key] for key in ("target", "maps") if isinstance(file.get(key), h5py.Dataset)]
    masks = _masks(file)
    return any(array.shape[:3] == shape for array in arrays) or any(mask.shape == shape[1:] for mask in masks.values())


def read_skm_tea(path: Location, file: h5py.File) -> tuple[Volume, ...]:
    """Read an open file, each echo as a volume: slices along x, with (ky, kz) as (readout, phase).

    The magnitude of `target` is the reference, where it is an image of this k-space. The masks beside are plans: a
    single one is the planned mask.

    Raises:
        DataError: Its k-space is empty; the message does not name the file.
    """
    num_echoes = file["kspace"].shape[NAMES.index("echo")]
    suffixes = [f"_echo{echo}" for echo in range(num_echoes)] if num_echoes > 1 else [""]
    return tuple(_read_echo(path, file, echo, suffix) for echo, suffix in enumerate(suffixes))


def _read_echo(path: Location, file: h5py.File, echo: int, suffix: str) -> Volume:
    axes = AxisMap(names=NAMES, picks={"echo": echo})
    kspace = mapped_slices(path, file, "kspace", axes)
    middle, _ = axes.arrange(file["kspace"][axes.index(len(kspace) // 2)])
    matrix = (kspace.shape[2], kspace.shape[3])
    notes = ["taken for SKM-TEA: slices along x, each echo a volume"]
    reference = _target(path, file, echo, kspace.shape)
    if reference is not None and (error := _error(reference, file, middle)) > _MOST_ERROR:
        notes.append(f"'target' is no image of this k-space (normalised error {error:.2f}) and is not used")
        reference = None
    masks = {name: mask[()] != 0 for name, mask in _masks(file).items() if mask.shape == matrix}
    if len(masks) > 1:
        notes.append(f"{len(masks)} planned masks are not used, for none stands out: {', '.join(masks)}")
    return Volume(
        kspace=kspace,
        reference=reference,
        mask=(mask := sampled_in(middle)),
        planned_mask=next(iter(masks.values())) if len(masks) == 1 and mask is None else None,
        info=ScanInfo(
            volume_id=path.stem + suffix,
            anatomy="knee",
            matrix=matrix,
            recon_matrix=matrix,
            padding=(0, matrix[1]),
            source=path,
            study_id=path.stem,
            notes=tuple(notes),
        ),
    )


def _target(path: Location, file: h5py.File, echo: int, shape: tuple[int, ...]) -> MappedSlices | None:
    """The stored image of an echo, (slice, y, x) float32."""
    stored = file.get("target")
    if not isinstance(stored, h5py.Dataset) or stored.ndim != len(TARGET_NAMES) or stored.dtype.kind != "c":
        return None
    if stored.shape[:3] != (shape[0], *shape[2:]) or echo >= stored.shape[3]:
        return None
    axes = AxisMap(names=TARGET_NAMES, picks={"echo": echo, "map": 0})
    return MappedSlices(path=path, key="target", axes=axes, stored_shape=stored.shape, is_magnitude=True)


def _error(reference: MappedSlices, file: h5py.File, kspace: npt.NDArray[np.complex64]) -> float:
    """Normalised mean square error of the target of the middle slice, against the image of its k-space."""
    image = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace, axes=(-2, -1)), norm="ortho"), axes=(-2, -1))
    expected = np.sqrt(np.square(np.abs(image)).sum(axis=0))
    found, _ = reference.axes.arrange(file["target"][reference.axes.index(len(reference) // 2)])
    return float(np.square(np.abs(found[0]) - expected).sum() / max(np.square(expected).sum(), np.finfo("f4").tiny))


def _masks(file: h5py.File) -> dict[str, h5py.Dataset]:
    group = file.get("masks")
    if not isinstance(group, h5py.Group):
        return {}
    return {name: mask for name, mask in group.items() if isinstance(mask, h5py.Dataset)}
