"""An orthonormal wavelet transform of images, and the threshold that makes it a prior."""

import torch

# Daubechies' orthonormal scaling filter with four vanishing moments, as PyWavelets' `db4` decomposition filter
_LOW_PASS = (
    -0.010597401785069032,
    0.0328830116668852,
    0.030841381835560764,
    -0.18703481171909309,
    -0.027983769416859854,
    0.6308807679298589,
    0.7148465705529157,
    0.2303778133088965,
)
_NUM_TAPS = len(_LOW_PASS)
_SHIFT = _NUM_TAPS // 2 - 1  # samples by which a window starts before its pair: PyWavelets' alignment


def wavelet(image: torch.Tensor, num_levels: int) -> torch.Tensor:
    """Periodised Daubechies-4 coefficients of an image, an isometry for any size.

    Sizes that `num_levels` halvings do not divide are first filled up with zeros, at the end, to the next that they do.

    Args:
        image: (..., y, x) complex64 or float32.
        num_levels: Halvings, 0 or more.

    Returns:
        (..., y', x') of the image's dtype, y' and x' the next multiples of 2^num_levels: the coarse image in the corner
        [0, 0], vertical details below, horizontal ones to its right, diagonal ones across, level around level.

    Source:
        Daubechies, Orthonormal bases of compactly supported wavelets, CPAM 41:909 (1988), table 1, N = 4.
    """
    size = padded_size((image.shape[-2], image.shape[-1]), num_levels)
    coefficients = torch.nn.functional.pad(image, (0, size[1] - image.shape[-1], 0, size[0] - image.shape[-2]))
    if num_levels == 0:
        return coefficients
    coefficients = _one_level(coefficients)
    coarse = coefficients[..., : size[0] // 2, : size[1] // 2]
    return _with_corner(coefficients, wavelet(coarse, num_levels - 1))


def inverse_wavelet(coefficients: torch.Tensor, num_levels: int, size: tuple[int, int]) -> torch.Tensor:
    """The adjoint of `wavelet`, which also undoes it exactly, at any size.

    Args:
        coefficients: (..., y', x') as `wavelet` returns them.
        num_levels: Halvings.
        size: (y, x) of the image.

    Returns:
        (..., y, x) of the coefficients' dtype.
    """
    if num_levels > 0:
        half = coefficients.shape[-2] // 2, coefficients.shape[-1] // 2
        coarse = inverse_wavelet(coefficients[..., : half[0], : half[1]], num_levels - 1, half)
        coefficients = _one_level_back(_with_corner(coefficients, coarse))
    return coefficients[..., : size[0], : size[1]]


def padded_size(size: tuple[int, int], num_levels: int) -> tuple[int, int]:
    """The (y', x') of the coefficients of a (y, x) image."""
    block = 2**num_levels
    return -(-size[0] // block) * block, -(-size[1] // block) * block


def soft_threshold(coefficients: torch.Tensor, threshold: float | torch.Tensor) -> torch.Tensor:
    """Shrink magnitudes by `threshold` and keep phases: the proximal map of threshold times the l1 norm.

    Args:
        coefficients: Complex64 or float32 of any shape.
        threshold: In the scale of the coefficients; broadcasts against them.

    Returns:
        Like `coefficients`; 0 where the magnitude is at most the threshold.
    """
    return torch.sgn(coefficients) * (coefficients.abs() - threshold).clamp(min=0)


def _one_level(image: torch.Tensor) -> torch.Tensor:
    """Along both axes: the first half low-pass, the second high-pass."""
    return _apply(_matrix(image.shape[-2], image.device), image, _matrix(image.shape[-1], image.device))


def _one_level_back(coefficients: torch.Tensor) -> torch.Tensor:
    """The transpose of `_one_level`."""
    size, device = coefficients.shape, coefficients.device
    return _apply(_matrix(size[-2], device).mT, coefficients, _matrix(size[-1], device).mT)


def _apply(vertical: torch.Tensor, image: torch.Tensor, horizontal: torch.Tensor) -> torch.Tensor:
    """Real matrices on a real or complex image: real products cost half of what complex ones do."""
    if not image.is_complex():
        return vertical @ (image @ horizontal.mT)
    parts = torch.stack([image.real, image.imag])
    return torch.complex(*(vertical @ (parts @ horizontal.mT)))


def _matrix(size: int, device: torch.device) -> torch.Tensor:
    """(size, size) float32 orthogonal matrix of one level along one axis.

    A dense product, although 8 entries of each row are not 0: at the sizes of images it beats eight strided passes.
    """
    low = torch.tensor(_LOW_PASS, device=device).flip(0)
    high = low.flip(0) * torch.tensor([1.0, -1.0] * (_NUM_TAPS // 2), device=device)
    pair = torch.arange(size // 2, device=device)[:, None]
    column = (2 * pair + torch.arange(_NUM_TAPS, device=device) - _SHIFT) % size
    rows = torch.zeros(2, size // 2, size, device=device)
    for band, taps in enumerate((low, high)):
        rows[band].scatter_add_(1, column, taps.expand_as(column).contiguous())  # short signals wrap more than once
    return rows.flatten(0, 1)


def _with_corner(coefficients: torch.Tensor, corner: torch.Tensor) -> torch.Tensor:
    below = coefficients[..., corner.shape[-2] :, : corner.shape[-1]]
    beside = coefficients[..., corner.shape[-1] :]
    return torch.cat([torch.cat([corner, below], dim=-2), beside], dim=-1)
