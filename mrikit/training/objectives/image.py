"""The objective of networks that make images."""

import math
from collections.abc import Iterator, Mapping, Sequence

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
from mrikit.metrics import measure_masked, measure_volume
from mrikit.models.classical import ZeroFilled, ZeroFilledConfig
from mrikit.randomness import generator
from mrikit.runs.interrupts import StopRequest
from mrikit.runs.process import Process
from mrikit.training.config import DataConfig, RunConfig
from mrikit.training.losses import Losses, body_threshold, composed_loss, parse_loss, scored_body
from mrikit.training.network import new_network
from mrikit.training.objectives.objective import Draw, Group, Score, Validated, decaying_groups
from mrikit.training.objectives.volumes import mean_over_volumes, volume_facts
from mrikit.volumes import Volume

_SCORES = {
    "ssim": Score(name="ssim", words="SSIM"),
    "body_ssim": Score(name="body_ssim", words="SSIM inside the body"),
}
_NUM_PICTURES = 4
"""Volumes whose middle slice every validation shows."""


class ImageObjective:
    """Losses between images, SSIM of whole volumes.

    Args:
        config: The run; `training.loss` says which losses, `data.validation_score` which SSIM.
    """

    max_zero_stage = 3

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.score = _SCORES[config.data.validation_score]
        self._loss = composed_loss(config.training.loss)

    def parts(self) -> nn.ModuleDict:
        """The network alone."""
        return nn.ModuleDict({"network": new_network(self.config)})

    def losses(self, parts: nn.ModuleDict, scan: ScanBatch, draw: Draw) -> Losses:
        """Undersample with masks of this epoch, reconstruct, compare."""
        example = undersample(scan, draw_masks(self.config.data.plans, scan, draw.generators(scan, "mask")))
        return self._loss(_image(parts["network"], example), example)

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
        return validate_images(parts["network"], dataset, self.config.data, process, stop)

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
        """SSIM, where it is asked for that inside the body, and PSNR."""
        body = f" (inside the body {numbers['body_ssim']:.4f})" if "body_ssim" in numbers else ""
        return f"SSIM {numbers['ssim']:.4f}{body}, PSNR {numbers['psnr']:.2f} dB"


@torch.no_grad()
def validate_images(
    network: nn.Module, dataset: SliceDataset, data: DataConfig, process: Process, stop: StopRequest
) -> Validated | None:
    """Reconstruct and score every volume; each process takes its share, and all get the means.

    Args:
        network: Whole on every process; gives an Output.
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
    names = ["ssim", "psnr", "nmse", *(["body_ssim"] if has_body else [])]
    pictures: dict[int, dict[str, npt.NDArray[np.float16]]] = {}

    def measure(position: int) -> list[float]:
        volume = dataset.volumes[position]
        image, reference, picture = _reconstruct(network, dataset, position, data, process.device)
        found = _measure(image, reference, volume if has_body else None)
        if not all(map(math.isfinite, found.values())):
            raise DataError(
                f"validation of {volume.info.volume_id} gave SSIM {found['ssim']:g}; is its reference all zeros?"
            )
        if position < _NUM_PICTURES:
            pictures[position] = picture
        return [found[name] for name in names]

    means = mean_over_volumes(measure, len(dataset.volumes), len(names), process, stop)
    if means is None:
        return None
    # The same slices whatever the number of processes.
    shown = {position: picture for part in process.gather(pictures) for position, picture in part.items()}
    numbers = dict(zip(names, means, strict=True))
    score = numbers[data.validation_score]
    return Validated(score, numbers, [shown[position] for position in sorted(shown)])


def validation_examples(
    dataset: SliceDataset, position: int, data: DataConfig, device: torch.device
) -> Iterator[Example]:
    """Slice after slice of a volume that validates, with the mask that it keeps in every epoch and run."""
    volume = dataset.volumes[position]
    plan, shape = validation_plan(volume.info.volume_id, data), cropped_shape(volume.info, data.max_readout)
    mask = choose_mask(volume, plan, shape)
    for slice_index in range(len(volume.kspace)):
        batch = dataset.read([SliceKey(position, slice_index)])
        # Full k-space is let go before a network runs.
        scan = prepare(batch, [volume], device, max_readout=data.max_readout, num_coils=data.num_coils)
        yield undersample(scan, [mask])


def validation_plan(volume_id: str, data: DataConfig) -> MaskPlan:
    """The one plan that a volume is validated with, the same in every epoch and run."""
    plans = data.validation_plans
    return plans[int(generator(0, volume_id, "plan").integers(len(plans)))]


def _reconstruct(
    network: nn.Module, dataset: SliceDataset, position: int, data: DataConfig, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, dict[str, npt.NDArray[np.float16]]]:
    """(slice, y, x) image and reference of a volume on the CPU, in the scored window, and its middle slice to show."""
    images, references, picture = [], [], dict[str, npt.NDArray[np.float16]]()
    middle = len(dataset.volumes[position].kspace) // 2
    for slice_index, example in enumerate(validation_examples(dataset, position, data, device)):
        images.append(center_crop(_image(network, example), example.crop)[0].float().cpu())
        assert example.reference is not None  # prepare makes one
        references.append(example.reference[0].cpu())
        if slice_index == middle:
            picture = _picture(images[-1], references[-1], example)
    return torch.stack(images), torch.stack(references), picture


def _image(network: nn.Module, example: Example) -> torch.Tensor:
    """(batch, y, x) that a network makes of what it is used to be given."""
    output = network(*network_inputs(example, crops_before=bool(getattr(network, "crops_before", False))))
    image: torch.Tensor = output.image
    return image


def _picture(image: torch.Tensor, reference: torch.Tensor, example: Example) -> dict[str, npt.NDArray[np.float16]]:
    """What a panel shows of one slice."""
    kspace, mask = example.masked_kspace, example.mask
    if kspace.ndim == 5:
        kspace, mask = kspace[:, kspace.shape[1] // 2], mask[:, 0]
    zero_filled = ZeroFilled(ZeroFilledConfig())(kspace, mask, example.num_center_lines)
    # A stored reference may be smaller than the window.
    size = (min(image.shape[0], reference.shape[0]), min(image.shape[1], reference.shape[1]))
    shown = {"reference": reference, "zero_filled": center_crop(zero_filled, example.crop)[0].cpu(), "output": image}
    cropped = {name: center_crop(one, size).numpy() for name, one in shown.items()}
    cropped |= {"error": cropped["output"] - cropped["reference"]}
    # Half the size, because they go from process to process; a picture has 256 levels up to the reference's maximum.
    top = float(cropped["reference"].max()) or 1.0
    return {name: np.clip(one / top, -4, 4).astype(np.float16) for name, one in cropped.items()}


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
