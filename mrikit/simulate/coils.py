"""Receive coils: loops on one or more rings around the body, smooth complex sensitivities."""

import numpy as np
import numpy.typing as npt

from mrikit.randomness import Key, generator
from mrikit.simulate.shapes import FloatArray

RING_RADII_MM = {"brain": (118.0, 100.0), "knee": (76.0, 68.0)}
"""Half axes of the ring, close to the skin: (y, x) around the head, (x, z) around the knee."""
LOOP_RADIUS_MM = {"brain": 55.0, "knee": 40.0}
"""Smaller loops see less far: their maps differ more, which parallel imaging lives on, and the skin is brighter."""
COILS_PER_RING = 5
"""More coils than this are spread over further rings along the body."""
RING_DISTANCE_MM = 58.0
ARRAY_TURN_DEGREES = 4.0


def coil_positions(anatomy: str, num_coils: int, key: Key) -> npt.NDArray[np.float64]:
    """Middles of the coil loops, (coil, 3) millimetres as (y, x, z) of the images.

    The rings turn about the long axis of the body, which is z in axial and y in coronal slices. Rotation, shift and
    small displacements differ per patient.

    Args:
        anatomy: `brain` (axial slices) or `knee` (coronal slices).
        num_coils: Number of coils, at least 1.
        key: Names the patient.
    """
    rng = generator(*key, "coils", num_coils)
    num_rings = max(1, round(num_coils / COILS_PER_RING))
    size = rng.uniform(0.97, 1.08)
    start = rng.uniform(0, 2 * np.pi)
    shift = rng.normal(0, 4.0, 3)
    positions: list[npt.NDArray[np.float64]] = []
    for ring, coils in enumerate(np.array_split(np.arange(num_coils), num_rings)):
        along = RING_DISTANCE_MM * (ring - (num_rings - 1) / 2)
        # Every second ring is turned by half a coil.
        angles = start + (2 * np.pi / len(coils)) * (np.arange(len(coils)) + 0.5 * (ring % 2))
        first = RING_RADII_MM[anatomy][0] * size * np.cos(angles)
        second = RING_RADII_MM[anatomy][1] * size * np.sin(angles)
        axis = np.full_like(angles, along)
        order = (first, second, axis) if anatomy == "brain" else (axis, first, second)
        positions += list(np.stack(order, axis=1))
    return np.array(positions) + shift + rng.normal(0, 2.5, (num_coils, 3))


def array_positions(num_coils: int, key: Key) -> npt.NDArray[np.float64]:
    """Middles of the loops of one head array, a little displaced for each patient.

    The first loop of its one ring is behind the head in all patients, up to a turn of 4 degrees; size, place and each
    loop differ by millimetres. So kernels that join coils, which a network learns, hold for all patients.

    Args:
        num_coils: Number of coils, at least 1.
        key: Names the patient.

    Returns:
        (coil, 3) millimetres, as `coil_positions`.
    """
    rng = generator(*key, "array", num_coils)
    angles = rng.uniform(-1, 1) * np.deg2rad(ARRAY_TURN_DEGREES) + 2 * np.pi * np.arange(num_coils) / num_coils
    size = rng.uniform(1.0, 1.06)
    first, second = (radius * size for radius in RING_RADII_MM["brain"])
    positions = np.stack([first * np.cos(angles), second * np.sin(angles), np.zeros_like(angles)], axis=1)
    return np.asarray(positions + rng.normal(0, 3.0, 3) + rng.normal(0, 2.0, (num_coils, 3)), np.float64)


def coil_maps(
    positions: npt.NDArray[np.float64], anatomy: str, rows_mm: FloatArray, columns_mm: FloatArray, z: float
) -> npt.NDArray[np.complex64]:
    """Sensitivities of all coils in one slice.

    A loop sees the transverse field of a magnetic dipole that points to the middle of the ring, with the loop's
    radius keeping it finite: exact on the loop's axis and far away. Its phase turns with twice the direction from which
    the coil is seen.

    Args:
        positions: (coil, 3) from `coil_positions`.
        anatomy: `brain` or `knee`; says which axis the rings turn about and how large the loops are.
        rows_mm: (y,) positions of the rows.
        columns_mm: (x,) positions of the columns.
        z: Position of the slice, millimetres.

    Returns:
        (coil, y, x) complex64; root-sum-of-squares of the order of 1 in the middle, more near the coils. A single coil
        is a volume coil around the body, which sees all of it with the same sensitivity, 1.
    """
    if len(positions) == 1:
        return np.ones((1, len(rows_mm), len(columns_mm)), np.complex64)
    loop = LOOP_RADIUS_MM[anatomy]
    transverse = (0, 1) if anatomy == "brain" else (1, 2)
    center = positions.mean(axis=0)
    scale = _field_in_the_middle(positions, center, loop)
    maps = np.empty((len(positions), len(rows_mm), len(columns_mm)), np.complex64)
    for index, position in enumerate(positions):
        offset = (
            rows_mm[:, None] - np.float32(position[0]),
            columns_mm[None, :] - np.float32(position[1]),
            np.full((1, 1), z - position[2], np.float32),
        )
        inwards = (center - position)[list(transverse)]
        inwards = inwards / max(float(np.linalg.norm(inwards)), 1e-6)
        first, second = offset[transverse[0]], offset[transverse[1]]
        along = first * np.float32(inwards[0]) + second * np.float32(inwards[1])
        aside = second * np.float32(inwards[0]) - first * np.float32(inwards[1])
        square = offset[0] ** 2 + offset[1] ** 2 + offset[2] ** 2 + np.float32(loop * loop)
        strength = np.float32(scale) / (square * square * np.sqrt(square))
        turn = np.complex64(inwards[0] + 1j * inwards[1])
        maps[index].real = (3 * along * along - square + np.float32(3 * loop * loop)) * strength
        maps[index].imag = 3 * along * aside * strength
        maps[index] *= turn
    return maps


def _field_in_the_middle(positions: npt.NDArray[np.float64], center: npt.NDArray[np.float64], loop: float) -> float:
    """The factor that brings the root-sum-of-squares in the middle of the ring to 1."""
    square = np.sum((positions - center) ** 2, axis=1)
    field = 2 / (square + loop * loop) ** 1.5
    return float(1 / max(np.sqrt(np.sum(field**2)), 1e-12))
