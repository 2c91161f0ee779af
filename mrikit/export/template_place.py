"""Place of a reconstruction by the scanner's own images of the same scan.

Where a file of k-space says nothing of its place, its image may be turned or mirrored against the scanner's, and its
slices may run the other way. The pixels of both tell, or nothing does.
"""

import itertools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from mrikit.errors import DataError
from mrikit.export.source import Source
from mrikit.export.template import Template
from mrikit.volumes.geometry import Geometry, Vector, orthonormal, slice_spacing

_ALIKE = 0.6
_CLEARER = 0.03
"""Correlation with the scanner's images that is enough, and by how much it has to exceed that of any other way."""


class Way(NamedTuple):
    """How to move a reconstruction so that it lies as the scanner's images: first transpose, then flip."""

    is_transposed: bool
    is_flipped_y: bool
    is_flipped_x: bool
    is_reversed: bool
    """Slices in the opposite order."""

    def apply(self, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(slice, y, x) moved."""
        moved = image.swapaxes(1, 2) if self.is_transposed else image
        return moved[tuple(slice(None, None, -1 if flip else 1) for flip in (self[3], self[1], self[2]))]

    @property
    def in_words(self) -> str:
        """What differs, for a message."""
        words = ("transposed", "flipped in y", "flipped in x", "with its slices in reverse")
        return ", ".join(word for word, is_so in zip(words, self, strict=True) if is_so)


STRAIGHT = Way(is_transposed=False, is_flipped_y=False, is_flipped_x=False, is_reversed=False)


def place_by_template(source: Source, template: Template) -> tuple[Geometry, str | None]:
    """The geometry of a reconstruction that has none of its own.

    Args:
        source: The reconstruction.
        template: Its series has an image for each slice.

    Returns:
        The geometry, and what to say about it if the images lie otherwise than the scanner's.

    Raises:
        DataError: The series has another number of images or other sizes, lacks a place, or its pixels do not tell how
            the reconstruction lies.
    """
    images, shape = template.series, source.image.shape
    if len(images) != shape[0]:
        found = "objects in its list" if template.is_stated else "images of this series in its folder"
        raise DataError(
            f"{template.path}: {len(images)} {found}, but {source.path} has {shape[0]} slices; one each is needed"
        )
    require_size(source, template)
    way = STRAIGHT if template.is_stated else _find_way(source, template)
    if way.is_reversed:
        images = images[::-1]
    note = f"the template's images show it {way.in_words}: it is placed as they lie" if any(way) else None
    return _geometry(images, way, template, (shape[1], shape[2])), note


def require_size(source: Source, template: Template) -> None:
    """Make sure that the images have one size, turned or not.

    Raises:
        DataError: They have not, or a size is missing.
    """
    shape = source.image.shape[1:]
    for image in template.series:
        found = (image.get("Rows", None), image.get("Columns", None))
        if template.is_stated and found in ((None, None), shape):
            continue
        if template.is_stated or found not in (shape, shape[::-1]):
            raise DataError(
                f"{template.path}: the template has {found[0]} x {found[1]} pixels, and {source.path} has "
                f"{shape[0]} x {shape[1]}; give an image of the same size"
            )


def _find_way(source: Source, template: Template) -> Way:
    """The way in which the reconstruction looks like the scanner's images, if it is clear."""
    try:
        pixels = np.stack([image.pixel_array for image in template.series]).astype(np.float32)
    except (AttributeError, NotImplementedError, RuntimeError, ValueError) as error:
        raise DataError(
            f"{template.path}: {source.path} says nothing of its orientation, and the template has no pixels that can "
            f"be read ({type(error).__name__}), which would tell; give uncompressed images"
        ) from error
    likeness = {}
    for way in itertools.starmap(Way, itertools.product((False, True), repeat=4)):
        moved = way.apply(source.image)
        if moved.shape == pixels.shape and not (way.is_reversed and len(moved) == 1):
            likeness[way] = float(np.corrcoef(moved.ravel(), pixels.ravel())[0, 1])
    best, *others = sorted(likeness, key=likeness.__getitem__, reverse=True)
    if not likeness[best] >= _ALIKE or likeness[best] - likeness[others[0]] < _CLEARER:
        raise DataError(
            f"{template.path}: {source.path} says nothing of its orientation, and does not look clearly like the "
            f"template's images (correlation {likeness[best]:.2f}, next {likeness[others[0]]:.2f}); is it another scan?"
        )
    return best


def _geometry(images: tuple[Dataset, ...], way: Way, template: Template, shape: tuple[int, int]) -> Geometry:
    """Of the reconstruction of (y, x) `shape`, from the images that show its slices in its order."""
    first = images[0]
    try:
        orientation = np.array(first.ImageOrientationPatient, np.float64)
        pixel_mm = np.array(first.PixelSpacing, np.float64)
        corners = np.array([image.ImagePositionPatient for image in images], np.float64)
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(f"{template.path}: the template lacks a tag of its place: {error}") from error
    plane = orthonormal(orientation[3:], orientation[:3])
    if plane is None or any(image.ImageOrientationPatient != first.ImageOrientationPatient for image in images):
        raise DataError(f"{template.path}: the template's images have no orientation that all share")
    sizes, steps = shape[::-1] if way.is_transposed else shape, [*(pixel_mm[:, None] * plane)]
    # Axis 0 and 1 of the template as the reconstruction runs through them.
    for axis, is_flipped in enumerate((way.is_flipped_y, way.is_flipped_x)):
        if is_flipped:
            corners = corners + (sizes[axis] - 1) * steps[axis]
            steps[axis] = -steps[axis]
    if way.is_transposed:
        sizes, steps, pixel_mm = sizes[::-1], steps[::-1], pixel_mm[::-1]
    middle = corners + sizes[0] // 2 * steps[0] + sizes[1] // 2 * steps[1]
    read_dir, phase_dir = (_vector(step / np.linalg.norm(step)) for step in steps)
    spacing = slice_spacing(middle, read_dir, phase_dir)
    thickness, between = first.get("SliceThickness", None), first.get("SpacingBetweenSlices", None)
    return Geometry(
        pixel_mm=(float(pixel_mm[0]), float(pixel_mm[1])),
        slice_thickness_mm=float(thickness) if thickness else None,
        slice_spacing_mm=float(between) if spacing is None and len(images) == 1 and between else spacing,
        positions_mm=tuple(_vector(one) for one in middle),
        read_dir=read_dir,
        phase_dir=phase_dir,
        slice_dir=_vector(np.cross(phase_dir, read_dir)),
        patient_position=first.get("PatientPosition", None) or None,
    )


def _vector(values: npt.NDArray[np.float64]) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z
