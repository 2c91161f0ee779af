"""Structural similarity with a uniform 7 x 7 window as fastMRI and scikit-image define it, for loss and score."""

import torch

from mrikit.errors import DataError

WINDOW = 7
_K1, _K2 = 0.01, 0.03
_NUM_PIXELS = WINDOW * WINDOW
_SMALLEST_RANGE = 1e-15
# Slices are taken a few at a time so that what is computed of them stays in the processor's cache.
_PIXELS_AT_A_TIME = 2**18


def ssim_loss(image: torch.Tensor, reference: torch.Tensor, data_range: float | torch.Tensor) -> torch.Tensor:
    """1 - mean SSIM, for training; its gradient is finite everywhere.

    Args:
        image: (batch, y, x) float, any scale.
        reference: (batch, y, x) float, same scale.
        data_range: Scalar or (batch,), largest minus smallest possible value, usually the maximum of the volume.

    Returns:
        Scalar loss, 0 for equal images.
    """
    return slice_ssim_loss(image, reference, data_range).mean()


def slice_ssim_loss(image: torch.Tensor, reference: torch.Tensor, data_range: float | torch.Tensor) -> torch.Tensor:
    """1 - SSIM of each slice, for training; `ssim_loss` is its mean.

    Args:
        image: (batch, y, x) float, any scale.
        reference: (batch, y, x) float, same scale.
        data_range: As for `ssim_loss`.

    Returns:
        (batch,) float, 0 for equal images.
    """
    return 2 * _mean_half_dissimilarity(image, reference, data_range)


def ssim(image: torch.Tensor, reference: torch.Tensor, data_range: float | torch.Tensor) -> torch.Tensor:
    """Mean SSIM of each slice.

    Args:
        image: (slice, y, x) float, any scale; half precision is computed in float32.
        reference: (slice, y, x) float, same scale.
        data_range: Scalar or (slice,), largest minus smallest possible value. Below 1e-15 it counts as 1e-15: two
            images of zeros score 1, anything against a reference of zeros about 0.

    Returns:
        (slice,) float, 1 for equal images.

    Raises:
        DataError: The shapes differ or a side is shorter than the window.
    """
    return 1 - 2 * _mean_half_dissimilarity(image, reference, data_range)


def ssim_map(image: torch.Tensor, reference: torch.Tensor, data_range: float | torch.Tensor) -> torch.Tensor:
    """SSIM of every pixel whose window lies inside the image.

    Args:
        image: (slice, y, x) float, any scale.
        reference: (slice, y, x) float, same scale.
        data_range: As for `ssim`.

    Returns:
        (slice, y - 6, x - 6) float, 1 where the windows are equal.

    Raises:
        DataError: The shapes differ or a side is shorter than the window.
    """
    return 1 - 2 * _half_dissimilarity(*_checked(image, reference, data_range))


def _mean_half_dissimilarity(
    image: torch.Tensor, reference: torch.Tensor, data_range: float | torch.Tensor
) -> torch.Tensor:
    """(slice,) mean of (1 - SSIM) / 2, which keeps the digits that 1 - SSIM would lose where the images agree."""
    image, reference, ranges = _checked(image, reference, data_range)
    at_a_time = len(image)
    if image.device.type == "cpu":
        at_a_time = max(1, _PIXELS_AT_A_TIME // image[0].numel())
    means = [
        _half_dissimilarity(image[part], reference[part], ranges[part]).mean((-2, -1))
        for part in (slice(start, start + at_a_time) for start in range(0, len(image), at_a_time))
    ]
    return torch.cat(means)


def _half_dissimilarity(image: torch.Tensor, reference: torch.Tensor, data_range: torch.Tensor) -> torch.Tensor:
    """(1 - SSIM) / 2 of every window.

    With d = image - reference and s = image + reference the two factors of SSIM are
    1 - 2 mean(d)^2 / (mean(d)^2 + mean(s)^2 + 2 C1) and 1 - 2 var(d) / (var(d) + var(s) + 2 C2). This needs the same
    four window sums as the usual form, and no difference of nearly equal numbers decides how far the score is from 1.

    Source:
        Wang et al., Image quality assessment, IEEE TIP 13:600 (2004), eq. 13; window and covariance as scikit-image.
    """
    difference, total = image - reference, image + reference
    # Variance does not depend on an offset, but rounding does; the mean of each slice is taken out and put back.
    offset = total.detach().mean((-2, -1), keepdim=True)
    total.sub_(offset)
    # In units of window sums: squared sums carry 49^2, sums of squares minus squared sums / 49 carry 48 (sample).
    squared_range = data_range.square()[:, None, None]
    luminance_floor = 2 * _NUM_PIXELS**2 * _K1**2 * squared_range
    contrast_floor = 2 * (_NUM_PIXELS - 1) * _K2**2 * squared_range

    mean_d, sum_s = _window_sum(difference).square(), _window_sum(total)
    # Rounding may leave a flat window a variance just below zero.
    var_d = _window_sum(difference.square()).sub_(mean_d, alpha=1 / _NUM_PIXELS).clamp_(min=0)
    var_s = _window_sum(total.square()).sub_(sum_s.square(), alpha=1 / _NUM_PIXELS).clamp_(min=0)
    mean_s = (sum_s + _NUM_PIXELS * offset).square()
    luminance = mean_d / (mean_d + mean_s).add_(luminance_floor)
    contrast = var_d / (var_d + var_s).add_(contrast_floor)
    return (luminance + contrast).addcmul_(luminance, contrast, value=-2)


def _window_sum(image: torch.Tensor) -> torch.Tensor:
    """(..., y, x) to (..., y - 6, x - 6): sum over each 7 x 7 window."""
    return image.unfold(-2, WINDOW, 1).sum(-1).unfold(-1, WINDOW, 1).sum(-1)


def _checked(
    image: torch.Tensor, reference: torch.Tensor, data_range: float | torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Both images in a dtype that can hold squares, and the data range as (slice,)."""
    if image.shape != reference.shape or image.ndim != 3 or min(image.shape[1:]) < WINDOW or len(image) == 0:
        found = f"{tuple(image.shape)} and {tuple(reference.shape)}"
        raise DataError(f"SSIM compares two images of one shape (slice, y, x), sides at least {WINDOW}; found {found}")
    dtype = torch.promote_types(torch.promote_types(image.dtype, reference.dtype), torch.float32)
    ranges = torch.as_tensor(data_range, dtype=dtype, device=image.device).clamp(min=_SMALLEST_RANGE)
    return image.to(dtype), reference.to(dtype), ranges.expand(len(image))
