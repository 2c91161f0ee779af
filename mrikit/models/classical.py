"""Reconstruction without learning, under the signature of every model: the methods that networks are compared with.

Each `forward` takes (batch, coil, readout, phase) complex64 masked k-space, its (batch, 1, 1 or readout, phase) bool
mask and the (batch,) int64 number of centre lines; it returns the (batch, y, x) float32 magnitude over the full field
of view, in the scale of the data.
"""

import math
import warnings
from dataclasses import dataclass

import torch
from torch import nn

from mrikit.errors import ConfigError, DataError
from mrikit.models.sensitivity import divide_by_rss, keep_center
from mrikit.physics.cg import conjugate_gradient
from mrikit.physics.coils import rss
from mrikit.physics.espirit import espirit_maps
from mrikit.physics.fft import ifft2c
from mrikit.physics.grappa import grappa
from mrikit.physics.sense import SenseOp
from mrikit.physics.wavelet import inverse_wavelet, soft_threshold, wavelet

_CALIBRATION_ROWS = 24
_SMALLEST_KERNEL, _LARGEST_KERNEL = 3, 6
_LEAST_COVERED = 0.5  # of the energy of the centre, by coil maps that are worth their name
_MOST_LEVELS = 8  # images are padded to a multiple of 2^levels


@dataclass(frozen=True, kw_only=True, slots=True)
class ZeroFilledConfig:
    """No settings."""


class ZeroFilled(nn.Module):
    """Root sum of squares of the coil images, unsampled lines left at zero."""

    def __init__(self, config: ZeroFilledConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor) -> torch.Tensor:
        """Masked k-space to the (batch, y, x) magnitude; mask and centre are not needed."""
        del mask, num_center_lines
        return rss(ifft2c(masked_kspace))


@dataclass(frozen=True, kw_only=True, slots=True)
class GrappaConfig:
    """Settings of GRAPPA."""

    readout_taps: int = 5
    """Kernel size along the readout, odd."""
    num_lines: int = 4
    """Sampled lines that each missing line is made from."""
    regularization: float = 1e-3
    """Tikhonov weight of the kernel fit, relative to the mean energy of the calibration data."""

    def __post_init__(self) -> None:
        is_kernel = self.readout_taps >= 1 and self.readout_taps % 2 == 1 and self.num_lines >= 2
        if not (is_kernel and self.num_lines % 2 == 0 and 0 <= self.regularization < math.inf):
            found = f"{self.readout_taps}, {self.num_lines} and {self.regularization}"
            raise ConfigError(f"grappa needs odd readout_taps, even num_lines and regularization >= 0, found {found}")


class Grappa(nn.Module):
    """Missing lines interpolated from sampled neighbours in k-space, then root sum of squares.

    Source:
        Griswold et al., Generalized autocalibrating partially parallel acquisitions, MRM 47:1202 (2002).
    """

    def __init__(self, config: GrappaConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor) -> torch.Tensor:
        """Masked k-space to the (batch, y, x) magnitude.

        Raises:
            DataError: A 2-D pattern, or too few centre lines to calibrate.
        """
        if mask.shape[-2] > 1:
            raise DataError("GRAPPA needs a mask of whole phase lines, found a 2-D pattern; use cg_sense or l1_wavelet")
        filled = [
            grappa(
                kspace,
                lines.flatten(),
                int(num_center),
                kernel_size=(self.config.readout_taps, self.config.num_lines),
                regularization=self.config.regularization,
            )
            for kspace, lines, num_center in zip(masked_kspace, mask, num_center_lines, strict=True)
        ]
        return rss(ifft2c(torch.stack(filled)))


@dataclass(frozen=True, kw_only=True, slots=True)
class CgSenseConfig:
    """Settings of CG-SENSE."""

    num_iterations: int = 20
    """Conjugate-gradient steps, at least 1."""
    damping: float = 5e-3
    """Tikhonov weight on the image; the operator's norm is 1."""

    def __post_init__(self) -> None:
        if self.num_iterations < 1 or not 0 <= self.damping < math.inf:
            found = f"{self.num_iterations} and {self.damping}"
            raise ConfigError(f"cg_sense needs num_iterations >= 1 and damping >= 0, found {found}")


class CgSense(nn.Module):
    """The least-squares image given ESPIRiT maps, by conjugate gradients.

    Source:
        Pruessmann et al., Advances in sensitivity encoding with arbitrary k-space trajectories, MRM 46:638 (2001);
        maps: Uecker et al., ESPIRiT, MRM 71:990 (2014).
    """

    def __init__(self, config: CgSenseConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor) -> torch.Tensor:
        """Masked k-space to the (batch, y, x) magnitude.

        Raises:
            DataError: Too few centre lines to calibrate.
        """
        sense_op = SenseOp(calibrate(masked_kspace, mask, num_center_lines), mask)
        image = conjugate_gradient(
            sense_op.normal,
            sense_op.adjoint(masked_kspace),
            num_iterations=self.config.num_iterations,
            damping=self.config.damping,
        )
        return image.abs()


