"""Where the images of a scan lie in the patient, in millimetres."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from mrikit.volumes.header import ScanHeader

Vector: TypeAlias = tuple[float, float, float]
"""In the patient, as DICOM and MRD count: x grows to the left, y to the back, z to the head (LPS)."""

_SLOPPY = 1e-2
"""Converters round directions; what is off by more is no direction."""
_MOVED_MM = 0.1
"""Lines of one slice that lie further apart were moved, and the slice has no one place."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """What is known of the place of an image. Absent facts are None, never guessed.

    The image of a scan is (slice, y, x); y runs along the readout and x along the phase encoding.
    """

    pixel_mm: tuple[float, float] | None = None
    """(y, x) distance of neighbouring pixels."""
    slice_thickness_mm: float | None = None
    """Of what a slice shows; gaps are left out."""
    slice_spacing_mm: float | None = None
    """Distance of neighbouring slices along their normal, where it is the same between all."""
    positions_mm: tuple[Vector, ...] | None = None
    """For each slice the centre of pixel [y // 2, x // 2], where the centred Fourier transform has its origin."""
    read_dir: Vector | None = None
    """Unit vector along which y grows."""
    phase_dir: Vector | None = None
    """Unit vector along which x grows."""
    slice_dir: Vector | None = None
    """Unit vector along the normal of the slices, as the scanner names it; slices may run along it or against it."""
    patient_position: str | None = None
    """How the patient lay in the scanner: `HFS`, `FFS`, ..."""

    @property
    def is_placed(self) -> bool:
        """Whether every pixel has a known place."""
        return None not in (self.pixel_mm, self.positions_mm, self.read_dir, self.phase_dir)


def geometry_of_header(header: "ScanHeader", matrix: tuple[int, int]) -> Geometry | None:
    """What an ISMRMRD header alone says: sizes, but no place.

    Args:
        header: Of a scan whose third axis, if it has one, is partitions of a slab.
        matrix: (readout, phase) size of k-space. Where the header promises another size, the array was cropped or
            filled, which changes pixels in one case and not in the other: then they are not known.
    """
    (*encoded, num_partitions), fov_mm = header.encoded_matrix, header.fov_mm
    is_as_promised = tuple(encoded) == matrix
    # A 2-D header may say the thickness that is shown; of a slab it may say the slab's.
    across_mm = header.slab_mm
    if num_partitions <= 1 and header.shown_mm and header.shown_mm[2] > 0:
        across_mm = header.shown_mm[2]
    known = Geometry(
        pixel_mm=(fov_mm[0] / matrix[0], fov_mm[1] / matrix[1]) if fov_mm and is_as_promised else None,
        slice_thickness_mm=across_mm / max(num_partitions, 1) if across_mm else None,
    )
    return None if known == Geometry() else known


def geometry_of(
    head: npt.NDArray[np.void], header: "ScanHeader", slice_rows: Sequence[npt.NDArray[np.int64]]
) -> Geometry | None:
    """The geometry of a 2-D scan's full field of view from its MRD acquisitions.

    MRD names a slice's position where k-space has its origin, and directions along which its counters grow. Directions
    are left out where they are none, or differ between slices; positions also where slices share one, or moved.

    Args:
        head: Acquisition headers.
        header: The XML header.
        slice_rows: For each slice of the image, in the image's order, the rows of `head` that are its lines.

    Returns:
        None if nothing is known.
    """
    readout, phase, _ = header.encoded_matrix
    sizes = geometry_of_header(header, (readout, phase)) or Geometry()
    frame = _frame(head[np.concatenate(slice_rows)])
    positions = _positions(head, slice_rows, None if frame is None else np.cross(frame[0], frame[1]))
    # Slices at one place, as converters leave them that fill nothing in, make the directions beside them doubtful.
    if frame is None or positions is None:
        return None if sizes == Geometry() else sizes
    read_dir, phase_dir, slice_dir = (_vector(one) for one in frame)
    return replace(
        sizes,
        slice_spacing_mm=slice_spacing(positions, frame[0], frame[1]),
        positions_mm=tuple(_vector(one) for one in positions),
        read_dir=read_dir,
        phase_dir=phase_dir,
        slice_dir=slice_dir,
        patient_position=header.patient_position,
    )


def centre_cropped(geometry: Geometry, size: tuple[int, int], window: tuple[int, int]) -> Geometry:
    """The geometry of what `center_crop` leaves of an image.

    Args:
        geometry: Of the whole image.
        size: (y, x) of the whole image.
        window: (y, x) of what is left.
    """
    # With odd sizes the middle of the window is not the middle of the image.
    moved = [(full - kept) // 2 + kept // 2 - full // 2 for full, kept in zip(size, window, strict=True)]
    if geometry.positions_mm is None or not any(moved):
        return geometry
    if not geometry.is_placed:
        return replace(geometry, positions_mm=None)
    shift = _in_plane(geometry, *moved)
    return replace(geometry, positions_mm=tuple(_vector(np.asarray(one) + shift) for one in geometry.positions_mm))


def first_pixels(geometry: Geometry, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """(slice, 3) LPS millimetres of the centre of pixel [0, 0] of each slice of a placed image of (y, x) `shape`."""
    return np.asarray(geometry.positions_mm) + _in_plane(geometry, -(shape[0] // 2), -(shape[1] // 2))


def slice_spacing(
    positions: npt.NDArray[np.float64], read_dir: npt.ArrayLike, phase_dir: npt.ArrayLike
) -> float | None:
    """Millimetres between neighbouring slices along their normal; None for one slice or unequal steps."""
    steps = np.diff(positions @ np.cross(np.asarray(read_dir), np.asarray(phase_dir)))
    if not len(steps) or np.ptp(steps) > _SLOPPY * np.abs(steps).max():
        return None
    return float(np.abs(steps.mean()))


def dump_geometry(geometry: Geometry | None) -> dict[str, Any] | None:
    """A geometry as JSON holds it: what is known."""
    return None if geometry is None else {name: value for name, value in asdict(geometry).items() if value is not None}


def load_geometry(known: Mapping[str, Any] | None) -> Geometry | None:
    """The geometry that `dump_geometry` described."""
    if known is None:
        return None
    facts: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in known.items()}
    if "positions_mm" in facts:
        facts["positions_mm"] = tuple(tuple(one) for one in facts["positions_mm"])
    return Geometry(**facts)


def orthonormal(read_dir: npt.ArrayLike, phase_dir: npt.ArrayLike) -> npt.NDArray[np.float64] | None:
    """(2, 3) two directions at right angles, mended where they were rounded; None if they are none."""
    read, phase = np.asarray(read_dir, np.float64), np.asarray(phase_dir, np.float64)
    products = np.array([read @ read - 1, phase @ phase - 1, read @ phase])
    if not (np.abs(products) < _SLOPPY).all():  # also where they are NaN
        return None
    read = read / np.linalg.norm(read)
    phase = phase - (phase @ read) * read
    return np.stack([read, phase / np.linalg.norm(phase)])


def _frame(head: npt.NDArray[np.void]) -> npt.NDArray[np.float64] | None:
    """(3, 3) read, phase and slice directions that all acquisitions share, or None."""
    named = np.stack([head[name] for name in ("read_dir", "phase_dir", "slice_dir")], 1)
    if not (np.ptp(named, axis=0) < _SLOPPY).all():
        return None
    plane = orthonormal(named[0, 0], named[0, 1])
    if plane is None:
        return None
    normal = np.cross(plane[0], plane[1])
    turn = float(normal @ named[0, 2])
    return np.concatenate([plane, np.sign(turn) * normal[None]]) if abs(abs(turn) - 1) < _SLOPPY else None


def _positions(
    head: npt.NDArray[np.void], slice_rows: Sequence[npt.NDArray[np.int64]], normal: npt.NDArray[np.float64] | None
) -> npt.NDArray[np.float64] | None:
    """(slice, 3) millimetres, or None where they are not all known and apart."""
    lines = [head["position"][rows].astype(np.float64) for rows in slice_rows]
    if normal is None or not all((np.ptp(one, axis=0) < _MOVED_MM).all() for one in lines):
        return None
    positions = np.stack([one[0] for one in lines])
    heights = np.sort(positions @ normal)
    is_apart = np.isfinite(positions).all() and (len(heights) == 1 or bool((np.diff(heights) > _MOVED_MM).all()))
    return positions if is_apart else None


def _in_plane(geometry: Geometry, num_rows: int, num_columns: int) -> npt.NDArray[np.float64]:
    """Millimetres from a pixel of a placed image to the one so many rows and columns further."""
    assert geometry.pixel_mm is not None
    down, right = np.asarray(geometry.read_dir), np.asarray(geometry.phase_dir)
    return np.asarray(num_rows * geometry.pixel_mm[0] * down + num_columns * geometry.pixel_mm[1] * right)


def _vector(values: npt.NDArray[Any]) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z
