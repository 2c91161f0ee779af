"""What trains a classifier of anatomies: its loss, and its validation on whole volumes."""

from dataclasses import dataclass, fields

import torch
from torch import nn

from mrikit.data import Example, SliceDataset, SliceKey, choose_mask, prepare_batch
from mrikit.errors import DataError
from mrikit.models.anatomy_classifier import ANATOMIES, find_anatomy
from mrikit.runs.interrupts import StopRequest
from mrikit.runs.process import Process
from mrikit.training.config import DataConfig
from mrikit.training.objectives.image import mean_over_volumes, validation_plan

_TIE_BREAKER = 1e-4  # less than what one volume counts


@dataclass(frozen=True, kw_only=True, slots=True)
class AnatomyValidation:
    """Means over volumes."""

    accuracy: float
    """Share of volumes whose most probable anatomy is the true one."""
    confidence: float
    """Probability of the anatomy that was found, right or wrong."""
    known: float
    """Share of volumes whose confidence suffices, see `mrikit.models.anatomy_classifier.UNKNOWN_BELOW`."""
    probability: float
    """Probability of the true anatomy."""

    @property
    def score(self) -> float:
        """What the best weights have most of: accuracy; of equally accurate ones the probability decides."""
        return self.accuracy + _TIE_BREAKER * self.probability


def anatomy_loss(output: torch.Tensor, example: Example) -> torch.Tensor:
    """Cross entropy of each slice.

    Args:
        output: (batch, class) logits of `mrikit.models.anatomy_classifier.ANATOMIES`.
        example: Says what each slice shows.

    Returns:
        (batch,) float32.

    Raises:
        DataError: What a volume shows is not known, or is none of the classes.
    """
    return nn.functional.cross_entropy(output, _classes(example).to(output.device), reduction="none")


@torch.no_grad()
def validate_anatomy(
    network: nn.Module, dataset: SliceDataset, data: DataConfig, process: Process, stop: StopRequest
) -> AnatomyValidation | None:
    """Classify every volume; each process takes its share, and all get the means.

    Args:
        network: Whole on every process; gives logits.
        dataset: At least one volume.
        data: How to undersample; each volume keeps one of the plans.
        process: This one.
        stop: Asked after every volume.

    Returns:
        The means; None if somebody asked to stop.

    Raises:
        DataError: A slice cannot be read, or what a volume shows is not known.
    """
    names = [field.name for field in fields(AnatomyValidation)]

    def measure(position: int) -> list[float]:
        found = _judge(network, dataset, position, data, process.device)
        return [getattr(found, name) for name in names]

    means = mean_over_volumes(measure, len(dataset.volumes), len(names), process, stop)
    return None if means is None else AnatomyValidation(**dict(zip(names, means, strict=True)))


def _judge(
    network: nn.Module, dataset: SliceDataset, position: int, data: DataConfig, device: torch.device
) -> AnatomyValidation:
    """The numbers of one volume."""
    volume = dataset.volumes[position]
    mask = choose_mask(volume, validation_plan(volume.info.volume_id, data))
    logits = []
    for slice_index in range(len(volume.kspace)):
        batch = dataset.read([SliceKey(position, slice_index)])
        example = prepare_batch(batch, [volume.info], [mask], device, max_readout=data.max_readout)
        logits.append(network(example.masked_kspace, example.mask, example.num_center_lines))
        truth = int(_classes(example)[0])
    of_slices = torch.cat(logits).double().cpu()
    finding = find_anatomy(of_slices)
    return AnatomyValidation(
        accuracy=float(finding.anatomy == ANATOMIES[truth]),
        confidence=finding.confidence,
        known=float(finding.is_known),
        probability=float(of_slices.softmax(-1).mean(0)[truth]),
    )


def _classes(example: Example) -> torch.Tensor:
    """(batch,) int64 class of each slice."""
    for volume_id, anatomy in zip(example.volume_ids, example.anatomies, strict=True):
        if anatomy not in ANATOMIES:
            found = f"shows {anatomy}" if anatomy else "does not say what it shows"
            raise DataError(
                f"{volume_id}: {found}; a classifier of {' and '.join(ANATOMIES)} is trained on volumes whose header "
                f"or name says one of them"
            )
    return torch.tensor([ANATOMIES.index(anatomy) for anatomy in example.anatomies if anatomy])
