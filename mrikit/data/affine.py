"""Rotation, shearing and scaling of complex images as one resampling, reflected at the border."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from mrikit.physics.fft import fft2c, ifft2c

INTERPOLATIONS = {"linear": "bilinear", "cubic": "bicubic"}
"""How values between pixels are found: our name, torch's name. Torch's cubic kernel has a = -0.75: it keeps fine
structure better than the linear one, and slow ramps slightly worse."""


def forward_matrix(rotation_deg: float, shearing_deg: tuple[float, float], scale: float) -> npt.NDArray[np.float64]:
    """(2, 2) matrix that moves (x, y) pixel offsets from the image's centre, y pointing down.

    The image is first sheared along x, then along y, then rotated counterclockwise and scaled.
    """
    cos, sin = math.cos(math.radians(rotation_deg)), math.sin(math.radians(rotation_deg))
    tan_x, tan_y = (math.tan(math.radians(angle)) for angle in shearing_deg)
    rotation = np.array([[cos, sin], [-sin, cos]])
    shear_x, shear_y = np.array([[1, tan_x], [0, 1]]), np.array([[1, 0], [tan_y, 1]])
    return scale * rotation @ shear_y @ shear_x


def resample(
    image: torch.Tensor, matrices: Sequence[npt.NDArray[np.float64]], *, interpolation: str, upsample: bool
) -> torch.Tensor:
    """Move the content of images; what comes from beyond the border is reflected about the border's pixels.

    Interpolation averages neighbours and so lowers white noise, the linear one to 2/3 of its standard deviation on
    average over all positions between pixels. From images of twice the resolution it falls to 0.88 only, and the
    error on fine structure to about a quarter.

    Args:
        image: (batch, slice, coil, y, x) complex64.
        matrices: Forward matrix of each batch element, as `forward_matrix` makes it.
        interpolation: A name of `INTERPOLATIONS`.
        upsample: Whether to interpolate in images of twice the resolution, four times the memory.

    Returns:
        As `image`; differentiable in it.
    """
    batch, num_slices, num_coils, height, width = image.shape
    # Pixels lie at -1 and 1 of torch's coordinates (align_corners): in every resolution, the first and the last one.
    to_pixels = np.diag([(width - 1) / 2, (height - 1) / 2])
    inverse = [np.linalg.inv(to_pixels) @ np.linalg.inv(matrix) @ to_pixels for matrix in matrices]
    theta = torch.zeros(batch, 2, 3)
    theta[..., :2] = torch.from_numpy(np.stack(inverse))
    grid = functional.affine_grid(theta.to(image.device), [batch, 1, height, width], align_corners=True)
    source = (_double(image) if upsample else image).flatten(1, 2)
    moved = functional.grid_sample(
        torch.cat([source.real, source.imag], 1),
        grid,
        mode=INTERPOLATIONS[interpolation],
        padding_mode="reflection",
        align_corners=True,
    )
    return torch.complex(*moved.chunk(2, dim=1)).view(batch, num_slices, num_coils, height, width)


def _double(image: torch.Tensor) -> torch.Tensor:
    """(..., y, x) to (..., 2 y - 1, 2 x - 1) complex64: the pixels, and those halfway between them.

    Zeros around k-space interpolate what the scanner measured exactly, where any kernel would only come near.
    """
    padding = [(size - size // 2, size // 2) for size in image.shape[-2:]]
    kspace = functional.pad(fft2c(image), (*padding[1], *padding[0]))
    # The centre of n pixels is at n // 2, that of 2 n at n: in an odd size, the first pixel comes half a pixel late.
    rows, columns = (slice(size % 2, size % 2 + 2 * size - 1) for size in image.shape[-2:])
    return 2 * ifft2c(kspace)[..., rows, columns]
