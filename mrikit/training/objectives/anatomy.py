"""The objective of classifiers of anatomies."""

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from mrikit.data import ScanBatch, SliceDataset, SliceFacts, draw_masks, undersample
from mrikit.errors import DataError
from mrikit.models.anatomy_classifier import ANATOMIES, guess_anatomy
from mrikit.runs.interrupts import StopRequest
from mrikit.runs.process import Process
from mrikit.training.config import RunConfig
from mrikit.training.losses import CROSS_ENTROPY, Losses
from mrikit.training.network import new_network
from mrikit.training.objectives.image import validation_examples
from mrikit.training.objectives.objective import Draw, Group, Objective, Score, Validated, decaying_groups
from mrikit.training.objectives.volumes import mean_over_volumes, volume_facts
from mrikit.volumes import Volume
from mrikit.volumes.anatomy import anatomy_of

_TIE_BREAKER = 1e-4  # less than what one volume counts
_NUMBERS = ("accuracy", "confidence", "known", "probability")


class AnatomyObjective(Objective):
    """Cross entropy of slices, accuracy of whole volumes.

    Args:
        config: The run.
    """

    max_zero_stage = 3
    score = Score(name="accuracy", words="accuracy")

    def __init__(self, config: RunConfig) -> None:
        self.config = config

    def parts(self) -> nn.ModuleDict:
        """The network alone."""
        return nn.ModuleDict({"network": new_network(self.config)})

    def losses(self, parts: nn.ModuleDict, scan: ScanBatch, draw: Draw) -> Losses:
        """Undersample with masks of this epoch, classify, compare.

        Raises:
            DataError: What a volume shows is not known, or is none of the classes.
        """
        example = undersample(scan, draw_masks(self.config.data.plans, scan, draw.generators(scan, "mask")))
        output = parts["network"](example.masked_kspace, example.mask, example.num_center_lines)
        logits = output.extras["logits"]
        loss = nn.functional.cross_entropy(logits, _classes(scan.facts).to(logits.device), reduction="none")
        return Losses(loss, {CROSS_ENTROPY: loss})

    def groups(self, parts: nn.ModuleDict) -> list[Group]:
        """Kernels, and what does not decay."""
        return decaying_groups("network", parts.parameters(), self.config.training.weight_decay)

    @torch.no_grad()
    def validate(
        self, parts: nn.ModuleDict, dataset: SliceDataset, process: Process, stop: StopRequest
    ) -> Validated | None:
        """Classify every volume: share of right ones and of known ones, probabilities of the best and the true class.

        The score is the accuracy; of equally accurate ones the probability of the true anatomy decides.

        Raises:
            DataError: A slice cannot be read, or what a volume shows is not known.
        """

        def measure(position: int) -> list[float]:
            return self._judge(parts["network"], dataset, position, process.device)

        means = mean_over_volumes(measure, len(dataset.volumes), len(_NUMBERS), process, stop)
        if means is None:
            return None
        numbers = dict(zip(_NUMBERS, means, strict=True))
        return Validated(numbers["accuracy"] + _TIE_BREAKER * numbers["probability"], numbers)

    def check(self, volumes: Sequence[Volume], where: str, *, is_training: bool = True) -> None:
        """Something of each class is needed to learn from.

        Raises:
            DataError: A class is missing, or what a volume to validate on shows is not known.
        """
        if not is_training:
            _classes([volume_facts(volume) for volume in volumes])
            return
        counts = Counter(anatomy_of(volume.info) for volume in volumes)
        missing = [anatomy for anatomy in ANATOMIES if not counts[anatomy]]
        if missing:
            found = ", ".join(f"{count} of {shown}" for shown, count in counts.items())
            raise DataError(
                f"{where}: no volume shows a {missing[0]}, and a classifier needs each; found {found}; add some"
            )

    def describe(self, numbers: Mapping[str, float]) -> str:
        """Accuracy and confidence."""
        return f"accuracy {numbers['accuracy']:.4f}, confidence {numbers['confidence']:.4f}"

    def _judge(self, network: nn.Module, dataset: SliceDataset, position: int, device: torch.device) -> list[float]:
        """The numbers of one volume, in the order of `_NUMBERS`."""
        logits = []
        for example in validation_examples(dataset, position, self.config.data, device):
            output = network(example.masked_kspace, example.mask, example.num_center_lines)
            logits.append(output.extras["logits"])
            truth = int(_classes(example.facts)[0])
        of_slices = torch.cat(logits).double().cpu()
        guess = guess_anatomy(of_slices)
        is_right, probability = guess.anatomy == ANATOMIES[truth], of_slices.softmax(-1).mean(0)[truth]
        return [float(is_right), guess.confidence, float(guess.is_known), float(probability)]


def _classes(facts: Sequence[SliceFacts]) -> torch.Tensor:
    """(batch,) int64 class of each slice."""
    for one in facts:
        if one.anatomy not in ANATOMIES:
            found = f"shows {one.anatomy}" if one.anatomy else "does not say what it shows"
            raise DataError(
                f"{one.volume_id}: {found}; a classifier of {' and '.join(ANATOMIES)} is trained on volumes whose "
                f"header or name says one of them"
            )
    return torch.tensor([ANATOMIES.index(one.anatomy) for one in facts if one.anatomy])
