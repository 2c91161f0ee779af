"""The objective of a network against discriminators of orientation, which takes the banding out of its images."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mrikit.data import ScanBatch, SliceDataset, center_crop, draw_masks, scored_window, undersample
from mrikit.errors import ConfigError, DataError
from mrikit.metrics import BANDING_WINDOW
from mrikit.models.orientation_discriminators import DISCRIMINATORS, Discriminators, show_dark
from mrikit.models.orientation_losses import orientation_terms, predictor_targets
from mrikit.models.output import image_of
from mrikit.runs.interrupts import StopRequest
from mrikit.runs.process import Process
from mrikit.training.config import RunConfig
from mrikit.training.losses import Losses, composed_loss, needs_kspace
from mrikit.training.network import new_network
from mrikit.training.objectives.banding import bounded_banding, failure, validate_both_orientations
from mrikit.training.objectives.image import ImageObjective, output_of
from mrikit.training.objectives.objective import Draw, Group, Objective, Score, Validated, decaying_groups
from mrikit.volumes import Volume
from mrikit.volumes.phase_first import MAY_COME_FIRST

_DISCRIMINATORS = "discriminators"


class AdversaryObjective(Objective):
    """Losses of the image objective, and what discriminators make of the images.

    They learn to tell whether readout and phase of a scan were swapped before it was undersampled, of images turned
    back to how anatomy lies: what differs then is what undersampling left along one axis. The network learns to give
    them nothing to tell it by. Neither is moved by the other's loss. They see the scored window, in float32.

    Args:
        config: The run; `training.loss` is `ssim + 0.01 l1` in the published one.

    Raises:
        ConfigError: Masks that are no lines.

    Source:
        Defazio et al., MRI banding removal via adversarial training, NeurIPS 2020, arXiv:2001.08699. There every
        process trains discriminators of its own, by accident, and keeps the first one's; here all train the same.
    """

    max_zero_stage = 2  # weights are held fast in the network's loss, when ZeRO 3 has not gathered them
    score = Score(name="bounded_banding", words="bounded banding", higher_is_better=False)

    def __init__(self, config: RunConfig) -> None:
        for plan in (*config.data.plans, *config.data.validation_plans):
            if plan.is_2d:
                raise ConfigError(
                    f"an adversary tells the axis of lines, and the {plan.kind} mask measures points along both; try "
                    f"equispaced"
                )
        self.config = config
        self._images = ImageObjective(config)
        self._loss = composed_loss(config.training.loss)
        self._keeps_full = needs_kspace(config.training.loss)

    def parts(self) -> nn.ModuleDict:
        """The network and the discriminators."""
        settings = self.config.adversary
        discriminators = Discriminators(settings.kind, settings.count)
        return nn.ModuleDict({"network": new_network(self.config), _DISCRIMINATORS: discriminators})

    def losses(self, parts: nn.ModuleDict, scan: ScanBatch, draw: Draw) -> Losses:
        """Undersample, reconstruct, compare; let the discriminators guess.

        Raises:
            DataError: Both orientations in one micro-batch, of a window that is not square.
        """
        masks = draw_masks(self.config.data.plans, scan, draw.generators(scan, "mask"))
        example = undersample(scan, masks, keeps_full=self._keeps_full)
        output = output_of(parts["network"], example)
        of_image, settings = self._loss(output, example), self.config.adversary
        labels = torch.tensor([facts.is_transposed for facts in scan.facts], device=scan.kspace.device)
        image = center_crop(image_of(output), example.crop)
        found = orientation_terms(
            parts[_DISCRIMINATORS],
            show_dark(image) if settings.sees_dark else image,
            labels,
            predictor_targets(labels, uncertain=settings.uncertain, inverts_uncertain=settings.inverts_uncertain),
            is_regularised=settings.regulariser > 0 and torch.is_grad_enabled(),
        )
        strength = settings.strength_in(draw.epoch - self.config.training.first_epoch)
        judged = found.adversary + settings.regulariser * found.regulariser
        total = of_image.total + strength * found.predictor + judged
        own = {"predictor": found.predictor, "adversary": found.adversary, "regulariser": found.regulariser}
        return Losses(total, {**of_image.terms, **own}, _numbers(found.logits, labels))

    def groups(self, parts: nn.ModuleDict) -> list[Group]:
        """The network's, and the discriminators' with rate, decay and beginning of their own."""
        settings = self.config.adversary
        return [
            *decaying_groups("network", parts["network"].parameters(), self.config.training.weight_decay),
            *decaying_groups(
                _DISCRIMINATORS,
                parts[_DISCRIMINATORS].parameters(),
                settings.weight_decay,
                rate_scale=settings.lr_scale,
                first_epoch=settings.warmup_epoch,
            ),
        ]

    def validate(
        self, parts: nn.ModuleDict, dataset: SliceDataset, process: Process, stop: StopRequest
    ) -> Validated | None:
        """Images and their banding, and how well the discriminators tell both orientations of each slice.

        Raises:
            DataError: A slice cannot be read, a score is not finite, or no slice has a place to look for banding.
        """
        network, discriminators = parts["network"], parts[_DISCRIMINATORS]
        settings = self.config.adversary
        return validate_both_orientations(
            network, discriminators, dataset, self.config.data, process, stop, sees_dark=settings.sees_dark
        )

    def against_start(self, found: Validated, start: Mapping[str, float]) -> Validated:
        """The score of the best weights: banding, if SSIM of both orientations is within its bound and nothing failed.

        Args:
            found: Of `validate`.
            start: Its numbers of the weights that the run began with.
        """
        settings, name = self.config.adversary, self.config.data.validation_score
        failed = failure(found.numbers, start, settings, name)
        lost = max(start[one] - found.numbers[one] for one in (name, "transposed_ssim"))
        score = bounded_banding(
            found.numbers["abs_banding_db"], lost, max_ssim_loss=settings.max_ssim_loss, has_failed=bool(failed)
        )
        numbers = {**found.numbers, "ssim_loss": lost, self.score.name: score}
        return found._replace(score=score, numbers=numbers, failed=failed)

    def pictures(
        self, parts: nn.ModuleDict, dataset: SliceDataset, process: Process
    ) -> Sequence[Mapping[str, npt.NDArray[np.float16]]]:
        """As the image objective, of scans as they lie."""
        return self._images.pictures(parts, dataset, process)

    def check(self, volumes: Sequence[Volume], where: str, *, is_training: bool = True) -> None:
        """Axes that are known, and windows in which there is room to look for banding.

        Raises:
            DataError: Nobody knows which axis of a volume is phase, or it is too small; or see the image objective.
        """
        self._images.check(volumes, where, is_training=is_training)
        kind = self.config.adversary.kind
        needs = {f"the discriminator {kind}": DISCRIMINATORS[kind].smallest}
        if self.config.data.num_validation or not is_training:
            needs["banding"] = BANDING_WINDOW
        for volume in volumes:
            name, window = volume.info.volume_id, scored_window(volume.info)
            if any(MAY_COME_FIRST in note for note in volume.info.notes):
                raise DataError(
                    f"{where}, {name}: an adversary needs to know which axis is phase, and of this volume nobody does; "
                    f"mend the encoded size in its header, or leave it out"
                )
            for what, least in needs.items():
                if min(window) < least:
                    raise DataError(
                        f"{where}, {name}: {what} needs windows of {least} x {least} or more, found "
                        f"{window[0]} x {window[1]}; take larger images"
                    )

    def describe(self, numbers: Mapping[str, float]) -> str:
        """As the image objective, with banding and how well discriminators tell the orientation."""
        banding = f"banding {numbers['abs_banding_db']:.2f} dB"
        return f"{self._images.describe(numbers)}, {banding}, orientation told of {100 * numbers['accuracy']:.0f} %"


def _numbers(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
    """(batch, count) logits and (batch,) bool to (batch,) numbers of each slice."""
    is_right = ((logits > 0) == labels[:, None]).float().mean(1)
    mean = logits.mean(1)
    return {
        "accuracy": is_right,
        "logit_upright": torch.where(labels, torch.nan, mean),
        "logit_transposed": torch.where(labels, mean, torch.nan),
    }
