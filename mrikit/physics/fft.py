"""The centred, orthonormal Fourier transform between images and k-space, always in float32."""

from collections.abc import Callable

import torch


def fft2c(image: torch.Tensor) -> torch.Tensor:
    """(..., y, x) complex image to (..., readout, phase) complex64 k-space; the centre is at n // 2 of both axes."""
    return _centred(torch.fft.fftn, image, (-2, -1))


def ifft2c(kspace: torch.Tensor) -> torch.Tensor:
    """(..., readout, phase) complex k-space to (..., y, x) complex64 image; inverse and adjoint of `fft2c`."""
    return _centred(torch.fft.ifftn, kspace, (-2, -1))


def fft1c(image: torch.Tensor, dim: int) -> torch.Tensor:
    """The centred transform along one axis, complex64."""
    return _centred(torch.fft.fftn, image, (dim,))


def ifft1c(kspace: torch.Tensor, dim: int) -> torch.Tensor:
    """The centred inverse transform along one axis, complex64."""
    return _centred(torch.fft.ifftn, kspace, (dim,))


def _centred(transform: Callable[..., torch.Tensor], signal: torch.Tensor, dims: tuple[int, ...]) -> torch.Tensor:
    signal = torch.fft.ifftshift(signal.to(torch.complex64), dim=dims)
    return torch.fft.fftshift(transform(signal, dim=dims, norm="ortho"), dim=dims)
