"""How runs against banding are validated: banding, orientation, and whether they failed."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import torch
from torch import nn

from mrikit.data import (
    Example,
    SliceDataset,
    center_crop,
    choose_mask,
    cropped_shape,
    draw_masks,
    transpose,
    undersample,
)
from mrikit.errors import DataError
from mrikit.metrics import directional_excess, slice_ssim_loss
from mrikit.models.orientation_discriminators import as_inputs, show_dark
from mrikit.models.orientation_losses import orientation_accuracy
from mrikit.models.output import Output, image_of
from mrikit.randomness import generator
from mrikit.runs.interrupts import StopRequest
from mrikit.runs.process import Process
from mrikit.training.adversary_config import AdversaryTraining
from mrikit.training.config import DataConfig
from mrikit.training.objectives.image import Further, output_of, validate_images, validation_plan, validation_scans
from mrikit.training.objectives.objective import Validated

BEYOND_DB: Final = 100.0
"""What an epoch beyond the bound of SSIM has on top: more than any banding. A failed one has ten times as much."""
_DB_PER_SSIM = 1000.0  # of two epochs beyond the bound that with less loss is better
_CONSTANT = 0.01
_MEANS = ("abs_banding_db", "banding_db", "transposed_ssim", "accuracy", "logit_upright", "logit_transposed")
_LOWEST = ("lowest_slice_ssim", "contrast")


def validate_both_orientations(
    network: nn.Module,
    discriminators: nn.Module,
    dataset: SliceDataset,
    data: DataConfig,
    process: Process,
    stop: StopRequest,
    *,
    sees_dark: bool = False,
) -> Validated | None:
    """Score every volume as it lies, look for banding in it and in its transpose, let discriminators guess of both.

    Numbers beside those of images: `abs_banding_db`, the mean over slices of both orientations of the absolute
    directional excess, which is the score; `banding_db`, its mean with its sign; `transposed_ssim`, that of the
    transposed scans; `accuracy`, `logit_upright` and `logit_transposed` of the discriminators; the SSIM of the worst
    slice of all, `lowest_slice_ssim`; and `contrast`, the deviation of a volume's image over that of its reference, of
    the volume that has least. The last two and those of images are of scans as they lie.

    Args:
        network: Makes images.
        discriminators: (batch, 3, y, x) float32 to (batch, count) logits.
        dataset: At least one volume.
        data: How to undersample; each volume keeps one mask for each orientation.
        process: This one.
        stop: Asked after every volume.
        sees_dark: Whether discriminators are shown dark places in full contrast.

    Returns:
        The means; None if somebody asked to stop.

    Raises:
        DataError: A slice cannot be read, a score is not finite, or no slice has a place to look for banding.
    """
    guesses: dict[int, list[torch.Tensor]] = {}
    turned_back: dict[int, list[torch.Tensor]] = {}

    def slices(position: int) -> Iterator[tuple[Output, Example]]:
        volume = dataset.volumes[position]
        guesses[position], turned_back[position] = [], []
        plan, shape = validation_plan(volume.info.volume_id, data), cropped_shape(volume.info, data.max_readout)
        mask = choose_mask(volume, plan, shape)
        for scan in validation_scans(dataset, position, data, process.device):
            turned = transpose(scan, [True])
            # The same generator for every slice, so that a volume keeps this mask too.
            own = draw_masks([plan], turned, [generator(0, volume.info.volume_id, "transposed mask")])
            examples = (undersample(scan, [mask]), undersample(turned, own))
            upright, transposed = (output_of(network, example) for example in examples)
            images = [
                center_crop(image_of(output), example.crop).float()
                for output, example in zip((upright, transposed), examples, strict=True)
            ]
            logits = [
                _logits(discriminators, image, is_transposed=is_transposed, sees_dark=sees_dark)
                for image, is_transposed in zip(images, (False, True), strict=True)
            ]
            guesses[position].append(torch.cat(logits))
            turned_back[position].append(images[1].mT)
            yield upright, examples[0]

    def measure(position: int, image: torch.Tensor, reference: torch.Tensor) -> list[float]:
        transposed = torch.cat(turned_back.pop(position)).cpu()
        return _measure(image, transposed, reference, torch.stack(guesses.pop(position)).cpu())

    further = Further(len(_MEANS) + len(_LOWEST), measure, _join)
    found = validate_images(slices, dataset, data, process, stop, further)
    return None if found is None else found._replace(score=found.numbers["abs_banding_db"])


def bounded_banding(banding_db: float, ssim_loss: float, *, max_ssim_loss: float, has_failed: bool) -> float:
    """Banding with a surcharge beyond the bound of SSIM, so that whatever is within it is better.

    Args:
        banding_db: Absolute banding.
        ssim_loss: How much less SSIM than at the start.
        max_ssim_loss: How much is allowed.
        has_failed: Whether the surcharge is that of failed runs.
    """
    beyond = ssim_loss - max_ssim_loss
    surcharge = BEYOND_DB + _DB_PER_SSIM * beyond if beyond > 0 else 0.0
    return banding_db + surcharge + (10 * BEYOND_DB if has_failed else 0.0)


def failure(numbers: Mapping[str, float], start: Mapping[str, float], settings: AdversaryTraining, ssim: str) -> str:
    """Why a run is no longer worth its time, in a few words; nothing where it is.

    Args:
        numbers: Of a validation, see `validate_both_orientations`.
        start: Likewise, of the weights that the run began with.
        settings: Its bounds.
        ssim: Which SSIM is bound: `ssim` or `body_ssim`.
    """
    if numbers["contrast"] < _CONSTANT * start["contrast"]:
        return f"an image is constant: contrast {numbers['contrast']:.2g}, {start['contrast']:.2g} at the start"
    if start[ssim] - numbers[ssim] > settings.failed_ssim_loss:
        return f"SSIM {numbers[ssim]:.4f}, more than {settings.failed_ssim_loss:g} below {start[ssim]:.4f} at the start"
    worst, first = numbers["lowest_slice_ssim"], start["lowest_slice_ssim"]
    if first - worst > settings.failed_slice_loss:
        return (
            f"artefacts: SSIM of a slice {worst:.4f}, more than {settings.failed_slice_loss:g} below {first:.4f} before"
        )
    return ""


def _logits(discriminators: nn.Module, image: torch.Tensor, *, is_transposed: bool, sees_dark: bool) -> torch.Tensor:
    """(1, y, x) as the scan lies to (1, count) float32."""
    labels = torch.tensor([is_transposed], device=image.device)
    logits: torch.Tensor = discriminators(as_inputs(show_dark(image) if sees_dark else image, labels))
    return logits


def _measure(
    image: torch.Tensor, transposed: torch.Tensor, reference: torch.Tensor, logits: torch.Tensor
) -> list[float]:
    """Numbers of a volume, of `_MEANS` and `_LOWEST`; NaN for banding where there is no place to look for it.

    Args:
        image: (slice, y, x) float32.
        transposed: Likewise, of the transposed scan, turned back.
        reference: Likewise; it may be smaller.
        logits: (slice, 2, count) float32, of the upright and of the transposed scan.
    """
    size = (min(image.shape[1], reference.shape[1]), min(image.shape[2], reference.shape[2]))
    image, transposed, reference = (center_crop(one, size) for one in (image, transposed, reference))
    both = (*directional_excess(image, reference), *directional_excess(transposed, reference, phase_dim=-2))
    excess = [value for value in both if value is not None]
    labels = torch.tensor([False, True]).repeat(len(logits))
    top = reference.amax().expand(len(reference))
    return [
        _mean([abs(value) for value in excess]),
        _mean(excess),
        float((1 - slice_ssim_loss(transposed, reference, top)).mean()),
        float(orientation_accuracy(logits.flatten(0, 1), labels)),
        *logits.double().mean((0, 2)).tolist(),
        float((1 - slice_ssim_loss(image, reference, top)).amin()),
        float(image.std() / reference.std()),
    ]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _join(scores: torch.Tensor) -> dict[str, float]:
    """(volume, number) float64 to the numbers of all volumes."""
    if scores[:, 0].isnan().all():
        raise DataError(
            "no slice to validate on has four windows of low signal without edges, in which banding is looked for; "
            "validate on volumes whose field of view leaves room around the body"
        )
    means, lowest = scores[:, : len(_MEANS)].nanmean(0), scores[:, len(_MEANS) :].amin(0)
    return dict(zip((*_MEANS, *_LOWEST), (*means.tolist(), *lowest.tolist()), strict=True))
