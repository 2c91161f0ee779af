"""Receive coils as point dipoles on an ellipse around the field of view."""

import numpy as np
import numpy.typing as npt

from mrikit.randomness import Key, generator
from mrikit.simulate.shapes import FloatArray


def ellipse_coil_maps(
    num_coils: int, key: Key, rows_mm: FloatArray, columns_mm: FloatArray, z: float, fov_mm: tuple[float, float]
) -> npt.NDArray[np.complex64]:
    """Sensitivities of all coils in one slice.

    The half axes of the ellipse are the sides of the field of view, so that no pixel is near a coil. With the distance
    r of a pixel from a coil, and X' and Y' its parts along and across the coil's direction, a coil sees (3 (X'/r)^2 - 1
    + 3i (X'/r) (Y'/r)) / r^3.

    Args:
        num_coils: Number of coils, evenly spaced; 1 sees everything alike.
        key: Names the volume, whose coils begin at an angle of their own.
        rows_mm: (y,) positions of the rows, 0 in the middle.
        columns_mm: (x,) positions of the columns, 0 in the middle.
        z: Distance of the slice from the plane of the coils, millimetres.
        fov_mm: (y, x) field of view.

    Returns:
        (coil, y, x) complex64, root-sum-of-squares 1 in the middle of the plane of the coils.

    Source:
        The brain simulator of the learned-sampling study, whose coils all begin at angle 0.
    """
    if num_coils == 1:
        return np.ones((1, len(rows_mm), len(columns_mm)), np.complex64)
    start = generator(*key, "coils", num_coils).uniform(0, 2 * np.pi)
    angles = start + 2 * np.pi * np.arange(num_coils) / num_coils
    maps = np.stack([_dipole(float(angle), rows_mm, columns_mm, z, fov_mm) for angle in angles])
    middle = np.zeros(1, np.float32)
    scale = np.sqrt(sum(np.abs(_dipole(float(angle), middle, middle, 0.0, fov_mm)) ** 2 for angle in angles))
    return np.asarray(maps / scale, np.complex64)


def _dipole(
    angle: float, rows_mm: FloatArray, columns_mm: FloatArray, z: float, fov_mm: tuple[float, float]
) -> npt.NDArray[np.complex128]:
    """(y, x) field of the coil at that angle, times the cube of the field of view's height."""
    down = (rows_mm[:, None].astype(np.float64) - fov_mm[0] * np.cos(angle)) / fov_mm[0]
    right = (columns_mm[None, :].astype(np.float64) - fov_mm[1] * np.sin(angle)) / fov_mm[0]
    distance = np.sqrt(down**2 + right**2 + (z / fov_mm[0]) ** 2)
    along = (down * np.cos(angle) + right * np.sin(angle)) / distance
    across = (right * np.cos(angle) - down * np.sin(angle)) / distance
    return np.asarray((3 * along**2 - 1 + 3j * along * across) / distance**3)
