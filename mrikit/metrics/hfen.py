"""High-frequency error norm: how much of edges and fine detail is wrong."""

from typing import Final

import torch
from torch.nn.functional import conv2d

from mrikit.errors import DataError

_SIDE: Final = 15
_DEVIATION: Final = 1.5


def high_frequency_error(image: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Norm of the error over that of the reference, both after a Laplacian of a Gaussian.

    0 is perfect, and 1 is what an image without any detail has. Places nearer to a border than 7 pixels do not count,
    and the scale does not matter.

    Args:
        image: (slice, y, x) float magnitude.
        reference: The same, fully sampled.

    Returns:
        (slice,) float64; NaN for a slice whose reference has no detail.

    Raises:
        DataError: The shapes differ, or a side is shorter than the filter.

    Source:
        Ravishankar, Bresler, MR image reconstruction from highly undersampled k-space data by dictionary learning, IEEE
        TMI 30:1028 (2011): 15 x 15 pixels, deviation 1.5. Theirs is not divided by the norm of the reference.
    """
    if image.shape != reference.shape or image.ndim != 3 or min(image.shape[1:]) < _SIDE:
        found = f"{tuple(image.shape)} and {tuple(reference.shape)}"
        raise DataError(f"detail needs two images of one shape (slice, y, x), sides at least {_SIDE}; found {found}")
    kernel = _laplacian_of_gaussian(image.device)
    error, norm = (_filtered(values.double(), kernel).norm(dim=(-2, -1)) for values in (image - reference, reference))
    return error / torch.where(norm > 0, norm, torch.nan)


def _filtered(values: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """(slice, y, x) to (slice, y - 14, x - 14) float64."""
    return conv2d(values[:, None], kernel[None, None])[:, 0]


def _laplacian_of_gaussian(device: torch.device) -> torch.Tensor:
    """(15, 15) float64 of sum 0, so that a constant image has no detail."""
    offsets = torch.arange(_SIDE, dtype=torch.float64, device=device) - _SIDE // 2
    square = offsets[:, None] ** 2 + offsets**2
    gaussian = torch.exp(-square / (2 * _DEVIATION**2))
    kernel = gaussian / gaussian.sum() * (square - 2 * _DEVIATION**2) / _DEVIATION**4
    return kernel - kernel.mean()
