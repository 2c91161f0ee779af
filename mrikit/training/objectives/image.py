"""The objective of networks that make images."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mrikit.data import (
    Example,
    MaskPlan,
    ScanBatch,
    SliceDataset,
    SliceKey,
    center_crop,
    choose_mask,
    cropped_shape,
    draw_masks,
    network_inputs,
    prepare,
    undersample,
)
from mrikit.errors import DataError
from mrikit.metrics import kspace_energies, measure_masked, measure_volume
from mrikit.models.output import Output, image_of
from mrikit.randomness import generator
from mrikit.runs.interrupts import StopRequest
from mrikit.runs.process import Process
from mrikit.training.config import DataConfig, RunConfig
from mrikit.training.losses import Losses, body_threshold, composed_loss, needs_kspace, parse_loss, scored_body
from mrikit.training.network import new_network
from mrikit.training.objectives.objective import Draw, Group, Objective, Score, Validated, decaying_groups
from mrikit.training.objectives.pictures import picture_slices
from mrikit.training.objectives.volumes import measure_volumes, volume_facts
from mrikit.volumes import Volume

SCORES = {
    "ssim": Score(name="ssim", words="SSIM"),
    "body_ssim": Score(name="body_ssim", words="SSIM inside the body"),
    "kspace_nmse": Score(name="kspace_nmse", words="NMSE of k-space", higher_is_better=False),
}
"""What `data.validation_score` may say."""
Slices = Callable[[int], Iterator[tuple[Output, Example]]]
"""Position of a volume to what is made of each of its slices."""


class Further(NamedTuple):
    """What else is measured of each volume that validates."""

    num_scores: int
    """Of each volume."""
    measure: Callable[[int, torch.Tensor, torch.Tensor], Sequence[float]]
    """Position of a volume, its image and its reference, both (slice, y, x) float32 on the CPU, to its scores."""
    join: Callable[[torch.Tensor], Mapping[str, float]]
    """(volume, score) float64 to numbers of them all."""


class ImageObjective(Objective):
    """Losses between images, SSIM of whole volumes.

    Args:
        config: The run; `training.loss` says which losses, `data.validation_score` which SSIM.
    """

    max_zero_stage = 3

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.score = SCORES[config.data.validation_score]
        self._loss = composed_loss(config.training.loss)
        self._keeps_full = needs_kspace(config.training.loss)

    def parts(self) -> nn.ModuleDict:
        """The network alone."""
        return nn.ModuleDict({"network": new_network(self.config)})

    def losses(self, parts: nn.ModuleDict, scan: ScanBatch, draw: Draw) -> Losses:
        """Undersample with masks of this epoch, reconstruct, compare."""
        masks = draw_masks(self.config.data.plans, scan, draw.generators(scan, "mask"))
        example = undersample(scan, masks, keeps_full=self._keeps_full)
        return self._loss(output_of(parts["network"], example), example)

    def groups(self, parts: nn.ModuleDict) -> list[Group]:
        """Kernels, and what does not decay."""
        return decaying_groups("network", parts.parameters(), self.config.training.weight_decay)

    def validate(
        self, parts: nn.ModuleDict, dataset: SliceDataset, process: Process, stop: StopRequest
    ) -> Validated | None:
        """Whole volumes, each with its own fixed mask, by the score that reconstructions get.

        Raises:
            DataError: A slice cannot be read, or a score is not finite.
        """
        data, network = self.config.data, parts["network"]

        def slices(position: int) -> Iterator[tuple[Output, Example]]:
            for example in validation_examples(dataset, position, data, process.device):
                yield output_of(network, example), example

        return validate_images(slices, dataset, data, process, stop)

    def pictures(
        self, parts: nn.ModuleDict, dataset: SliceDataset, process: Process
    ) -> Sequence[Mapping[str, npt.NDArray[np.float16]]]:
        """Reference, zero-filled image, output and error of a few fixed slices.

        Raises:
            DataError: A slice cannot be read.
        """
        data, network = self.config.data, parts["network"]

        def made(key: SliceKey) -> tuple[Output, Example]:
            (example,) = validation_examples(dataset, key.volume, data, process.device, [key.slice_index])
            return output_of(network, example), example

        return picture_slices(made, dataset, self.config.execution, process)

    def check(self, volumes: Sequence[Volume], where: str, *, is_training: bool = True) -> None:
        """Every full volume will do, unless a body mask is needed.

        Raises:
            DataError: The anatomy of a volume has no body mask.
        """
        terms = [name for _, name in parse_loss(self.config.training.loss)] if is_training else []
        if "ssim_body" in terms or self.config.data.validation_score == "body_ssim":
            for volume in volumes:
                body_threshold(volume_facts(volume), where)

    def describe(self, numbers: Mapping[str, float]) -> str:
        """SSIM, where it is asked for that inside the body, PSNR, and NMSE of k-space of networks that fill it."""
        body = f" (inside the body {numbers['body_ssim']:.4f})" if "body_ssim" in numbers else ""
        kspace = f", NMSE of k-space {numbers['kspace_nmse']:.4g}" if "kspace_nmse" in numbers else ""
        return f"SSIM {numbers['ssim']:.4f}{body}, PSNR {numbers['psnr']:.2f} dB{kspace}"


@torch.no_grad()
def validate_images(
    slices: Slices,
    dataset: SliceDataset,
    data: DataConfig,
    process: Process,
    stop: StopRequest,
    further: Further | None = None,
) -> Validated | None:
    """Score every volume; each process takes its share, and all get the means.

    Args:
        slices: Reconstructs a volume.
        dataset: At least one volume.
        data: How to undersample; each volume keeps one of the plans.
        process: This one.
        stop: Asked after every volume.
        further: What else to measure; nothing if None.

    Returns:
        The means; None if somebody asked to stop.

    Raises:
        DataError: A slice cannot be read, or a score is not finite.
    """
    has_body = data.validation_score == "body_ssim"
    has_kspace = data.validation_score == "kspace_nmse"
    names = ["ssim", "psnr", "nmse", *(["body_ssim"] if has_body else []), *(["kspace_nmse"] if has_kspace else [])]

    def measure(position: int) -> list[float]:
        volume = dataset.volumes[position]
        made = _collect(slices(position))
        found = _measure(made.image, made.reference, volume if has_body else None)
        found |= {"kspace_nmse": made.kspace_nmse} if has_kspace else {}
        if not all(map(math.isfinite, found.values())):
            raise DataError(
                f"validation of {volume.info.volume_id} gave SSIM {found['ssim']:g}; is its reference all zeros?"
            )
        more = further.measure(position, made.image, made.reference) if further else ()
        return [*(found[name] for name in names), *more]

    num_scores = len(names) + (further.num_scores if further else 0)
    scores = measure_volumes(measure, len(dataset.volumes), num_scores, process, stop)
    if scores is None:
        return None
    numbers = dict(zip(names, scores[:, : len(names)].mean(0).tolist(), strict=True))
    score = numbers[data.validation_score]
    if further:
        numbers |= further.join(scores[:, len(names) :])
    return Validated(score, numbers)


def validation_examples(
    dataset: SliceDataset, position: int, data: DataConfig, device: torch.device, only: Sequence[int] | None = None
) -> Iterator[Example]:
    """Slice after slice of a volume that validates, or `only` some, with its mask of every epoch and run."""
    volume = dataset.volumes[position]
    plan, shape = validation_plan(volume.info.volume_id, data), cropped_shape(volume.info, data.max_readout)
    mask, keeps_full = choose_mask(volume, plan, shape), data.validation_score == "kspace_nmse"
    for scan in validation_scans(dataset, position, data, device, only):
        # Full k-space is let go before a network runs, unless it is compared with.
        yield undersample(scan, [mask], keeps_full=keeps_full)


def validation_scans(
    dataset: SliceDataset, position: int, data: DataConfig, device: torch.device, only: Sequence[int] | None = None
) -> Iterator[ScanBatch]:
    """Slice after slice of full k-space of a volume that validates, or `only` some."""
    volume = dataset.volumes[position]
    for slice_index in range(len(volume.kspace)) if only is None else only:
        batch = dataset.read([SliceKey(position, slice_index)])
        yield prepare(batch, [volume], device, max_readout=data.max_readout, num_coils=data.num_coils)


def validation_plan(volume_id: str, data: DataConfig) -> MaskPlan:
    """The one plan that a volume is validated with, the same in every epoch and run."""
    plans = data.validation_plans
    return plans[int(generator(0, volume_id, "plan").integers(len(plans)))]


class _Made(NamedTuple):
    """A volume on the CPU, in the scored window."""

    image: torch.Tensor
    """(slice, y, x)."""
    reference: torch.Tensor
    """(slice, y, x)."""
    kspace_nmse: float
    """Of all slices together; 1 where no k-space was compared."""


def _collect(slices: Iterator[tuple[Output, Example]]) -> _Made:
    images, references = [], []
    error = energy = 0.0
    for output, example in slices:
        assert example.reference is not None  # prepare makes one
        images.append(center_crop(image_of(output), example.crop)[0].float().cpu())
        references.append(example.reference[0].cpu())
        if output.kspace is not None and example.full_kspace is not None:
            of_slice = kspace_energies(output.kspace, example.full_kspace)
            error, energy = error + float(of_slice[0].sum()), energy + float(of_slice[1].sum())
    return _Made(torch.stack(images), torch.stack(references), error / energy if energy else 1.0)


def output_of(network: nn.Module, example: Example) -> Output:
    """What a network makes of what it is used to be given."""
    found: Output = network(*network_inputs(example, crops_before=bool(getattr(network, "crops_before", False))))
    return found


def _measure(image: torch.Tensor, reference: torch.Tensor, volume: Volume | None) -> dict[str, float]:
    """The scores of an image; with the volume that it is of, those inside the body too."""
    height, width = image.shape[1:]  # fastMRI scores a square as wide as the reference
    square = (min(height, width), width)
    whole = measure_volume(center_crop(image, square), center_crop(reference, square))
    found = {"ssim": whole.ssim, "psnr": whole.psnr, "nmse": whole.nmse}
    if volume is None:
        return found
    body = scored_body(reference, [volume_facts(volume)] * len(image))
    data_range = volume.info.reference_max or float(reference.amax())
    return found | {"body_ssim": measure_masked(image, reference, body, data_range).ssim}
