"""Validation: whole volumes, each with its own fixed mask, by the score that reconstructions get."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import torch
import torch.distributed as dist
from torch import nn

from mrikit.data import MaskPlan, SliceDataset, SliceKey, center_crop, choose_mask, prepare_batch
from mrikit.errors import DataError
from mrikit.metrics import measure_masked, measure_volume
from mrikit.randomness import generator
from mrikit.runs.interrupts import StopRequest
from mrikit.runs.process import Process
from mrikit.training.config import DataConfig
from mrikit.training.losses import scored_body
from mrikit.volumes import ScanInfo
from mrikit.volumes.anatomy import anatomy_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """Means over volumes."""

    ssim: float
    """As `mrikit evaluate` scores volumes."""
    psnr: float
    """dB."""
    nmse: float
    """Squared error over squared reference."""
    body_ssim: float | None = None
    """Inside the body, as the leaderboard of the SNU challenge scores; None where it was not asked for."""

    @property
    def score(self) -> float:
        """What the best weights have most of."""
        return self.ssim if self.body_ssim is None else self.body_ssim


@torch.no_grad()
def validate(
    network: nn.Module, dataset: SliceDataset, data: DataConfig, process: Process, stop: StopRequest
) -> Validation | None:
    """Reconstruct and score every volume; each process takes its share, and all get the means.

    Args:
        network: Whole on every process.
        dataset: At least one volume.
        data: How to undersample; each volume keeps one of the plans.
        process: This one.
        stop: Asked after every volume.

    Returns:
        The means; None if somebody asked to stop.

    Raises:
        DataError: A slice cannot be read, or a score is not finite.
    """
    has_body = data.validation_score == "body_ssim"
    names = [field.name for field in fields(Validation) if has_body or field.name != "body_ssim"]

    def measure(position: int) -> list[float]:
        image, reference = _reconstruct(network, dataset, position, data, process.device)
        info = dataset.volumes[position].info
        found = _measure(image, reference, info if has_body else None)
        scores = [getattr(found, name) for name in names]
        if not all(map(math.isfinite, scores)):
            raise DataError(f"validation of {info.volume_id} gave SSIM {found.ssim:g}; is its reference all zeros?")
        return scores

    means = mean_over_volumes(measure, len(dataset.volumes), len(names), process, stop)
    return None if means is None else Validation(**dict(zip(names, means, strict=True)))


def mean_over_volumes(
    measure: Callable[[int], Sequence[float]], num_volumes: int, num_scores: int, process: Process, stop: StopRequest
) -> list[float] | None:
    """Scores of all volumes, each process having measured its share of them; all get the means.

    Args:
        measure: Position of a volume to its scores.
        num_volumes: At least 1.
        num_scores: Of each volume.
        process: This one.
        stop: Asked after every volume.

    Returns:
        The mean of each score; None if somebody asked to stop.
    """
    # The last row says whether a process wants to stop.
    scores = torch.zeros(num_volumes + 1, num_scores, dtype=torch.float64, device=process.device)
    for first in range(0, num_volumes, process.world_size):
        position = first + process.rank
        if position < num_volumes:
            scores[position] = torch.tensor(measure(position), dtype=torch.float64)
        scores[-1] = float(bool(stop))
        if process.world_size > 1:
            dist.all_reduce(scores[-1])
        if scores[-1].any():
            return None
    if process.world_size > 1:
        dist.all_reduce(scores)
    means: list[float] = scores[:-1].mean(0).tolist()
    return means


def validation_plan(volume_id: str, data: DataConfig) -> MaskPlan:
    """The one plan that a volume is validated with, the same in every epoch and run."""
    plans = data.validation_plans
    return plans[int(generator(0, volume_id, "plan").integers(len(plans)))]


def _reconstruct(
    network: nn.Module, dataset: SliceDataset, position: int, data: DataConfig, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """(slice, y, x) image and reference of a volume on the CPU, in the scored window."""
    volume = dataset.volumes[position]
    mask = choose_mask(volume, validation_plan(volume.info.volume_id, data))
    images, references = [], []
    for slice_index in range(len(volume.kspace)):
        batch = dataset.read([SliceKey(position, slice_index)])
        example = prepare_batch(batch, [volume.info], [mask], device, max_readout=data.max_readout)
        image = network(example.masked_kspace, example.mask, example.num_center_lines)
        images.append(center_crop(image, example.crop)[0].float().cpu())
        assert example.reference is not None  # prepare_batch makes one
        references.append(example.reference[0].cpu())
    return torch.stack(images), torch.stack(references)


def _measure(image: torch.Tensor, reference: torch.Tensor, info: ScanInfo | None) -> Validation:
    """The scores of a volume; with what is known of it, those inside its body too."""
    height, width = image.shape[1:]  # fastMRI scores a square as wide as the reference
    square = (min(height, width), width)
    whole = measure_volume(center_crop(image, square), center_crop(reference, square))
    found = Validation(ssim=whole.ssim, psnr=whole.psnr, nmse=whole.nmse)
    if info is None:
        return found
    body = scored_body(reference, [info.volume_id] * len(image), [anatomy_of(info)] * len(image))
    data_range = info.reference_max or float(reference.amax())
    return replace(found, body_ssim=measure_masked(image, reference, body, data_range).ssim)
