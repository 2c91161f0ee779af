"""SliceFrame: one slice through one patient, with the coordinates and random fields in which anatomy is written."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mrikit.randomness import Key, generator
from mrikit.simulate.fields import random_field
from mrikit.simulate.shapes import FloatArray, coverage


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One coat of paint: a tissue over what lies below."""

    tissue: str
    """Name in the tissue table."""
    coverage: FloatArray
    """(y, x) float32, 0 to 1: share of each pixel that the tissue takes from the layers below."""
    texture: FloatArray | None = None
    """(y, x) float32 factor on the tissue's signal, about 1; None for a uniform tissue."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SliceFrame:
    """Where the pixels of one slice lie in the patient."""

    key: Key
    """Names the patient; every random number of the anatomy starts from it."""
    rows_mm: FloatArray
    """(y,) positions of the rows in the scanner, 0 in the middle."""
    columns_mm: FloatArray
    """(x,) positions of the columns in the scanner, 0 in the middle."""
    z: float
    """Position of the slice in the patient, millimetres."""
    y: FloatArray
    """(y, x) row coordinate in the patient, bent by the patient's own smooth deformation, millimetres."""
    x: FloatArray
    """(y, x) column coordinate in the patient, as `y`."""
    pixel_mm: float
    grain: FloatArray
    """(y, x) random field of mean 0 and variance 1 with equal shares at 9, 4, 1.8 and 0.8 mm."""

    def rng(self, purpose: str) -> np.random.Generator:
        """The patient's generator for one purpose: the same in every slice."""
        return generator(*self.key, purpose)

    def field(self, purpose: str, scale_mm: float | tuple[float | None, float, float]) -> FloatArray:
        """A random field of mean 0 and variance 1 with the given lattice spacing, (slice, y, x) or one for all."""
        scale = scale_mm if isinstance(scale_mm, tuple) else (scale_mm, scale_mm, scale_mm)
        return random_field((*self.key, purpose), self.rows_mm, self.columns_mm, self.z, scale=scale)

    def texture(self, strength: float) -> FloatArray:
        """A factor about 1 with this standard deviation: the slice's grain, which all tissues share."""
        return np.asarray(np.maximum(1 + np.float32(strength) * self.grain, np.float32(0.2)))

    def fibres(self, purpose: str, strength: float, *, stretch: tuple[float, float]) -> FloatArray:
        """A factor as `texture`, of its own and longer or shorter along (y, x) by the factors `stretch`."""
        total = self.field(f"{purpose} coarse", (5.0, 5.0 * stretch[0], 5.0 * stretch[1]))
        total = total + self.field(f"{purpose} fine", (None, 1.4 * stretch[0], 1.4 * stretch[1]))
        return np.asarray(np.maximum(1 + np.float32(strength / 2**0.5) * total, np.float32(0.2)))

    def cover(self, distance: npt.NDArray[np.floating[Any]]) -> FloatArray:
        """Coverage of a shape given by its signed distance, millimetres."""
        return coverage(distance, self.pixel_mm)


def slice_frame(key: Key, rows_mm: FloatArray, columns_mm: FloatArray, z: float, *, pixel_mm: float) -> SliceFrame:
    """Place a slice in a patient: tilted, shifted, scaled and bent as this patient is.

    Args:
        key: Names the patient.
        rows_mm: (y,) positions of the rows in the scanner.
        columns_mm: (x,) positions of the columns in the scanner.
        z: Position of the slice, millimetres.
        pixel_mm: Distance of the pixels.
    """
    rng = generator(*key, "pose")
    angle = np.deg2rad(rng.normal(0, 3.0))
    shift_y, shift_x = rng.normal(0, 2.0, 2)
    size = float(np.clip(rng.normal(1, 0.035), 0.92, 1.06))
    v, u = (rows_mm[:, None] - shift_y) / size, (columns_mm[None, :] - shift_x) / size
    # Large bends move whole structures, small ones make outlines irregular.
    y = np.cos(angle) * v - np.sin(angle) * u
    x = np.sin(angle) * v + np.cos(angle) * u
    for name, scale, amplitude in (("bend", 55.0, 2.0), ("ripple", 14.0, 0.4)):
        y = y + amplitude * random_field((*key, name, "y"), rows_mm, columns_mm, z, scale=(scale, scale, scale))
        x = x + amplitude * random_field((*key, name, "x"), rows_mm, columns_mm, z, scale=(scale, scale, scale))
    return SliceFrame(
        key=key,
        rows_mm=rows_mm,
        columns_mm=columns_mm,
        z=z,
        y=y.astype(np.float32),
        x=x.astype(np.float32),
        pixel_mm=pixel_mm / size,
        grain=_grain(key, rows_mm, columns_mm, z),
    )


def _grain(key: Key, rows_mm: FloatArray, columns_mm: FloatArray, z: float) -> FloatArray:
    scales: tuple[tuple[float | None, float], ...] = ((9.0, 9.0), (5.0, 4.0), (None, 1.8), (None, 0.8))
    fields = [
        random_field((*key, "grain", number), rows_mm, columns_mm, z, scale=(along, across, across))
        for number, (along, across) in enumerate(scales)
    ]
    return np.asarray(np.sum(fields, axis=0) / np.float32(len(fields) ** 0.5))