@dataclass(frozen=True, kw_only=True, slots=True)
class L1WaveletConfig:
    """Settings of compressed sensing."""

    num_iterations: int = 40
    """FISTA steps, at least 1."""
    threshold: float = 2e-3
    """Weight of the wavelet norm, relative to the largest magnitude of the zero-filled combined image."""
    num_levels: int = 3
    """Wavelet decompositions."""

    def __post_init__(self) -> None:
        if self.num_iterations < 1 or not 0 <= self.threshold < math.inf or not 1 <= self.num_levels <= _MOST_LEVELS:
            found = f"{self.num_iterations}, {self.threshold} and {self.num_levels}"
            raise ConfigError(
                f"l1_wavelet needs num_iterations >= 1, threshold >= 0, num_levels 1 to {_MOST_LEVELS}, found {found}"
            )


class L1Wavelet(nn.Module):
    """SENSE with an l1 norm on Daubechies-4 wavelet coefficients, by FISTA with cycle spinning.

    Source:
        Lustig et al., Sparse MRI, MRM 58:1182 (2007); Beck and Teboulle, FISTA, SIAM J. Imaging Sci. 2:183 (2009).
        The image is shifted by a different amount at every step, in a fixed order, which removes block artefacts as the
        random shifts of BART do.
    """

    def __init__(self, config: L1WaveletConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor) -> torch.Tensor:
        """Masked k-space to the (batch, y, x) magnitude.

        Raises:
            DataError: Too few centre lines to calibrate.
        """
        sense_op = SenseOp(calibrate(masked_kspace, mask, num_center_lines), mask)
        combined = sense_op.adjoint(masked_kspace)
        weight = self.config.threshold * combined.abs().amax((-2, -1), keepdim=True)
        image = previous = combined
        momentum = 1.0
        for step in range(self.config.num_iterations):
            next_momentum = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            ahead = image + (momentum - 1) / next_momentum * (image - previous)
            # The operator's norm is at most 1 (maps of RSS 1, orthonormal FFT), so a unit step converges.
            gradient_step = ahead - (sense_op.normal(ahead) - combined)
            previous, image, momentum = image, self._shrink(gradient_step, weight, step), next_momentum
        return image.abs()

    def _shrink(self, image: torch.Tensor, weight: torch.Tensor, step: int) -> torch.Tensor:
        """Soft-threshold the wavelet coefficients of a shifted image."""
        # Odd multipliers walk through all shifts of the coarsest block before one repeats.
        period = 2**self.config.num_levels
        shift = (step * 3 % period, step * 5 % period)
        coefficients = wavelet(torch.roll(image, shift, (-2, -1)), self.config.num_levels)
        shrunk = inverse_wavelet(
            soft_threshold(coefficients, weight), self.config.num_levels, (image.shape[-2], image.shape[-1])
        )
        return torch.roll(shrunk, (-shift[0], -shift[1]), (-2, -1))


def calibrate(masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor) -> torch.Tensor:
    """ESPIRiT maps of every batch element from its own centre.

    Args:
        masked_kspace: (batch, coil, readout, phase) complex64.
        mask: (batch, 1, 1 or readout, phase) bool.
        num_center_lines: (batch,) int64.

    Returns:
        (batch, coil, y, x) complex64 maps of root sum of squares 1. Where ESPIRiT finds no body in most of what the
        centre shows, because that is too small or all noise, they are its images divided by their root sum of squares.

    Raises:
        DataError: Too few centre lines for the kernel.
    """
    is_line_mask = mask.shape[-2] == 1
    maps = []
    for row, (kspace, num_center) in enumerate(zip(masked_kspace, num_center_lines.tolist(), strict=True)):
        # A line mask is full along the readout; a 2-D pattern only in its square centre. A kernel of more than half
        # the centre sees too few patches: its maps at 7 lines raise the error above that of no reconstruction.
        rows = _CALIBRATION_ROWS if is_line_mask else num_center
        kernel_size = min(max((num_center + 1) // 2, _SMALLEST_KERNEL), _LARGEST_KERNEL)
        found = espirit_maps(kspace, num_center, calibration_rows=rows, kernel_size=kernel_size)
        one = slice(row, row + 1)
        center = ifft2c(keep_center(masked_kspace[one], mask[one], num_center_lines[one]))[0]
        energy = center.abs().square().sum(0)
        if energy[(found != 0).any(0)].sum() < _LEAST_COVERED * energy.sum():
            warnings.warn(
                f"ESPIRiT finds no coil maps in a fully sampled centre of {num_center} lines; the images of the centre "
                "take their place. A mask with a larger centre would do",
                stacklevel=2,
            )
            found = divide_by_rss(center[None])[0]
        maps.append(found)
    return torch.stack(maps)
