"""Receive coils of mixed volumes: from ones that see all to ones that see their corner."""

import numpy as np
import numpy.typing as npt

from mrikit.randomness import Key, generator
from mrikit.simulate.shapes import FloatArray


def mixed_coil_positions(num_coils: int, key: Key) -> npt.NDArray[np.float64]:
    """(coil, 3) middles as (y, x, z) on an uneven ring around the window, in halves of it.

    Args:
        num_coils: Number of coils, at least 1.
        key: Names the volume.
    """
    rng = generator(*key, "coils")
    angles = rng.uniform(0, 2 * np.pi) + 2 * np.pi / num_coils * (np.arange(num_coils) + rng.normal(0, 0.2, num_coils))
    radius = rng.uniform(1.0, 1.5) * rng.normal(1, 0.05, num_coils)
    return np.stack([radius * np.cos(angles), radius * np.sin(angles), rng.uniform(-0.6, 0.6, num_coils)], axis=1)


def mixed_coil_maps(
    positions: npt.NDArray[np.float64], reach: float, key: Key, y: FloatArray, x: FloatArray
) -> npt.NDArray[np.complex64]:
    """Sensitivities of all coils.

    The field of a loop falls with the distance d as (1 + (d / reach)^2)^(-3/2), which is exact on its axis. Its phase
    is a plane of its own, steeper where coils are local. In half of the volumes the coils are divided by their
    root-sum-of-squares, as scanners do that even out the brightness.

    Args:
        positions: (coil, 3) from `mixed_coil_positions`.
        reach: In halves of the window.
        key: Names the volume.
        y: (y,) positions of the rows, in halves of the window.
        x: (x,) positions of the columns.

    Returns:
        (coil, y, x) complex64.
    """
    rng = generator(*key, "coil maps")
    is_even = rng.random() < 0.5
    maps = np.empty((len(positions), len(y), len(x)), np.complex64)
    for index, (down, right, off) in enumerate(positions):
        square = ((y[:, None] - down) ** 2 + ((x[None, :] - right) ** 2 + off**2)) / reach**2
        fall = 1 / (1 + square.astype(np.float32))
        phase, slope_y, slope_x = rng.uniform(0, 2 * np.pi), *(rng.normal(0, 0.8, 2) / reach)
        plane = np.exp(1j * (phase + slope_y * y))[:, None], np.exp(1j * slope_x * x)[None, :]
        maps[index] = (fall * np.sqrt(fall)) * plane[0].astype(np.complex64) * plane[1].astype(np.complex64)
    if is_even:
        maps /= np.sqrt(np.sum(maps.real**2 + maps.imag**2, axis=0))
    return maps
