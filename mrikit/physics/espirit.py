"""ESPIRiT: coil sensitivity maps from the fully sampled centre of k-space."""

import math

import torch

from mrikit.errors import DataError
from mrikit.physics.eigen import dominant_eigenvectors
from mrikit.physics.strips import map_strips

_NODES_PER_TAP = 8  # of the coarse grid per kernel tap: its coil matrices' exact eigenvectors are good first guesses
_CACHE_BYTES, _DEVICE_BYTES = 2**22, 2**29  # coil matrices held at once, on a CPU and on a GPU


def espirit_maps(
    kspace: torch.Tensor,
    num_center_lines: int,
    *,
    calibration_rows: int = 24,
    kernel_size: int = 6,
    threshold: float = 0.02,
    crop: float = 0.8,
    num_power_iterations: int = 6,
) -> torch.Tensor:
    """Sensitivity maps that every patch of the calibration block agrees with.

    The patches span a space of small kernels; a sensitivity vector is one that this space reproduces, at each pixel the
    dominant eigenvector of a coil-by-coil matrix. Instead of an image per kernel, as in the paper, that matrix is
    evaluated as what it is: a trigonometric polynomial of (2 kernel_size - 1)^2 coefficients.

    Args:
        kspace: (..., coil, readout, phase) complex64; may be undersampled outside its centre.
        num_center_lines: Fully sampled columns in the middle; side of the middle block for a 2-D pattern.
        calibration_rows: Rows of the calibration block, and its columns at most; no more than `num_center_lines` for a
            2-D pattern.
        kernel_size: Side of the patches.
        threshold: Kernels with a singular value below this times the largest are noise; 0.003 at least, where the
            rounding of float32 begins.
        crop: Maps are 0 where the eigenvalue, 1 at most, is below this: no body there.
        num_power_iterations: Power iterations per pixel, after exact eigenvectors on a coarse grid.

    Returns:
        (..., coil, y, x) complex64, root-sum-of-squares 1 inside the body and 0 outside; the phase of the calibration
        block's strongest virtual coil is taken as the image's.

    Raises:
        DataError: The centre is smaller than a patch.

    Source:
        Uecker et al., ESPIRiT - an eigenvalue approach to autocalibrating parallel MRI, MRM 71:990 (2014).
    """
    calibration = _center(kspace, min(calibration_rows, kspace.shape[-2]), min(calibration_rows, num_center_lines))
    smallest = min(calibration.shape[-2:])
    if smallest < kernel_size:
        raise DataError(
            f"espirit needs a fully sampled centre of {kernel_size} or more lines for its kernel of {kernel_size}; "
            f"found {smallest}; a mask with more centre lines would do"
        )
    maps = [
        _maps_one(one, kspace.shape[-2:], kernel_size, threshold, crop, num_power_iterations)
        for one in calibration.to(torch.complex64).reshape(-1, *calibration.shape[-3:])
    ]
    return torch.stack(maps).reshape(kspace.shape)


def _center(kspace: torch.Tensor, num_rows: int, num_columns: int) -> torch.Tensor:
    row = (kspace.shape[-2] - num_rows + 1) // 2
    column = (kspace.shape[-1] - num_columns + 1) // 2
    return kspace[..., row : row + num_rows, column : column + num_columns]


