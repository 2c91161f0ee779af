"""Losses by name: images and references to one number for each slice."""

from collections.abc import Callable

import torch

from mrikit.metrics import slice_ssim_loss

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def l1_loss(image: torch.Tensor, reference: torch.Tensor, data_range: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of each slice in units of the data range.

    Args:
        image: (batch, y, x) float32, any scale.
        reference: (batch, y, x) float32, same scale.
        data_range: (batch,) float32, maximum of the volume; a volume of zeros counts as 1.

    Returns:
        (batch,) float32.
    """
    return (image - reference).abs().mean((-2, -1)) / torch.where(data_range > 0, data_range, 1.0)


LOSSES: dict[str, Loss] = {"ssim": slice_ssim_loss, "l1": l1_loss}
"""Name to function (image, reference, data_range) -> (batch,)."""
