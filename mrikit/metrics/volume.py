"""MSE, NMSE, PSNR and SSIM of whole volumes, as `fastmri.evaluate` defines them."""

import math
from dataclasses import dataclass

import torch

from mrikit.errors import DataError
from mrikit.metrics.ssim import ssim


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeMetrics:
    """How near one volume is to its reference."""

    mse: float
    """Mean squared error, in the squared scale of the data."""
    nmse: float
    """Squared error over squared reference."""
    psnr: float
    """Peak signal to noise ratio against the maximum of the reference volume, dB; infinite for equal volumes."""
    ssim: float
    """Mean of `slice_ssim`."""
    slice_ssim: tuple[float, ...]
    """SSIM of each slice, its data range the maximum of the reference volume."""


def measure_volume(image: torch.Tensor, reference: torch.Tensor) -> VolumeMetrics:
    """Everything at once, faster than one by one.

    Args:
        image: (slice, y, x) float; half precision is computed in float32.
        reference: (slice, y, x) float, same scale.

    Raises:
        DataError: The shapes differ or a side is shorter than the SSIM window.
    """
    peak = float(reference.amax())
    slice_ssim = ssim(image, reference, peak).tolist()
    squared_error, squared_reference = _energy(image, reference), _energy(reference)
    mean_squared = squared_error / image.numel()
    return VolumeMetrics(
        mse=mean_squared,
        nmse=_ratio(squared_error, squared_reference),
        psnr=_decibel(mean_squared, peak),
        ssim=math.fsum(slice_ssim) / len(slice_ssim),
        slice_ssim=tuple(slice_ssim),
    )


def mse(image: torch.Tensor, reference: torch.Tensor) -> float:
    """Mean squared error of a volume.

    Args:
        image: (slice, y, x) float.
        reference: (slice, y, x) float, same scale.

    Raises:
        DataError: The shapes differ.
    """
    return _energy(image, reference) / image.numel()


def nmse(image: torch.Tensor, reference: torch.Tensor) -> float:
    """Squared error over squared reference; against a reference of zeros 0 if equal and infinite if not.

    Args:
        image: (slice, y, x) float.
        reference: (slice, y, x) float, same scale.

    Raises:
        DataError: The shapes differ.
    """
    return _ratio(_energy(image, reference), _energy(reference))


def psnr(image: torch.Tensor, reference: torch.Tensor, data_range: float | None = None) -> float:
    """Peak signal to noise ratio of a volume, dB.

    Infinite for equal volumes, minus infinite for any error against a data range of zero.

    Args:
        image: (slice, y, x) float.
        reference: (slice, y, x) float, same scale.
        data_range: Peak value; the maximum of the reference if None.

    Raises:
        DataError: The shapes differ.
    """
    peak = float(reference.amax()) if data_range is None else data_range
    return _decibel(mse(image, reference), peak)


def _energy(image: torch.Tensor, reference: torch.Tensor | None = None) -> float:
    """Sum of squares of an image or of its difference from a reference; slice by slice, to stay in cache."""
    # Summed in pairs, which a norm is not: a float32 norm of a slice is wrong in the fifth digit.
    if reference is None:
        return math.fsum(float(_single(part).square().sum()) for part in image)
    if image.shape != reference.shape:
        found = f"{tuple(image.shape)} and {tuple(reference.shape)}"
        raise DataError(f"only volumes of one shape can be compared; found {found}")
    pairs = zip(image, reference, strict=True)
    return math.fsum(float((_single(a) - _single(b)).square_().sum()) for a, b in pairs)


def _single(image: torch.Tensor) -> torch.Tensor:
    """The image in a dtype that can hold squares: half precision as float32."""
    return image.to(torch.promote_types(image.dtype, torch.float32))


def _ratio(squared_error: float, squared_reference: float) -> float:
    if squared_reference == 0:
        return 0.0 if squared_error == 0 else math.inf
    return squared_error / squared_reference


def _decibel(mean_squared: float, peak: float) -> float:
    if mean_squared == 0:
        return math.inf
    if peak <= 0:
        return -math.inf
    return 20 * math.log10(peak) - 10 * math.log10(mean_squared)
