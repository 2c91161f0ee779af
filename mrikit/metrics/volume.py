"""MSE, NMSE, PSNR and SSIM of whole volumes, as `fastmri.evaluate` defines them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mrikit.errors import DataError
from mrikit.metrics.body import crop_to_body
from mrikit.metrics.ssim import WINDOW, slice_ssim_loss, ssim, ssim_map

# Masked slices are taken a few at a time: they stay in the processor's cache, and neighbours have bodies of one size.
_PIXELS_AT_A_TIME = 2**19


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
    slice_ssim: tuple[float | None, ...]
    """SSIM of each slice, its data range the maximum of the reference volume; None for a slice that does not count."""


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
    return _measured(slice_ssim, _energy(image, reference), _energy(reference), peak, image.numel())


def measure_masked(
    image: torch.Tensor, reference: torch.Tensor, mask: torch.Tensor, data_range: float, *, is_inside: bool = False
) -> VolumeMetrics:
    """Everything of image and reference times the mask, as the leaderboard of the SNU challenge defines its SSIM.

    Pixels and windows outside the mask count too, as equal ones, unless the SSIM is that inside.

    Args:
        image: (slice, y, x) float; half precision is computed in float32.
        reference: (slice, y, x) float, same scale.
        mask: (slice, y, x) bool, of `body_mask`.
        data_range: The maximum that the file of the reference names, for SSIM and PSNR.
        is_inside: Whether the SSIM of a slice is the mean over windows whose middle lies in the mask, as the challenge
            has it since 2026; a slice that has none does not count.

    Raises:
        DataError: The shapes differ, a side is shorter than the SSIM window, or no slice counts.
    """
    if not image.shape == reference.shape == mask.shape or min(image.shape[1:]) < WINDOW:
        found = f"{tuple(image.shape)}, {tuple(reference.shape)} and {tuple(mask.shape)}"
        raise DataError(f"two images and a mask need one shape (slice, y, x), sides at least {WINDOW}; found {found}")
    slice_ssim: list[float | None] = []
    squared_error, squared_reference = [], []
    at_a_time = len(image) if image.device.type == "cuda" else max(1, _PIXELS_AT_A_TIME // mask[0].numel())
    for start in range(0, len(image), at_a_time):
        part = slice(start, start + at_a_time)
        body, body_reference = crop_to_body(mask[part], image[part], reference[part])
        if is_inside:
            (counted,) = crop_to_body(mask[part], mask[part])
            slice_ssim += _ssim_inside(body, body_reference, counted, data_range)
        else:
            share = _num_windows(body) / _num_windows(image)
            slice_ssim += (1 - slice_ssim_loss(body, body_reference, data_range) * share).tolist()
        squared_error.append(_energy(body, body_reference))
        squared_reference.append(_energy(body_reference))
    return _measured(slice_ssim, math.fsum(squared_error), math.fsum(squared_reference), data_range, image.numel())


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


def _ssim_inside(
    body: torch.Tensor, body_reference: torch.Tensor, mask: torch.Tensor, data_range: float
) -> list[float | None]:
    """SSIM of each slice over the pixels of the mask that are the middle of a window; None without such a pixel."""
    rim = WINDOW // 2
    middles = mask[:, rim:-rim, rim:-rim]
    counts = middles.sum((1, 2), dtype=torch.int64).tolist()
    sums = (ssim_map(body, body_reference, data_range).double() * middles).sum((1, 2)).tolist()
    return [total / count if count else None for total, count in zip(sums, counts, strict=True)]


def _num_windows(image: torch.Tensor) -> int:
    """SSIM windows in one slice."""
    height, width = image.shape[1:]
    return (height - WINDOW + 1) * (width - WINDOW + 1)


def _measured(
    slice_ssim: Sequence[float | None], squared_error: float, squared_reference: float, peak: float, num_pixels: int
) -> VolumeMetrics:
    counted = [value for value in slice_ssim if value is not None]
    if not counted:
        raise DataError("no slice has a pixel of the mask that is the middle of an SSIM window; use --scorer fastmri")
    mean_squared = squared_error / num_pixels
    return VolumeMetrics(
        mse=mean_squared,
        nmse=_ratio(squared_error, squared_reference),
        psnr=_decibel(mean_squared, peak),
        ssim=math.fsum(counted) / len(counted),
        slice_ssim=tuple(slice_ssim),
    )


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
