"""The body of one patient as a complex image per slice: layers of tissue, mixed by their share of each pixel."""

from collections.abc import Callable, Iterator, Mapping
from math import ceil

import numpy as np
import numpy.typing as npt

from mrikit.randomness import Key, generator
from mrikit.simulate.anatomy_brain import brain_layers
from mrikit.simulate.anatomy_knee import knee_layers
from mrikit.simulate.fields import random_field
from mrikit.simulate.frame import Layer, SliceFrame, slice_frame
from mrikit.simulate.shapes import FloatArray

ANATOMIES: Mapping[str, Callable[[SliceFrame], Iterator[Layer]]] = {"brain": brain_layers, "knee": knee_layers}
SLICE_DISTANCE_MM = {"brain": 5.0, "knee": 3.0}
"""Distance of the slices, as in the fastMRI protocols."""
RENDERED_PIXEL_MM = 1.2
"""Coarser images are rendered at a multiple of their matrix and averaged; edges have partial volume either way."""


def slice_positions(anatomy: str, num_slices: int, key: Key) -> list[float]:
    """Where the slices of one patient lie, millimetres: evenly spaced about a middle that differs per patient."""
    rng = generator(*key, "stack")
    middle = rng.uniform(-8, 14) if anatomy == "knee" else rng.uniform(8, 26)
    return [middle + SLICE_DISTANCE_MM[anatomy] * (i - (num_slices - 1) / 2) for i in range(num_slices)]


def render_magnitude(
    anatomy: str, key: Key, signals: Mapping[str, float], *, shape: tuple[int, int], pixel_mm: float, z: float
) -> FloatArray:
    """The magnitude image of one slice.

    Args:
        anatomy: `brain` or `knee`.
        key: Names the patient.
        signals: Signal of each tissue.
        shape: (y, x) pixels.
        pixel_mm: Distance of the pixels.
        z: Position of the slice, millimetres.

    Returns:
        (y, x) float32 in units of the signals.
    """
    multiple = ceil(pixel_mm / RENDERED_PIXEL_MM)
    rows, columns = (pixel_positions(size, pixel_mm, multiple) for size in shape)
    frame = slice_frame((*key, anatomy), rows, columns, z, pixel_mm=pixel_mm / multiple)
    image = np.zeros((len(rows), len(columns)), np.float32)
    for layer in ANATOMIES[anatomy](frame):
        paint = np.float32(signals[layer.tissue])
        color = paint if layer.texture is None else paint * layer.texture
        image += layer.coverage * (color - image)
    blocks = image.reshape(shape[0], multiple, shape[1], multiple)
    return np.asarray(blocks.mean(axis=(1, 3)))


def phase_map(key: Key, rows: FloatArray, columns: FloatArray, z: float) -> npt.NDArray[np.float32]:
    """The slowly varying phase of one slice: a polynomial of second order and smooth noise, radians.

    Args:
        key: Names the volume.
        rows: (y,) ascending positions of the rows, millimetres.
        columns: (x,) ascending positions of the columns, millimetres.
        z: Position of the slice, millimetres.
    """
    constant, *terms = generator(*key, "phase").normal(0, 1, 7)
    y, x, depth = rows[:, None] / 100, columns[None, :] / 100, z / 100
    polynomial = (y, x, y * x, y * y, x * x, np.full((1, 1), depth, np.float32))
    phase = np.pi * constant + sum(0.8 * factor * term for factor, term in zip(terms, polynomial, strict=True))
    noise = random_field((*key, "phase noise"), rows, columns, z, scale=(30.0, 30.0, 30.0))
    return np.asarray(phase + 0.35 * noise, np.float32)


def pixel_positions(num_pixels: int, pixel_mm: float, oversampling: int) -> FloatArray:
    """Centres of the rendered pixels; image pixel n // 2 lies at 0, where the Fourier transform has its centre."""
    index = (np.arange(num_pixels * oversampling) + 0.5) / oversampling - 0.5 - num_pixels // 2
    return (index * pixel_mm).astype(np.float32)
