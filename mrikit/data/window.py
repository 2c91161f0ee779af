"""The scored window: the middle part of the field of view that is compared with the reference."""

import torch

from mrikit.errors import DataError
from mrikit.volumes import ScanInfo


def scored_window(info: ScanInfo) -> tuple[int, int]:
    """(y, x) size that is scored: the reconstruction matrix, or the field of view where that is smaller."""
    height, width = (min(recon, full) for recon, full in zip(info.recon_matrix, info.matrix, strict=True))
    return height, width


def center_crop(image: torch.Tensor, window: tuple[int, int]) -> torch.Tensor:
    """The middle of (..., y, x) images; the first row and column are (n - window) // 2.

    Raises:
        DataError: The window is larger than the image.
    """
    starts = [(size - wanted) // 2 for size, wanted in zip(image.shape[-2:], window, strict=True)]
    if min(starts) < 0:
        raise DataError(f"cannot crop {window} from an image of {tuple(image.shape[-2:])}; choose a smaller window")
    return image[..., starts[0] : starts[0] + window[0], starts[1] : starts[1] + window[1]]
