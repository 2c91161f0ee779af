"""The objective of a reconstructor and an evaluator of its lines, each against the other."""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mrikit.data import Example, ScanBatch, SliceDataset, draw_masks, undersample
from mrikit.errors import ConfigError
from mrikit.models.cvpr19_evaluator import Evaluator
from mrikit.models.cvpr19_losses import evaluator_targets, least_squares, line_errors
from mrikit.models.output import Output, image_of
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c
from mrikit.runs.interrupts import StopRequest
from mrikit.runs.process import Process
from mrikit.training.config import RunConfig
from mrikit.training.losses import Losses, composed_loss
from mrikit.training.network import new_network
from mrikit.training.objectives.image import ImageObjective, output_of
from mrikit.training.objectives.objective import Draw, Group, Objective, Validated, decaying_groups
from mrikit.training.objectives.shape import one_shape
from mrikit.volumes import Volume

_EVALUATOR = "evaluator"


class EvaluatorObjective(Objective):
    """Losses of the image objective, and what an evaluator says of each line.

    The evaluator learns to give measured lines and lines of full k-space 1, and others the less the more wrong they
    are. The reconstructor learns to make all of its lines look measured. Neither is moved by the other's loss.

    Args:
        config: The run; `training.loss` is `uncertainty` in the published one.

    Raises:
        ConfigError: Masks that are no lines.

    Source:
        Zhang et al., Reducing uncertainty in undersampled MRI reconstruction with active acquisition, CVPR 2019,
        arXiv:1902.03051. There the evaluator sees complex images of one coil. Here it sees magnitudes, as an episode
        shows them, of any number of coils, and always the mask; errors of lines are those of all coils together.
    """

    max_zero_stage = 2  # weights are held fast in the reconstructor's loss, when ZeRO 3 has not gathered them

    def __init__(self, config: RunConfig) -> None:
        for plan in (*config.data.plans, *config.data.validation_plans):
            if plan.is_2d:
                raise ConfigError(f"an evaluator scores lines, and the {plan.kind} mask measures points; try episode")
        self.config = config
        self._images = ImageObjective(config)
        self.score = self._images.score
        self._loss = composed_loss(config.training.loss)

    def parts(self) -> nn.ModuleDict:
        """The reconstructor and, where the number of lines is known, the evaluator."""
        parts = nn.ModuleDict({"network": new_network(self.config)})
        if self.config.evaluator.width:  # of a recipe without volumes it is not known
            num_embedded = int(self.config.model_config["num_embedded"])
            parts[_EVALUATOR] = Evaluator(self.config.evaluator.network(num_embedded))
        return parts

    def losses(self, parts: nn.ModuleDict, scan: ScanBatch, draw: Draw) -> Losses:
        """Undersample, reconstruct, compare; let the evaluator score what was made and what is true."""
        masks = draw_masks(self.config.data.plans, scan, draw.generators(scan, "mask"))
        example = undersample(scan, masks, keeps_full=True)
        output = output_of(parts["network"], example)
        of_image = self._loss(output, example)
        evaluator, settings = cast("Evaluator", parts[_EVALUATOR]), self.config.evaluator
        lines = example.mask[:, 0, 0]
        targets = evaluator_targets(line_errors_of(output, example), lines, settings.steepness)
        judged = _judged(evaluator, output, example, targets)
        generator = _least_squares(_fixed_scores(evaluator, output, lines), torch.ones_like(targets))
        total = of_image.total + settings.weight * generator + judged
        return Losses(total, {**of_image.terms, "generator": generator, "evaluator": judged})

    def groups(self, parts: nn.ModuleDict) -> list[Group]:
        """The reconstructor's, and the evaluator's at a rate of their own."""
        decay, scale = self.config.training.weight_decay, self.config.evaluator.lr_scale
        groups = decaying_groups("network", parts["network"].parameters(), decay)
        if _EVALUATOR not in parts:
            return groups
        return groups + decaying_groups(_EVALUATOR, parts[_EVALUATOR].parameters(), decay, rate_scale=scale)

    def validate(
        self, parts: nn.ModuleDict, dataset: SliceDataset, process: Process, stop: StopRequest
    ) -> Validated | None:
        """The reconstructor alone, as the image objective.

        Raises:
            DataError: A slice cannot be read, or a score is not finite.
        """
        return self._images.validate(parts, dataset, process, stop)

    def pictures(
        self, parts: nn.ModuleDict, dataset: SliceDataset, process: Process
    ) -> Sequence[Mapping[str, npt.NDArray[np.float16]]]:
        """As the image objective."""
        return self._images.pictures(parts, dataset, process)

    def check(self, volumes: Sequence[Volume], where: str, *, is_training: bool = True) -> None:
        """One shape, because an evaluator is for one.

        Raises:
            DataError: There are several, or see the image objective.
        """
        self._images.check(volumes, where, is_training=is_training)
        one_shape(self.config, volumes, where)

    def describe(self, numbers: Mapping[str, float]) -> str:
        """As the image objective."""
        return self._images.describe(numbers)


def line_errors_of(output: Output, example: Example) -> torch.Tensor:
    """Mean square error of each line, of all coils together; no gradient.

    Args:
        output: Its extra `coil_images` is needed.
        example: Its `full_kspace` and `data_range` are needed.

    Returns:
        (batch, phase) float32, in units of the squared maximum of the volume.
    """
    assert example.data_range is not None  # prepare makes one
    unit = torch.where(example.data_range > 0, example.data_range, 1.0)[:, None, None, None]
    errors = line_errors(output.extras["coil_images"].detach() / unit, _full_images(example) / unit)
    return errors.sum(1)


def _full_images(example: Example) -> torch.Tensor:
    """(batch, coil, y, x) complex64 images of full k-space."""
    assert example.full_kspace is not None
    return ifft2c(example.full_kspace)


def _judged(evaluator: Evaluator, output: Output, example: Example, targets: torch.Tensor) -> torch.Tensor:
    """(batch,) loss of the evaluator, of which nothing reaches the reconstructor."""
    lines, embedded = example.mask[:, 0, 0], output.extras.get("embedded")
    embedded = None if embedded is None else embedded.detach()
    of_made = _least_squares(evaluator(image_of(output).detach(), lines, embedded), targets)
    of_true = _least_squares(evaluator(rss(_full_images(example)), lines, embedded), torch.ones_like(targets))
    return (of_made + of_true) / 2


def _fixed_scores(evaluator: Evaluator, output: Output, lines: torch.Tensor) -> torch.Tensor:
    """(batch, phase) scores with a gradient for the reconstructor alone."""
    weights = {name: parameter.detach() for name, parameter in evaluator.named_parameters()}
    inputs = (image_of(output), lines, output.extras.get("embedded"))
    scores: torch.Tensor = torch.func.functional_call(evaluator, weights, inputs)
    return scores


def _least_squares(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """(batch,) adversarial loss of each image."""
    return torch.stack([least_squares(*of_image) for of_image in zip(scores, targets, strict=True)])
