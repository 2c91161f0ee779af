"""SPIRiT: every sample of k-space as a sum over its neighbours in all coils, measured or not."""

import math

import torch

from mrikit.errors import DataError

_NODES_PER_TAP = 4  # of the grid on which the operator's norm is looked for


def spirit_kernels(
    calibration: torch.Tensor,
    kernel_size: tuple[int, int] = (5, 5),
    regularization: float = 1e-2,
    *,
    zeroes_all_centers: bool = False,
) -> torch.Tensor:
    """The kernels that fully sampled k-space agrees with best.

    All coils share one inverse. The weights of a sample from all others are a column of the inverse of the regularised
    normal matrix, divided by minus its diagonal element: the sample's own weight is then -1, and taken out.

    Args:
        calibration: (coil, rows, columns) complex64, fully sampled.
        kernel_size: Samples along the readout and along the phase axis, odd.
        regularization: Tikhonov weight relative to the mean energy of the samples.
        zeroes_all_centers: Whether the other coils' samples at the same place are left out too, as the learned-sampling
            study does; else the sample itself alone.

    Returns:
        (target coil, source coil, readout, phase) complex64; the tap [n // 2] is the sample's own place.

    Raises:
        DataError: The calibration block is smaller than a kernel.

    Source:
        Lustig and Pauly, SPIRiT: iterative self-consistent parallel imaging reconstruction from arbitrary k-space,
        MRM 64:457 (2010), equation 4; the inverse: the partial regression of a Gaussian vector.
    """
    num_coils, rows, columns = calibration.shape[0], *kernel_size
    if rows > calibration.shape[1] or columns > calibration.shape[2]:
        raise DataError(
            f"spirit needs a fully sampled centre of {columns} or more lines and {rows} or more samples for its "
            f"kernels; found {calibration.shape[2]} and {calibration.shape[1]}; a mask with more centre lines would do"
        )
    windows = calibration.to(torch.complex128).unfold(1, rows, 1).unfold(2, columns, 1)
    windows = windows.permute(1, 2, 0, 3, 4).flatten(0, 1).flatten(1)  # (position, coil x readout x phase)
    gram = windows.mH @ windows
    energy = gram.diagonal().real.mean()
    floor = torch.finfo(torch.float32).tiny  # an empty slice has kernels of 0, not NaN
    gram.diagonal().add_(regularization * energy + floor)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    own = torch.arange(num_coils, device=gram.device) * rows * columns + (rows // 2) * columns + columns // 2
    weights = inverse[:, own]  # (source, target)
    if zeroes_all_centers:
        weights = torch.linalg.solve(weights[own], weights, left=False)
    else:
        weights = weights / weights[own].diagonal()
    kernels = -weights.mT.unflatten(1, (num_coils, rows, columns)).contiguous()
    center = kernels[..., rows // 2, columns // 2]
    center.masked_fill_(torch.eye(num_coils, dtype=torch.bool, device=gram.device) | zeroes_all_centers, 0.0)
    return kernels.to(torch.complex64)


class SpiritOp:
    """x -> G x - x: how far k-space is from agreeing with its kernels.

    G is a circular convolution of k-space, so it multiplies the coil images of each pixel by a coil-by-coil matrix.
    Those matrices are trigonometric polynomials of the pixel's place, of as many terms as the kernels have taps; those
    of the square of the operator have (2 n - 1) x (2 m - 1).

    Args:
        kernels: (..., target coil, source coil, readout tap, phase tap) complex64 from `spirit_kernels`.
        size: (readout, phase) of k-space.
    """

    def __init__(self, kernels: torch.Tensor, size: tuple[int, int]) -> None:
        self.size = size
        rows, columns = kernels.shape[-2:]
        taps = kernels.to(torch.complex128, copy=True)
        taps[..., rows // 2, columns // 2] -= torch.eye(kernels.shape[-3], device=kernels.device)
        self._residual = taps.to(torch.complex64)
        self._normal = _squared(taps).to(torch.complex64)

    def forward(self, kspace: torch.Tensor) -> torch.Tensor:
        """(..., coil, readout, phase) complex64 to the same, G x - x."""
        return self._multiplied(kspace, self._residual)

    def adjoint(self, kspace: torch.Tensor) -> torch.Tensor:
        """(..., coil, readout, phase) complex64 to the same."""
        return self._multiplied(kspace, self._residual.transpose(-4, -3).flip(-2, -1).conj())

    def normal(self, kspace: torch.Tensor) -> torch.Tensor:
        """adjoint(forward(kspace)), by matrices of its own."""
        return self._multiplied(kspace, self._normal)

    def normal_matrices(self, rows: slice = slice(None)) -> torch.Tensor:
        """(..., y, x, coil, coil) complex64 of `normal` for some rows of the image.

        Rows and columns begin with the middle pixel and go round, as the fast Fourier transform has them.
        """
        return _matrices(self._normal, self.size, rows)

    def largest_eigenvalue(self) -> torch.Tensor:
        """(..., 1, 1, 1, 1) float32, that of `normal`; as good as exact from above."""
        # matrices vary slowly: a grid of a few nodes for each tap misses the largest by a few thousandths
        rows, columns = (
            min(n, _NODES_PER_TAP * taps) for n, taps in zip(self.size, self._normal.shape[-2:], strict=True)
        )
        values = torch.linalg.eigvalsh(_matrices(self._normal, (rows, columns), slice(None)))
        return 1.01 * values.amax((-3, -2, -1))[..., None, None, None, None]

    def _multiplied(self, kspace: torch.Tensor, taps: torch.Tensor) -> torch.Tensor:
        # no shift: a circular convolution does not see where k-space begins
        image = torch.fft.ifft2(kspace).movedim(-3, -1).unsqueeze(-1)
        image = _matrices(taps, self.size, slice(None)) @ image
        return torch.fft.fft2(image.squeeze(-1).movedim(-1, -3))


def _squared(taps: torch.Tensor) -> torch.Tensor:
    """The taps of M^H M, given those of M: correlations of all pairs of kernels, summed over the target coil."""
    rows, columns = taps.shape[-2:]
    padded = torch.fft.fft2(taps, s=(2 * rows - 1, 2 * columns - 1)).movedim((-4, -3), (-2, -1))
    squared = torch.fft.ifft2((padded.mH @ padded).movedim((-2, -1), (-4, -3)))
    return torch.fft.fftshift(squared, dim=(-2, -1))


def _matrices(taps: torch.Tensor, size: tuple[int, int], rows: slice) -> torch.Tensor:
    """(..., coil, coil, n, m) taps to (..., y, x, coil, coil) coil matrices of the pixels."""
    num_rows, num_columns = taps.shape[-2:]
    phase_y = _harmonics(size[0], num_rows, taps.device)[rows]
    phase_x = _harmonics(size[1], num_columns, taps.device)
    by_row = torch.einsum("yp,...abpq->...yqab", phase_y, taps)
    return (phase_x @ by_row.flatten(-2)).unflatten(-1, taps.shape[-4:-2])


def _harmonics(size: int, num_taps: int, device: torch.device) -> torch.Tensor:
    """(pixel, tap) complex64: what a shift of k-space by each tap does to each pixel, the middle one first."""
    taps = torch.arange(num_taps, device=device) - num_taps // 2
    angles = (-2 * math.pi / size) * (torch.arange(size, device=device).double()[:, None] * taps)
    return torch.polar(torch.ones_like(angles), angles).to(torch.complex64)
