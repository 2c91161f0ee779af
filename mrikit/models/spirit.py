"""SPIRiT without learning, under the signature of every model, see `mrikit.models.classical`."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from mrikit.errors import ConfigError, DataError
from mrikit.models.output import Output, image_of
from mrikit.physics.cg import conjugate_gradient
from mrikit.physics.coils import rss
from mrikit.physics.fft import fft2c, ifft2c
from mrikit.physics.spirit import SpiritOp, spirit_kernels
from mrikit.physics.strips import map_strips
from mrikit.physics.wavelet import inverse_wavelet, wavelet

_SOLVERS = ("cg", "pocs")
_CALIBRATION_ROWS = 48
_CACHE_BYTES, _DEVICE_BYTES = 2**22, 2**30  # coil matrices held at once, of strips in a CPU's cache and in all
_MOST_LEVELS = 8  # images are padded to a multiple of 2^levels
_TOLERANCE = 1e-4  # of the residual, relative to that of zero filling


@dataclass(frozen=True, kw_only=True, slots=True)
class SpiritConfig:
    """Settings of SPIRiT."""

    solver: str = "cg"
    """`cg`: least squares by conjugate gradients; `pocs`: kernels, wavelets and data in turn."""
    num_iterations: int = 20
    """Steps at most, at least 1."""
    kernel: int = 5
    """Side of the kernels, samples, odd; smaller where the centre is small."""
    regularization: float = 1e-2
    """Tikhonov weight of the kernel fit, relative to the mean energy of the calibration data."""
    damping: float = 1e-3
    """Of `cg`: Tikhonov weight on the missing samples, in the scale of the squared operator."""
    threshold: float = 0.0
    """Of `pocs`: weight of a wavelet norm of all coils jointly (L1-SPIRiT), relative to the largest magnitude of the
    zero-filled image; 0 for none."""
    num_levels: int = 3
    """Wavelet decompositions."""
    zeroes_all_centers: bool = False
    """Whether a sample is made without the other coils' samples at its own place too, as in the learned-sampling study.
    SPIRiT leaves out its own alone."""

    def __post_init__(self) -> None:
        if self.solver not in _SOLVERS:
            raise ConfigError(f"spirit.solver is {' or '.join(_SOLVERS)}, found {self.solver!r}")
        if self.num_iterations < 1 or self.kernel < 3 or self.kernel % 2 == 0:
            found = f"{self.num_iterations} and {self.kernel}"
            raise ConfigError(f"spirit needs num_iterations >= 1 and an odd kernel of 3 or more, found {found}")
        weights = (self.regularization, self.damping, self.threshold)
        if not all(0 <= weight < math.inf for weight in weights) or not 1 <= self.num_levels <= _MOST_LEVELS:
            found = ", ".join(map(str, (*weights, self.num_levels)))
            raise ConfigError(
                "spirit needs regularization, damping and threshold >= 0 and num_levels 1 to "
                f"{_MOST_LEVELS}, found {found}"
            )
        if self.threshold > 0 and self.solver != "pocs":
            raise ConfigError("spirit has a threshold with solver=pocs alone, found solver=cg")


class Spirit(nn.Module):
    """The missing samples that agree best with kernels from the centre; measured ones are kept exactly.

    Source:
        Lustig and Pauly, SPIRiT: iterative self-consistent parallel imaging reconstruction from arbitrary k-space,
        MRM 64:457 (2010); with wavelets: Murphy et al., Fast l1-SPIRiT, IEEE TMI 31:1250 (2012). Their projections
        replace k-space by what its kernels make of it, which grows without bound where a pixel's matrix has an
        eigenvalue above 1, as in scans of one coil. Here a step against the gradient of the residual, no longer than
        its largest eigenvalue allows, takes that place; it never grows.
    """

    gives_kspace = True
    """Whether its Output holds k-space."""

    def __init__(self, config: SpiritConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor) -> torch.Tensor:
        """Masked k-space to the (batch, y, x) magnitude; the arguments are those of `compute`."""
        return image_of(self.compute(masked_kspace, mask, num_center_lines))

    def compute(self, masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor) -> Output:
        """Filled k-space, and its root sum of squares.

        Args:
            masked_kspace: (batch, coil, readout, phase) complex64.
            mask: (batch, 1, 1 or readout, phase) bool.
            num_center_lines: (batch,) int64.

        Raises:
            DataError: Too few centre lines to calibrate.
        """
        kernels = self._calibrate(masked_kspace, mask, num_center_lines)
        size = (masked_kspace.shape[-2], masked_kspace.shape[-1])
        fill = self._project if self.config.solver == "pocs" else self._solve
        slices = _DEVICE_BYTES // (8 * masked_kspace[0].numel() * masked_kspace.shape[1])
        groups = zip(*(each.split(max(1, slices)) for each in (masked_kspace, mask, kernels)), strict=True)
        filled = torch.cat([fill(measured, kept, SpiritOp(taps, size)) for measured, kept, taps in groups])
        kspace = torch.where(mask, masked_kspace, filled)
        return Output(image=rss(ifft2c(kspace)), kspace=kspace)

    def _calibrate(self, kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor) -> torch.Tensor:
        """(batch, coil, coil, kernel, kernel) kernels, each from its own centre."""
        found = []
        for one, num_center in zip(kspace, num_center_lines.tolist(), strict=True):
            # A line mask is full along the readout; a 2-D pattern only in its square centre.
            num_rows = min(_CALIBRATION_ROWS if mask.shape[-2] == 1 else num_center, one.shape[-2])
            row, column = (one.shape[-2] - num_rows + 1) // 2, (one.shape[-1] - num_center + 1) // 2
            center = one[:, row : row + num_rows, column : column + num_center]
            size = self._kernel_size(num_center, num_rows, len(one))
            kernels = spirit_kernels(
                center, (size, size), self.config.regularization, zeroes_all_centers=self.config.zeroes_all_centers
            )
            margin = (self.config.kernel - size) // 2
            found.append(nn.functional.pad(kernels, (margin,) * 4))
        return torch.stack(found)

    def _kernel_size(self, num_center: int, num_rows: int, num_coils: int) -> int:
        """The largest kernel for whose weights the centre holds equations enough."""
        for size in range(self.config.kernel, 2, -2):
            num_equations = max(num_center - size + 1, 0) * max(num_rows - size + 1, 0)
            if num_equations >= size * size * num_coils:
                return size
        raise DataError(
            f"spirit cannot fit kernels of {num_coils} coils; found {num_center} centre lines; "
            "more centre lines or fewer coils would do"
        )

    def _solve(self, masked_kspace: torch.Tensor, mask: torch.Tensor, op: SpiritOp) -> torch.Tensor:
        """Least squares over the missing samples, as k-space that is 0 where measured.

        With whole lines nothing mixes the rows of the image along the readout: each is a problem of its own, and a few
        are solved at a time, with their matrices in the cache.
        """
        is_line_mask = mask.shape[-2] == 1
        # the order inside: zero frequency and middle pixel first, coils last
        dims = (-1,) if is_line_mask else (-2, -1)
        measured = torch.fft.ifftshift(masked_kspace, dim=(-2, -1))
        measured = (torch.fft.ifft(measured, dim=-2) if is_line_mask else measured).movedim(-3, -1)
        is_missing = ~torch.fft.ifftshift(mask, dim=dims).movedim(-3, -1)
        num_rows, num_columns, num_coils = measured.shape[1:]
        is_missing = is_missing.expand(-1, num_rows, -1, -1)

        def solve(rows: slice) -> torch.Tensor:
            at = (slice(None), rows)
            return self._least_squares(measured[at], is_missing[at], op.normal_matrices(rows), is_line_mask)

        strip_bytes = _CACHE_BYTES if measured.device.type == "cpu" else _DEVICE_BYTES
        row_bytes = 8 * len(measured) * num_columns * num_coils**2
        strip_rows = max(1, strip_bytes // row_bytes) if is_line_mask else num_rows
        filled = torch.cat(map_strips(solve, num_rows, strip_rows, measured.device), dim=1).movedim(-1, -3)
        return torch.fft.fftshift(torch.fft.fft(filled, dim=-2) if is_line_mask else filled, dim=(-2, -1))

    def _least_squares(
        self, measured: torch.Tensor, is_missing: torch.Tensor, matrices: torch.Tensor, is_line_mask: bool
    ) -> torch.Tensor:
        """(batch, row, phase, coil) missing samples; of a line mask each row is a problem of its own."""
        shape = measured.shape
        dims = (2,) if is_line_mask else (1, 2)

        def normal(samples: torch.Tensor) -> torch.Tensor:
            image = torch.fft.ifftn(samples.view(shape), dim=dims)
            image = (matrices @ image.unsqueeze(-1)).squeeze(-1)
            return (is_missing * torch.fft.fftn(image, dim=dims)).reshape(samples.shape)

        # conjugate gradients take the last two axes as one unknown
        known = measured if is_line_mask else measured.flatten(2)
        return conjugate_gradient(
            normal, -normal(known), self.config.num_iterations, tolerance=_TOLERANCE, damping=self.config.damping
        ).view(shape)

    def _project(self, masked_kspace: torch.Tensor, mask: torch.Tensor, op: SpiritOp) -> torch.Tensor:
        """Kernels, wavelets and data in turn, with FISTA's momentum."""
        matrices = torch.fft.fftshift(op.normal_matrices(), dim=(-4, -3)) / op.largest_eigenvalue()
        weight = self.config.threshold * rss(ifft2c(masked_kspace)).amax((-2, -1))[:, None, None, None]
        kspace = previous = masked_kspace
        momentum = 1.0
        for step in range(self.config.num_iterations):
            next_momentum = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            image = ifft2c(kspace + (momentum - 1) / next_momentum * (kspace - previous))
            image = image - (matrices @ image.movedim(-3, -1).unsqueeze(-1)).squeeze(-1).movedim(-1, -3)
            if self.config.threshold > 0:
                image = _shrink(image, weight, self.config.num_levels, step)
            previous, kspace = kspace, torch.where(mask, masked_kspace, fft2c(image))
            momentum = next_momentum
        return kspace


def _shrink(image: torch.Tensor, weight: torch.Tensor, num_levels: int, step: int) -> torch.Tensor:
    """Soft-threshold the wavelet coefficients of shifted coil images by their root sum of squares."""
    period = 2**num_levels
    shift = (step * 3 % period, step * 5 % period)
    coefficients = wavelet(torch.roll(image, shift, (-2, -1)), num_levels)
    magnitude = rss(coefficients).unsqueeze(-3)
    factor = torch.where(magnitude > weight, 1 - weight / torch.where(magnitude > weight, magnitude, 1.0), 0.0)
    shrunk = inverse_wavelet(coefficients * factor, num_levels, (image.shape[-2], image.shape[-1]))
    return torch.roll(shrunk, (-shift[0], -shift[1]), (-2, -1))