def _maps_one(
    calibration: torch.Tensor,
    size: torch.Size,
    kernel_size: int,
    threshold: float,
    crop: float,
    num_power_iterations: int,
) -> torch.Tensor:
    """(coil, rows, columns) calibration block to (coil, y, x) maps."""
    num_coils = calibration.shape[0]
    coefficients = _autocorrelation(calibration, kernel_size, threshold)
    start = _coarse_eigenvectors(coefficients, size)
    flat = calibration.flatten(1)
    main_coil = torch.linalg.eigh(flat @ flat.mH)[1][:, -1]

    positions = torch.arange(size[0], device=flat.device), torch.arange(size[1], device=flat.device)
    phase_y, phase_x = (_harmonics(at, n, kernel_size) for at, n in zip(positions, size, strict=True))
    rows = phase_y @ coefficients  # (coil, coil, y, x harmonic)
    strip_bytes = _CACHE_BYTES if flat.device.type == "cpu" else _DEVICE_BYTES
    strip_rows = max(1, strip_bytes // (num_coils**2 * size[1] * flat.element_size()))

    def strip(at: slice) -> torch.Tensor:
        vectors, values = dominant_eigenvectors(rows[:, :, at] @ phase_x.mT, start[:, at], num_power_iterations)
        main_phase = torch.sgn((main_coil.conj()[:, None, None] * vectors).sum(0))
        return torch.where(values >= crop, vectors * main_phase.conj(), 0.0)

    return torch.cat(map_strips(strip, size[0], strip_rows, flat.device), dim=1)


def _autocorrelation(calibration: torch.Tensor, kernel_size: int, threshold: float) -> torch.Tensor:
    """The trigonometric coefficients of the pixels' coil matrices.

    Args:
        calibration: (coil, rows, columns) complex64.
        kernel_size: Side k of the patches.
        threshold: Smallest singular value kept, relative to the largest.

    Returns:
        (coil, coil, 2 k - 1, 2 k - 1) complex64; entry d belongs to the harmonic d - (k - 1).
    """
    num_coils, k = calibration.shape[0], kernel_size
    patches = calibration.unfold(1, k, 1).unfold(2, k, 1)  # (coil, row, column, k, k)
    patches = patches.permute(1, 2, 0, 3, 4).reshape(-1, num_coils * k * k)
    energies, kernels = torch.linalg.eigh(patches.mT @ patches.conj())
    kernels = kernels[:, energies > threshold**2 * energies[-1]]
    projector = (kernels @ kernels.mH / k**2).reshape(num_coils, k, k, num_coils, k, k)
    # a product of two kernels' harmonics depends on the difference of their positions only: sum equal differences
    taps = torch.arange(k, device=calibration.device)
    difference = taps[:, None] - taps + k - 1
    index = difference[:, None, :, None] * (2 * k - 1) + difference[None, :, None, :]  # (k, k, k, k): y, x, y', x'
    projector = projector.permute(0, 3, 1, 2, 4, 5).reshape(num_coils, num_coils, -1)
    sums = projector.new_zeros(num_coils, num_coils, (2 * k - 1) ** 2).index_add(2, index.flatten(), projector)
    return sums.unflatten(-1, (2 * k - 1, 2 * k - 1))


def _harmonics(positions: torch.Tensor, size: int, kernel_size: int) -> torch.Tensor:
    """(position, 2 kernel_size - 1) complex64 harmonics of the field of view at these pixels."""
    orders = torch.arange(-kernel_size + 1, kernel_size, device=positions.device)
    angles = (2 * math.pi / size) * (positions.double()[:, None] - size // 2) * orders
    return torch.polar(torch.ones_like(angles), angles).to(torch.complex64)


def _coarse_eigenvectors(coefficients: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Exact dominant eigenvectors on a coarse grid, interpolated to (coil, y, x)."""
    kernel_size = (coefficients.shape[-1] + 1) // 2
    grids = [torch.linspace(0, n - 1, min(n, _NODES_PER_TAP * kernel_size), device=coefficients.device) for n in size]
    phase_y, phase_x = (_harmonics(at, n, kernel_size) for at, n in zip(grids, size, strict=True))
    matrices = phase_y @ coefficients @ phase_x.mT
    vectors = torch.linalg.eigh(matrices.permute(2, 3, 0, 1))[1][..., -1].permute(2, 0, 1)
    return _interpolate(_interpolate(vectors, 2, size[1]), 1, size[0])


def _interpolate(vectors: torch.Tensor, dim: int, size: int) -> torch.Tensor:
    """Linear along one axis between neighbours turned to the same phase: eigenvectors have none of their own."""
    num_nodes = vectors.shape[dim]
    position = torch.linspace(0, num_nodes - 1, size, device=vectors.device)
    left = position.long().clamp(max=max(num_nodes - 2, 0))
    right = (left + 1).clamp(max=num_nodes - 1)
    weight = (position - left).reshape(-1, *[1] * (vectors.ndim - 1 - dim))
    before, after = vectors.index_select(dim, left), vectors.index_select(dim, right)
    aligned = after * torch.sgn((after.conj() * before).sum(0))
    return torch.lerp(before, aligned, weight.to(before.dtype))
