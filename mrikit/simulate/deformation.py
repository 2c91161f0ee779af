"""A head of one's own: the smooth deformation that makes another anatomy of a template."""

import numpy as np

from mrikit.randomness import Key, generator
from mrikit.simulate.fields import random_field
from mrikit.simulate.shapes import FloatArray

_SCALES = ((60.0, 1.0), (28.0, 0.35))
"""Lattice spacings in millimetres, and what they have of the size; slopes stay below 1, so that nothing folds."""
_STRETCH_PER_MM = 0.006
_SHIFT = 0.5


def deformed(
    key: Key, rows_mm: FloatArray, columns_mm: FloatArray, z: float, size_mm: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Where in the template the pixels of one slice come from.

    Each axis is stretched and shifted a little, and bent by random fields that go through all slices.

    Args:
        key: Names the volume.
        rows_mm: (y,) ascending positions of the rows.
        columns_mm: (x,) ascending positions of the columns.
        z: Position of the slice, millimetres.
        size_mm: Standard deviation of the bend along each axis, millimetres; 0 for none.

    Returns:
        Positions along rows, columns and slices, (y, x) float32 each, millimetres.
    """
    rng = generator(*key, "pose")
    stretch = 1 + _STRETCH_PER_MM * size_mm * rng.standard_normal(3)
    shift = _SHIFT * size_mm * rng.standard_normal(3)
    shape = len(rows_mm), len(columns_mm)
    straight = (rows_mm[:, None], columns_mm[None, :], np.full((1, 1), z, np.float32))
    found = []
    for axis, position in enumerate(straight):
        place = np.broadcast_to(position * stretch[axis] + shift[axis], shape).astype(np.float32)
        for number, (scale, share) in enumerate(_SCALES if size_mm else ()):
            bend = random_field((*key, "bend", axis, number), rows_mm, columns_mm, z, scale=(scale, scale, scale))
            place = place + np.float32(size_mm * share) * bend
        found.append(place)
    return found[0], found[1], found[2]
