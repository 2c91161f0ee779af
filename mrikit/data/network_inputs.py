"""What a network is given of an Example, as its authors gave it."""

from dataclasses import replace

import torch

from mrikit.data.example import Example
from mrikit.data.window import scored_window
from mrikit.masks import LEARNED_KIND, MASK_KINDS, Mask
from mrikit.physics.crop import center_crop
from mrikit.physics.fft import fft2c, ifft2c
from mrikit.volumes import ScanInfo


def network_inputs(example: Example, *, crops_before: bool = False) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Masked k-space, mask and number of centre lines, as models take them.

    Args:
        example: Slices of the full field of view.
        crops_before: Whether k-space is that of the window `example.crop`, which no longer fits the mask.
    """
    kspace = example.masked_kspace
    if crops_before:
        kspace = fft2c(center_crop(ifft2c(kspace), example.crop))
    return kspace, example.mask, example.num_center_lines


def window_before(info: ScanInfo) -> tuple[int, int]:
    """(y, x) window that fastMRI crops to before its U-Net: the scored one, or a square if the image is narrower."""
    height, width = scored_window(info)
    return (min(height, width), width) if info.matrix[1] < info.recon_matrix[1] else (height, width)


def in_window(example: Example, window: tuple[int, int]) -> Example:
    """The same slices with a smaller scored window."""
    reference = None if example.reference is None else center_crop(example.reference, window)
    return replace(example, crop=window, reference=reference)


def with_uncounted_center(mask: Mask) -> Mask:
    """The same mask with the number of its centre lines unknown, unless it was drawn here or has no gaps."""
    is_known = mask.kind in MASK_KINDS or mask.kind in ("full", LEARNED_KIND)
    return mask if is_known else replace(mask, num_center_lines=0)
