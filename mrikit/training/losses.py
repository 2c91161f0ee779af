"""Losses by name: what a network put out and the example it was given, to one number for each slice."""

from collections.abc import Callable, Sequence

import torch

from mrikit.data import Example, center_crop
from mrikit.errors import DataError
from mrikit.metrics import BODY_THRESHOLDS, body_mask, slice_ssim_loss

Loss = Callable[[torch.Tensor, Example], torch.Tensor]
"""(batch, y, x) float32 of the full field of view, and its example with a reference, to (batch,) float32."""


def ssim_loss(output: torch.Tensor, example: Example) -> torch.Tensor:
    """1 - SSIM of each slice in the scored window, its data range the maximum of the volume.

    Args:
        output: (batch, y, x) float32, full field of view, in the scale of the data.
        example: Its `reference` and `data_range` are needed.

    Returns:
        (batch,) float32, 0 for equal images.
    """
    return slice_ssim_loss(*_scored(output, example))


def l1_loss(output: torch.Tensor, example: Example) -> torch.Tensor:
    """Mean absolute difference of each slice in the scored window, in units of the maximum of its volume.

    A volume of zeros counts as one of maximum 1. Arguments and result as for `ssim_loss`.
    """
    image, reference, data_range = _scored(output, example)
    return (image - reference).abs().mean((-2, -1)) / torch.where(data_range > 0, data_range, 1.0)


def ssim_body_loss(output: torch.Tensor, example: Example) -> torch.Tensor:
    """1 - SSIM of each slice of output and reference times the reference's body mask, as the SNU leaderboard scores.

    The thresholds of the mask are intensities in the scale of fastMRI's and the challenge's files. Where nothing of a
    slice is above them, because it lies beside the body or because the data have another scale, the published loss is
    0 whatever the network puts out; here such a slice counts whole, as in `ssim_loss`. Data far brighter than that
    scale have masks that cover all of the image, and so count whole too.

    Arguments and result as for `ssim_loss`.

    Raises:
        DataError: The anatomy of a volume is unknown or has no threshold.
    """
    image, reference, data_range = _scored(output, example)
    mask = scored_body(reference, example.volume_ids, example.anatomies)
    return slice_ssim_loss(image * mask, reference * mask, data_range)


LOSSES: dict[str, Loss] = {"ssim": ssim_loss, "l1": l1_loss, "ssim_body": ssim_body_loss}
"""Name to function (output, example) -> (batch,)."""


def _scored(output: torch.Tensor, example: Example) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Image and reference (batch, y, x) in the scored window, and their data range (batch,)."""
    assert example.reference is not None  # examples for training have both
    assert example.data_range is not None
    return center_crop(output, example.crop), example.reference, example.data_range


def scored_body(reference: torch.Tensor, volume_ids: Sequence[str], anatomies: Sequence[str | None]) -> torch.Tensor:
    """(batch, y, x) bool, the body of each slice; all of a slice in which nothing is bright enough.

    Args:
        reference: (batch, y, x) float32.
        volume_ids: Of each slice, for messages.
        anatomies: What each slice shows.

    Raises:
        DataError: The anatomy of a volume is unknown or has no threshold.
    """
    mask = body_mask(reference, torch.tensor(_thresholds(volume_ids, anatomies)))
    has_no_body = reference.flatten(1).any(1) & ~mask.flatten(1).any(1)
    return mask | has_no_body[:, None, None]


def _thresholds(volume_ids: Sequence[str], anatomies: Sequence[str | None]) -> list[float]:
    for volume_id, anatomy in zip(volume_ids, anatomies, strict=True):
        if anatomy not in BODY_THRESHOLDS:
            known = " and ".join(BODY_THRESHOLDS)
            raise DataError(
                f"{volume_id}: SSIM inside the body needs a body mask, which is known for {known}; found anatomy "
                f"{anatomy or 'unknown'}; choose --set training.loss=ssim and data.validation_score=ssim"
            )
    return [BODY_THRESHOLDS[anatomy] for anatomy in anatomies if anatomy is not None]
