"""Losses by name: what a network put out and the example it was given, to one number for each slice."""

import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import torch

from mrikit.data import Example, SliceFacts, center_crop
from mrikit.errors import ConfigError, DataError
from mrikit.metrics import BODY_THRESHOLDS, body_mask, kspace_nmse, slice_ssim_loss
from mrikit.models import cvpr19_losses
from mrikit.models.output import Output, image_of

Loss = Callable[[torch.Tensor, Example], torch.Tensor]
"""What a network put out, an image (batch, y, x) float32 of the full field of view or k-space, and its example with
what it is compared with, to (batch,) float32."""


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
    mask = scored_body(reference, example.facts)
    return slice_ssim_loss(image * mask, reference * mask, data_range)


def kspace_nmse_loss(kspace: torch.Tensor, example: Example) -> torch.Tensor:
    """Energy of the error of k-space over the energy of full k-space, of each slice.

    Args:
        kspace: (batch, coil, readout, phase) complex64 that a network filled.
        example: Its `full_kspace` is needed.

    Returns:
        (batch,) float32, 0 for equal k-space, 1 for zeros.

    Raises:
        DataError: Full k-space has another number of coils.
    """
    assert example.full_kspace is not None  # objectives ask for it where this loss is in use
    return kspace_nmse(kspace, example.full_kspace)


def uncertainty_loss(output: Output, example: Example) -> torch.Tensor:
    """Negative log-likelihood of the scored window if errors are normal, in units of the maximum of the volume.

    Args:
        output: Its extra `log_variance` says how far the image may be wrong.
        example: Its `reference` and `data_range` are needed.

    Returns:
        (batch,) float32, the mean over pixels; below 0 where variances are small.
    """
    image, reference, data_range = _scored(image_of(output), example)
    log_variance = center_crop(output.extras["log_variance"], example.crop)
    unit = torch.where(data_range > 0, data_range, 1.0)[:, None, None]
    return cvpr19_losses.uncertainty_loss(image, log_variance, reference, unit).mean((-2, -1))


CROSS_ENTROPY = "cross_entropy"
"""The loss of classes, which no other goes with."""
LOSSES: dict[str, Loss] = {"ssim": ssim_loss, "l1": l1_loss, "ssim_body": ssim_body_loss}
"""Name to function (image, example) -> (batch,)."""
KSPACE_LOSSES: dict[str, Loss] = {"kspace_nmse": kspace_nmse_loss}
"""Name to function (k-space, example) -> (batch,), for networks that fill k-space."""
UNCERTAINTY = "uncertainty"
"""The loss of networks that tell how far each pixel may be wrong."""
_TERMS = (*LOSSES, *KSPACE_LOSSES, UNCERTAINTY)


class Losses(NamedTuple):
    """What a micro-batch is trained with."""

    total: torch.Tensor
    """(batch,) float32, whose sum is minimised."""
    terms: Mapping[str, torch.Tensor]
    """(batch,) float32 of each term by name, without its weight."""
    numbers: Mapping[str, torch.Tensor] = MappingProxyType({})
    """(batch,) float32 by name of what else is worth a look; NaN for a slice that it does not concern."""


def parse_loss(words: str) -> tuple[tuple[float, str], ...]:
    """Weights and names of a loss in words, such as `ssim + 0.01 l1`; a term without a number has weight 1.

    Raises:
        ConfigError: A term that is not known or stands twice, or a weight that is no number above 0.
    """
    terms: list[tuple[float, str]] = []
    for part in re.split(r"(?<!\d[eE])\+", words):
        *weight, name = part.replace("*", " ").split() or [""]
        if name not in _TERMS:
            known = ", ".join(_TERMS)
            raise ConfigError(f"training.loss: no term is called {name!r}, known: {known}; try 'ssim + 0.01 l1'")
        if any(name == known for _, known in terms):
            raise ConfigError(f"training.loss: {name} stands twice in {words!r}; give it one weight")
        terms.append((_weight(weight, words), name))
    return tuple(terms)


def needs_kspace(words: str) -> bool:
    """Whether a loss in words has a term that compares k-space."""
    return words != CROSS_ENTROPY and any(name in KSPACE_LOSSES for _, name in parse_loss(words))


def needs_uncertainty(words: str) -> bool:
    """Whether a loss in words has a term that compares errors with what a network says of them."""
    return words != CROSS_ENTROPY and any(name == UNCERTAINTY for _, name in parse_loss(words))


def composed_loss(words: str) -> Callable[[Output, Example], Losses]:
    """The weighted sum of the terms of a loss in words, see `parse_loss`."""
    parsed = parse_loss(words)

    def term(name: str, output: Output, example: Example) -> torch.Tensor:
        if name == UNCERTAINTY:
            return uncertainty_loss(output, example)
        losses, found = (KSPACE_LOSSES, output.kspace) if name in KSPACE_LOSSES else (LOSSES, output.image)
        assert found is not None  # runs with networks that do not give it are refused
        return losses[name](found, example)

    def losses(output: Output, example: Example) -> Losses:
        terms = {name: term(name, output, example) for _, name in parsed}
        # A weight of 1 costs no rounding: a single term is itself to the last bit.
        weighted = [terms[name] if weight == 1 else weight * terms[name] for weight, name in parsed]
        return Losses(functools.reduce(torch.add, weighted), terms)

    return losses


def _weight(words: Sequence[str], loss: str) -> float:
    try:
        (weight,) = map(float, words or ["1"])
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise ConfigError(f"training.loss: {loss!r} has a weight that is no number above 0, found {' '.join(words)!r}")
    return weight


def _scored(output: torch.Tensor, example: Example) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Image and reference (batch, y, x) in the scored window, and their data range (batch,)."""
    assert example.reference is not None  # examples for training have both
    assert example.data_range is not None
    return center_crop(output, example.crop), example.reference, example.data_range


def scored_body(reference: torch.Tensor, facts: Sequence[SliceFacts]) -> torch.Tensor:
    """(batch, y, x) bool, the body of each slice; all of a slice in which nothing is bright enough.

    Args:
        reference: (batch, y, x) float32.
        facts: Of each slice; what it shows decides the threshold.

    Raises:
        DataError: The anatomy of a volume is unknown or has no threshold.
    """
    mask = body_mask(reference, torch.tensor([body_threshold(one) for one in facts]))
    has_no_body = reference.flatten(1).any(1) & ~mask.flatten(1).any(1)
    return mask | has_no_body[:, None, None]


def body_threshold(facts: SliceFacts, where: str = "") -> float:
    """The intensity above which a slice shows the body.

    Raises:
        DataError: It is not known for what the slice shows; the message begins with `where`.
    """
    if facts.anatomy not in BODY_THRESHOLDS:
        known = " and ".join(BODY_THRESHOLDS)
        raise DataError(
            f"{where and f'{where}, '}{facts.volume_id}: SSIM inside the body needs a body mask, which is known for "
            f"{known}; found anatomy "
            f"{facts.anatomy or 'unknown'}; choose --set training.loss=ssim and data.validation_score=ssim"
        )
    return BODY_THRESHOLDS[facts.anatomy]
