"""Where every pixel of an augmented image comes from: flips, quarter turns and shifts exactly, the rest resampled."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from mrikit.data.affine import forward_matrix, resample


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """Transforms of one image in the order in which they are applied; the default leaves it as it is."""

    is_flipped_h: bool = False
    """Left and right change places."""
    is_flipped_v: bool = False
    """Top and bottom change places."""
    num_quarter_turns: int = 0
    """Counterclockwise turns by 90 degrees, 0 to 3."""
    shift: tuple[int, int] = (0, 0)
    """Pixels down and to the right; the image is reflected into what becomes free."""
    rotation_deg: float = 0.0
    """Counterclockwise rotation about the centre, degrees."""
    shearing_deg: tuple[float, float] = (0.0, 0.0)
    """Shear along x and along y, degrees."""
    scale: float = 1.0
    """Magnification about the centre."""

    @property
    def is_resampled(self) -> bool:
        """Whether pixels fall between pixels."""
        return (self.rotation_deg, self.shearing_deg, self.scale) != (0.0, (0.0, 0.0), 1.0)


UNCHANGED = Geometry()


def transform(
    image: torch.Tensor, geometries: Sequence[Geometry], *, interpolation: str, upsample: bool
) -> torch.Tensor:
    """Transform the slices and coils of every batch element alike; rotation, shear and scale are one resampling.

    A quarter turn of an image that is not square keeps the shape: what is too long is cropped about the centre, what
    is too short is filled by reflection.

    Args:
        image: (batch, slice, coil, y, x) complex64.
        geometries: Of each batch element.
        interpolation: `linear` or `cubic`, between pixels.
        upsample: Whether to interpolate in images of twice the resolution.

    Returns:
        As `image`; differentiable in it.
    """
    moved = [_move_pixels(one, geometry) for one, geometry in zip(image, geometries, strict=True)]
    rows = [row for row, geometry in enumerate(geometries) if geometry.is_resampled]
    if not rows:
        return torch.stack(moved)
    matrices = [forward_matrix(g.rotation_deg, g.shearing_deg, g.scale) for g in (geometries[row] for row in rows)]
    source = torch.stack([moved[row] for row in rows])
    resampled = resample(source, matrices, interpolation=interpolation, upsample=upsample)
    if len(rows) == len(moved):
        return resampled
    for row, one in zip(rows, resampled, strict=True):
        moved[row] = one
    return torch.stack(moved)


def _move_pixels(image: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """(..., y, x) image with whole pixels moved: flips, quarter turns and shifts are choices of rows and columns."""
    size = image.shape[-2], image.shape[-1]
    lines = [np.arange(size[0]), np.arange(size[1])]
    for axis, is_flipped in enumerate((geometry.is_flipped_v, geometry.is_flipped_h)):
        if is_flipped:
            lines[axis] = lines[axis][::-1]
    if geometry.num_quarter_turns % 2:
        image, lines = image.mT, lines[::-1]
    # A quarter turn is a transposition followed by a flip, a half turn is two flips.
    for axis in {0: [], 1: [0], 2: [0, 1], 3: [1]}[geometry.num_quarter_turns]:
        lines[axis] = lines[axis][::-1]
    for axis, (length, shift) in enumerate(zip(size, geometry.shift, strict=True)):
        have = len(lines[axis])
        lines[axis] = lines[axis][_reflect(np.arange(length) + (have - length) // 2, have)]
        lines[axis] = lines[axis][_reflect(np.arange(length) - shift, length)]
        if not np.array_equal(lines[axis], np.arange(image.shape[axis - 2])):
            image = image.index_select(axis - 2, torch.from_numpy(lines[axis].copy()).to(image.device))
    return image


def _reflect(position: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.int64]:
    """Positions beyond 0 to length - 1 folded back, the border pixel not repeated."""
    period = max(2 * (length - 1), 1)
    folded = position % period
    return np.minimum(folded, period - folded) if length > 1 else np.zeros_like(position)
