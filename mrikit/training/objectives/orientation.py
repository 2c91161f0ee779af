"""The objective of classifiers that tell by the banding of images whether their scans were transposed."""

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from mrikit.data import (
    Example,
    ScanBatch,
    SliceDataset,
    center_crop,
    choose_mask,
    choose_transposed_mask,
    cropped_shape,
    draw_masks,
    scored_window,
    transpose,
    undersample,
)
from mrikit.errors import ConfigError, DataError
from mrikit.masks import Mask
from mrikit.models import build_model
from mrikit.models.orientation_net import OrientationNet
from mrikit.models.output import image_of
from mrikit.models.precision import autocast
from mrikit.runs.interrupts import StopRequest
from mrikit.runs.process import Process
from mrikit.training.config import RunConfig
from mrikit.training.losses import CROSS_ENTROPY, Losses
from mrikit.training.network import InPrecision
from mrikit.training.objectives.image import output_of, validation_plan, validation_scans
from mrikit.training.objectives.objective import Draw, Group, Objective, Score, Validated, decaying_groups
from mrikit.training.objectives.volumes import mean_over_volumes
from mrikit.training.reconstructors import load_reconstructors
from mrikit.volumes import Volume

_TIE_BREAKER = 1e-4  # less than what one slice counts
_NUMBERS = ("accuracy", "floor", "probability")


class OrientationObjective(Objective):
    """Cross entropy of the orientation in which slices were undersampled, from images of networks that do not learn.

    Args:
        config: The run; `orientation.reconstructors` are the networks.

    Raises:
        CheckpointError: Weights of these are missing or damaged.
        ConfigError: They make no images, or see other k-space than the run gives them.
    """

    max_zero_stage = 3
    score = Score(name="accuracy", words="balanced accuracy")

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self._reconstructors = load_reconstructors(config)

    def parts(self) -> nn.ModuleDict:
        """The classifier alone: the reconstructors are not of the run."""
        return nn.ModuleDict({"network": build_model(self.config.model, self.config.model_config)})

    def losses(self, parts: nn.ModuleDict, scan: ScanBatch, draw: Draw) -> Losses:
        """Undersample, reconstruct by one of the networks, classify, compare."""
        masks = draw_masks(self.config.data.plans, scan, draw.generators(scan, "mask"))
        drawn = draw.generators(scan, "reconstructor")[0].integers(len(self._reconstructors))
        example = undersample(scan, masks)
        logits = self._logits(parts["network"], self._image(int(drawn), example), example)
        truth = _is_transposed(scan, logits.device).to(logits.dtype)
        loss = binary_cross_entropy_with_logits(logits, truth, reduction="none")
        return Losses(loss, {CROSS_ENTROPY: loss})

    def groups(self, parts: nn.ModuleDict) -> list[Group]:
        """Kernels, and what does not decay."""
        return decaying_groups("network", parts.parameters(), self.config.training.weight_decay)

    @torch.no_grad()
    def validate(
        self, parts: nn.ModuleDict, dataset: SliceDataset, process: Process, stop: StopRequest
    ) -> Validated | None:
        """Classify each slice of each volume in both orientations, by what every reconstructor makes of it.

        The score is the share that is told right; of equally accurate ones the probability of the truth decides. The
        floor is that of the references, which are turned back to the same image: it is 1/2.

        Raises:
            DataError: A slice cannot be read.
        """
        measure = partial(self._judge, cast("OrientationNet", parts["network"]), dataset, device=process.device)
        means = mean_over_volumes(measure, len(dataset.volumes), len(_NUMBERS), process, stop)
        if means is None:
            return None
        numbers = dict(zip(_NUMBERS, means, strict=True))
        return Validated(numbers["accuracy"] + _TIE_BREAKER * numbers["probability"], numbers)

    def check(self, volumes: Sequence[Volume], where: str, *, is_training: bool = True) -> None:
        """Something has to make the images, and they have to be large enough.

        Raises:
            ConfigError: No reconstructor is named.
            DataError: The image of a volume is smaller than the classifier needs.
        """
        if not self._reconstructors:
            raise ConfigError(
                "a classifier of orientation learns from images that networks make, and none is named; give "
                "--set orientation.reconstructors=RUN"
            )
        with torch.device("meta"):
            network = cast("OrientationNet", self.parts()["network"])
        for volume in volumes:
            rows, columns = scored_window(volume.info)
            if min(rows, columns) < network.smallest:
                raise DataError(
                    f"{where}: {volume.info.volume_id} has images of {rows} x {columns}, and {network.config.kind} "
                    f"needs {network.smallest} x {network.smallest} or more; set model_config.kind to another, or name "
                    f"other data"
                )
        for one in self._reconstructors:
            num_seen = sum(volume.info.volume_id in one.trained_on for volume in volumes)
            if num_seen and is_training:
                warnings.warn(
                    f"{one.name} was trained on {num_seen} of {len(volumes)} volumes of {where} too; its images of new "
                    f"ones may band more, and a classifier of those be better",
                    stacklevel=2,
                )

    def describe(self, numbers: Mapping[str, float]) -> str:
        """Accuracy and floor."""
        return f"balanced accuracy {numbers['accuracy']:.4f}, of fully sampled images {numbers['floor']:.4f}"

    def _judge(
        self, network: OrientationNet, dataset: SliceDataset, position: int, *, device: torch.device
    ) -> list[float]:
        """The numbers of one volume, in the order of `_NUMBERS`."""
        data, found = self.config.data, []
        masks = _both_masks(dataset.volumes[position], self.config)
        for scan in validation_scans(dataset, position, data, device):
            assert scan.reference is not None  # prepare makes one
            of_reference = self._logits(network, scan.reference, scan)
            for is_swapped, mask in zip((False, True), masks, strict=True):
                example = undersample(transpose(scan, [is_swapped]), [mask])
                sign = 1 if is_swapped else -1
                for number in range(len(self._reconstructors)):
                    logit = sign * self._logits(network, self._image(number, example), example)
                    found.append([float(logit > 0), float(sign * of_reference > 0), float(logit.sigmoid())])
        means: list[float] = np.mean(found, axis=0).tolist()
        return means

    @torch.no_grad()
    def _image(self, number: int, example: Example) -> torch.Tensor:
        """(batch, y, x) float32 that a reconstructor makes, in the scored window."""
        reconstructor: InPrecision = self._reconstructors[number].network.to(example.masked_kspace.device)
        return center_crop(image_of(output_of(reconstructor, example)), example.crop)

    def _logits(self, network: nn.Module, image: torch.Tensor, slices: ScanBatch | Example) -> torch.Tensor:
        """(batch,) float32, above 0 for transposed."""
        with autocast(image.device, self.config.training.precision):
            logits: torch.Tensor = network(image, _is_transposed(slices, image.device))
        return logits.float()


def _both_masks(volume: Volume, config: RunConfig) -> tuple[Mask, Mask]:
    """What validates a volume as it is, and with readout and phase swapped."""
    plan = validation_plan(volume.info.volume_id, config.data)
    shape = cropped_shape(volume.info, config.data.max_readout)
    return choose_mask(volume, plan, shape), choose_transposed_mask(volume, plan, shape)


def _is_transposed(slices: ScanBatch | Example, device: torch.device) -> torch.Tensor:
    """(batch,) bool."""
    return torch.tensor([facts.is_transposed for facts in slices.facts], device=device)
