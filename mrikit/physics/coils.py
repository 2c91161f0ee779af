"""What the receiver coils do to an image: combining, compressing and whitening their signals."""

import torch

from mrikit.errors import ConfigError, DataError
from mrikit.physics.eigen import dominant_eigenvectors
from mrikit.physics.strips import map_strips

_CACHE_BYTES, _DEVICE_BYTES = 2**22, 2**28  # coil covariances held at once, on a CPU and on a GPU


def rss(image: torch.Tensor, dim: int = -3) -> torch.Tensor:
    """Root of the sum of squares over the coils.

    Its gradient where all coils are zero is 0, where sqrt(sum x^2) written out gives NaN.

    Args:
        image: (..., coil, y, x) complex64 or float32.
        dim: The coil axis.

    Returns:
        (..., y, x) float32, in the scale of the data.
    """
    energy = torch.linalg.vecdot(image, image, dim=dim).real  # a tenth of the time of torch's vector_norm
    is_bright = energy > 0
    return torch.where(is_bright, torch.where(is_bright, energy, 1.0).sqrt(), 0.0)


def combine(coil_images: torch.Tensor, sens_maps: torch.Tensor) -> torch.Tensor:
    """The image that explains all coils best, where the maps have root-sum-of-squares 1.

    Args:
        coil_images: (..., coil, y, x) complex64.
        sens_maps: (..., coil, y, x) complex64, RSS 1 inside the body.

    Returns:
        (..., y, x) complex64.
    """
    return torch.linalg.vecdot(sens_maps, coil_images, dim=-3)


def adaptive_combine(coil_images: torch.Tensor, block_size: int = 7, num_iterations: int = 8) -> torch.Tensor:
    """Combine coils without maps: each pixel's weights are the main direction of the coil signals around it.

    Args:
        coil_images: (..., coil, y, x) complex64.
        block_size: Side of the square neighbourhood, pixels, odd.
        num_iterations: Power iterations per pixel.

    Returns:
        (..., y, x) complex64 with about the magnitude of the root-sum-of-squares and the phase of the strongest coil.

    Raises:
        ConfigError: The block has no middle.

    Source:
        Walsh et al., Adaptive reconstruction of phased array MR imagery, MRM 43:682 (2000), with white noise.
    """
    if block_size < 1 or block_size % 2 == 0:
        raise ConfigError(f"adaptive_combine: a block of {block_size} pixels has no middle; an odd size would do")
    batch = coil_images.shape[:-3]
    combined = [
        _adaptive_combine_one(one, block_size, num_iterations)
        for one in coil_images.to(torch.complex64).reshape(-1, *coil_images.shape[-3:])
    ]
    return torch.stack(combined).reshape(*batch, *coil_images.shape[-2:])


def compress_coils(kspace: torch.Tensor, num_coils: int, calibration: torch.Tensor | None = None) -> torch.Tensor:
    """The few virtual coils that keep most of the signal energy.

    Each batch element has its own matrix: the leading left singular vectors of its (coil, sample) matrix.

    Args:
        kspace: (..., coil, readout, phase) complex64.
        num_coils: Virtual coils to keep.
        calibration: (..., coil, readout, phase) k-space to find the directions in, such as the centre; all of `kspace`
            if None.

    Returns:
        (..., num_coils, readout, phase) complex64, strongest virtual coil first; unsampled entries stay +0.0.

    Raises:
        ConfigError: More coils are asked for than there are.
    """
    if not 1 <= num_coils <= kspace.shape[-3]:
        raise ConfigError(
            f"compress_coils: cannot make {num_coils} virtual coils of {kspace.shape[-3]}; "
            f"1 to {kspace.shape[-3]} would do"
        )
    samples = (kspace if calibration is None else calibration).flatten(-2)
    _, directions = torch.linalg.eigh(samples @ samples.mH)  # ascending: the strongest are last
    matrix = directions[..., -num_coils:].flip(-1).mH
    return _mix_coils(kspace, matrix)


