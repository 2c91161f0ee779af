"""What mixed volumes show: pieces of photographs, planes of an average brain, discs with holes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mrikit.randomness import Key, generator
from mrikit.simulate.shapes import FloatArray, coverage, ellipse, soft_step
from mrikit.simulate.template import CLASSES, VOXEL_MM

DARKEST = 0.02
"""Of a photograph, whose brightest is 1; nothing but air is 0."""
PLANES = ("sagittal", "coronal", "axial")
"""By the axis of the template that they cut."""
INSERTS = (3, 12)


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """Where the points of an image lie."""

    y: FloatArray
    """(y,) positions of the rows, in halves of the window's height, 0 in its middle."""
    x: FloatArray
    """(x,) positions of the columns, in halves of the window's width."""


def photograph(
    photographs: Mapping[str, npt.NDArray[np.uint8]], key: Key, slice_index: int, grid: Grid
) -> tuple[FloatArray, str]:
    """A piece of a photograph, half of the time cut out by a soft superellipse.

    Args:
        photographs: (y, x) uint8 by name, from `read_photographs`.
        key: Names the volume.
        slice_index: Number of the slice; every slice shows another piece.
        grid: Its points.

    Returns:
        (y, x) float32 from 0 to 1, and the name of the photograph.
    """
    rng = generator(*key, slice_index, "photograph")
    name = str(rng.choice(sorted(photographs)))
    gamma, is_negative = np.exp(rng.uniform(np.log(0.5), np.log(2))), rng.random() < 0.5
    tones = DARKEST + (1 - DARKEST) * (np.arange(256) / 255) ** gamma
    picture = (tones[::-1] if is_negative else tones).astype(np.float32)[photographs[name]]
    picture = picture.T if rng.random() < 0.5 else picture
    picture = picture[:: int(rng.choice((-1, 1))), :: int(rng.choice((-1, 1)))]
    shape = np.array([len(grid.y), len(grid.x)])
    side = np.array(picture.shape) * rng.uniform(0.4, 1.0, 2)
    start = (np.array(picture.shape) - side) * rng.random(2)
    image = ndimage.affine_transform(
        picture, side / shape, start, output_shape=tuple(shape), output=np.float32, order=1, mode="nearest"
    )
    if rng.random() < 0.5:
        image *= _superellipse(key, slice_index, grid)
    return image, name


def _superellipse(key: Key, slice_index: int, grid: Grid) -> FloatArray:
    """(y, x) 1 inside, 0 outside, and soft between."""
    rng = generator(*key, slice_index, "superellipse")
    power, edge = rng.uniform(2, 4), rng.uniform(0.01, 0.06)
    half, middle = rng.uniform(0.55, 0.95, 2), rng.normal(0, 0.05, 2)
    y, x = (
        np.abs((place - centre) / size) ** power
        for place, centre, size in zip((grid.y, grid.x), middle, half, strict=True)
    )
    return soft_step(1 - (y[:, None] + x[None, :]), edge * power)


def mixed_tissue(template: FloatArray, key: Key) -> tuple[FloatArray, int]:
    """An average head with a contrast of its own, and the axis that slices cut.

    Args:
        template: (class, x, y, z) float32 from `read_template`.
        key: Names the volume.

    Returns:
        (x, y, z) float32 from 0 to 1, and the number of a name in `PLANES`.
    """
    rng = generator(*key, "contrast")
    contrast = rng.uniform(0.05, 1, len(CLASSES)).astype(np.float32)
    contrast[[CLASSES.index("skull"), CLASSES.index("air")]] = 0
    tissue = np.zeros(template.shape[1:], np.float32)
    # Class by class: the sums of a BLAS depend on its number of threads in their last bits.
    for signal, share in zip(contrast, template, strict=True):
        if signal:
            tissue += signal * share
    return tissue, int(rng.integers(len(PLANES)))


def brain_plane(
    tissue: FloatArray, axis: int, key: Key, slice_index: int, grid: Grid, half_mm: tuple[float, float]
) -> FloatArray:
    """One plane of a head, turned, scaled and shifted as all planes of its volume.

    Args:
        tissue: (x, y, z) float32 from `mixed_tissue`.
        axis: That it cuts.
        key: Names the volume.
        slice_index: Number of the slice; neighbours lie next to each other.
        grid: Its points.
        half_mm: (y, x) halves of the window, millimetres.

    Returns:
        (y, x) float32.
    """
    rng = generator(*key, "pose")
    angle, size = rng.normal(0, 0.25), rng.uniform(0.85, 1.1)
    middle = rng.normal(0, 4.0, 2)
    first, step = rng.uniform(0.35, 0.6) * tissue.shape[axis], rng.uniform(1.0, 3.0)
    # Planes turn back at a quarter from either end, however many there are.
    low, high = 0.25 * tissue.shape[axis], 0.75 * tissue.shape[axis]
    depth = high - abs((first + step * slice_index - low) % (2 * (high - low)) - (high - low))
    below = int(depth)
    share = np.float32(depth - below)
    plane = (1 - share) * np.take(tissue, below, axis) + share * np.take(tissue, below + 1, axis)
    plane = plane.T[::-1]  # the top or the front of the head is up
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / (size * VOXEL_MM)
    steps = [float(place[1] - place[0]) * half for place, half in zip((grid.y, grid.x), half_mm, strict=True)]
    corner = np.array([float(grid.y[0]) * half_mm[0], float(grid.x[0]) * half_mm[1]])
    offset = (np.array(plane.shape) - 1) / 2 + turn @ (corner - middle)
    shape = len(grid.y), len(grid.x)
    return np.asarray(
        ndimage.affine_transform(plane, turn * steps, offset, output_shape=shape, output=np.float32, order=1)
    )


def discs(key: Key, slice_index: int, grid: Grid) -> FloatArray:
    """A flat ellipse with flat inserts, some of them holes.

    Args:
        key: Names the volume.
        slice_index: Number of the slice; every slice has inserts of its own.
        grid: Its points.

    Returns:
        (y, x) float32 from 0 to 1.
    """
    body, rng = generator(*key, "disc"), generator(*key, slice_index, "inserts")
    half = body.uniform(0.55, 0.9, 2)
    y, x, pixel = grid.y[:, None], grid.x[None, :], float(grid.y[1] - grid.y[0])
    inside = coverage(ellipse(y, x, (0, 0), (half[0], half[1])), pixel)
    image = inside.copy()
    for _ in range(int(rng.integers(*INSERTS))):
        size = np.exp(rng.uniform(np.log(0.02), np.log(0.25), 2))
        centre, level = rng.uniform(-0.8, 0.8, 2) * half, rng.choice((0.0, rng.uniform(0, 1)))
        insert = coverage(ellipse(y, x, (centre[0], centre[1]), (size[0], size[1])), pixel)
        image += insert * (np.float32(level) * inside - image)
    return image