def whitening_matrix(noise: torch.Tensor) -> torch.Tensor:
    """The matrix that makes coil noise white, from a scan without signal.

    Args:
        noise: (..., coil, sample) complex64, zero mean.

    Returns:
        (..., coil, coil) complex64 lower triangular W = L^-1 with L L^H the noise covariance; after `whiten` the
        noise n of each coil has E|n|^2 = 1 (1/2 in the real and 1/2 in the imaginary part) and no correlation with any
        other coil.

    Raises:
        DataError: The covariance cannot be inverted.
    """
    num_coils, num_samples = noise.shape[-2:]
    noise = noise.to(torch.complex128)
    covariance = noise @ noise.mH / num_samples
    factor, failure = torch.linalg.cholesky_ex(covariance)
    if num_samples < num_coils or bool(failure.any()) or not bool(torch.isfinite(factor).all()):
        raise DataError(
            f"the noise covariance of {num_coils} coils cannot be inverted; found {num_samples} samples, "
            f"{_count_dead(covariance)} coils without noise; more samples (1000 or more) of live coils would do"
        )
    identity = torch.eye(num_coils, dtype=factor.dtype, device=factor.device)
    return torch.linalg.solve_triangular(factor, identity.expand_as(factor), upper=False).to(torch.complex64)


def whiten(kspace: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Apply a whitening matrix to the coils.

    Args:
        kspace: (..., coil, readout, phase) complex64.
        matrix: (..., coil, coil) complex64 from `whitening_matrix`.

    Returns:
        (..., coil, readout, phase) complex64, in units of the noise's standard deviation.
    """
    return _mix_coils(kspace, matrix)


def _mix_coils(kspace: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    return (matrix @ kspace.flatten(-2)).unflatten(-1, kspace.shape[-2:]) + 0.0  # never -0.0 where unsampled


def _count_dead(covariance: torch.Tensor) -> int:
    return int((covariance.diagonal(dim1=-2, dim2=-1).abs() == 0).sum())


def _adaptive_combine_one(coil_images: torch.Tensor, block_size: int, num_iterations: int) -> torch.Tensor:
    """(coil, y, x) to (y, x), in strips of rows that overlap by the neighbourhood."""
    num_coils, num_rows, num_columns = coil_images.shape
    margin = block_size // 2
    padded = torch.nn.functional.pad(coil_images, (margin, margin, margin, margin))
    strongest = int(coil_images.abs().square().sum((-2, -1)).argmax())
    strip_bytes = _CACHE_BYTES if coil_images.device.type == "cpu" else _DEVICE_BYTES
    row_bytes = num_coils**2 * num_columns * coil_images.element_size()
    strip_rows = max(1, strip_bytes // row_bytes)
    floor = 1e-3 * coil_images.abs().amax().clamp(min=1e-30)  # the pixel itself is a good first guess, unless it is 0

    def strip(rows: slice) -> torch.Tensor:
        around = padded[:, rows.start : rows.stop + 2 * margin]
        covariance = _box_sum(around.unsqueeze(1) * around.conj().unsqueeze(0), block_size)
        inside = coil_images[:, rows]
        weights, _ = dominant_eigenvectors(covariance, inside + floor, num_iterations=num_iterations)
        return (weights.conj() * inside).sum(0) * torch.sgn(weights[strongest])

    return torch.cat(map_strips(strip, num_rows, strip_rows, coil_images.device))


def _box_sum(images: torch.Tensor, block_size: int) -> torch.Tensor:
    """(a, b, y, x) complex to sums over block_size x block_size neighbourhoods, without the borders."""
    parts = torch.view_as_real(images).movedim(-1, 0).flatten(0, 2)
    sums = torch.nn.functional.avg_pool2d(parts, block_size, stride=1, divisor_override=1)
    return torch.complex(*sums.unflatten(0, (2, *images.shape[:2])))
