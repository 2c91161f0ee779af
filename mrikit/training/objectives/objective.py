"""Objective: what a run minimises, and how it is judged."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from torch import nn

from mrikit.data import ScanBatch, SliceDataset
from mrikit.randomness import generator
from mrikit.runs.interrupts import StopRequest
from mrikit.runs.process import Process
from mrikit.training.losses import Losses
from mrikit.volumes import Volume


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """The number that the best weights are chosen by."""

    name: str
    """Its key in the rows of `metrics.jsonl`."""
    words: str
    """What it is called in sentences, such as `SSIM inside the body`."""
    higher_is_better: bool = True
    """Its direction."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Parameters that learn alike."""

    name: str
    """For messages, such as `network kernels`."""
    parameters: Sequence[nn.Parameter]
    """At least one."""
    rate_scale: float = 1.0
    """Times the learning rate of the run."""
    weight_decay: float = 0.0
    """AdamW's decoupled decay."""
    first_epoch: int = 0
    """Epoch of the run, from 0, in which it begins to learn; before, its moments grow at a rate of 0, and its gradients
    count in `training.max_grad_norm`."""


class Validated(NamedTuple):
    """What a validation found."""

    score: float
    """The number of the objective's Score."""
    numbers: Mapping[str, float]
    """Means over the volumes, for the row of `metrics.jsonl`."""
    patterns: Mapping[str, npt.NDArray[np.float32]] = MappingProxyType({})
    """What is measured by now where that is learned: name to (phase,) or (readout, phase), 1 where it always is; with
    ` probabilities` behind a name what the mask of that name is made from."""
    failed: str = ""
    """Why the run is no longer worth its time, in words; empty where it is."""


class Draw(NamedTuple):
    """Random numbers of one epoch, keyed like order and augmentation, so that they are the same after a resume."""

    seed: int
    epoch: int
    """From 0, counted over all stages."""

    def generators(self, scan: ScanBatch, purpose: str) -> list[np.random.Generator]:
        """One for each sample, a function of (seed, epoch, volume, slice, purpose) alone."""
        return [generator(self.seed, self.epoch, facts.volume_id, facts.slice_index, purpose) for facts in scan.facts]


class Objective(Protocol):
    """What the engine asks of an objective; it is built from a run's configuration.

    An objective inherits what it has nothing to say about: `pictures` and `patterns`.
    """

    score: Score
    max_zero_stage: int
    """Highest ZeRO stage that it can be trained with."""

    def parts(self) -> nn.ModuleDict:
        """New modules, drawn from torch's random state: `network`, and whatever is trained beside it."""

    def losses(self, parts: nn.ModuleDict, scan: ScanBatch, draw: Draw) -> Losses:
        """The losses of a micro-batch of full k-space."""

    def groups(self, parts: nn.ModuleDict) -> list[Group]:
        """How the parameters of all parts learn."""

    def validate(
        self, parts: nn.ModuleDict, dataset: SliceDataset, process: Process, stop: StopRequest
    ) -> Validated | None:
        """Judge whole parts on held-out volumes, each process its share; None if somebody asked to stop."""

    def pictures(
        self, parts: nn.ModuleDict, dataset: SliceDataset, process: Process
    ) -> Sequence[Mapping[str, npt.NDArray[np.float16]]]:
        """Of a few fixed held-out slices (y, x) images by name, the same names for each; none where it makes none.

        Each process makes its share, and all get them.
        """
        del parts, dataset, process
        return ()

    def patterns(self, parts: nn.ModuleDict) -> Mapping[str, npt.NDArray[np.float32]]:
        """What these parts measure, as `Validated.patterns`; nothing where that is not learned."""
        del parts
        return {}

    def check(self, volumes: Sequence[Volume], where: str, *, is_training: bool = True) -> None:
        """Refuse volumes that it cannot be trained on, or not be validated on.

        Raises:
            DataError: On one line, which begins with `where`.
        """

    def describe(self, numbers: Mapping[str, float]) -> str:
        """A validation in words, such as `SSIM 0.9012, PSNR 31.20 dB`."""


@runtime_checkable
class ComparesWithStart(Protocol):
    """An objective that judges a validation by that before the first step, which it asks for with this."""

    def against_start(self, found: Validated, start: Mapping[str, float]) -> Validated:
        """A validation with the score that it deserves.

        Args:
            found: As `Objective.validate` gives it.
            start: Numbers of the validation of the weights that the run began with.
        """


def decaying_groups(
    part: str, parameters: Iterable[nn.Parameter], weight_decay: float, *, rate_scale: float = 1.0, first_epoch: int = 0
) -> list[Group]:
    """Kernels, which decay, and all that has one axis or none, which does not; one group where nothing decays.

    Args:
        part: Its name, for messages.
        parameters: Of the part; those that need no gradient are left alone.
        weight_decay: Of the kernels.
        rate_scale: See `Group`.
        first_epoch: See `Group`.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    kernels = [parameter for parameter in trained if parameter.ndim > 1 or not weight_decay]
    others = [parameter for parameter in trained if parameter.ndim <= 1 and weight_decay]
    groups = [
        Group(name=name, parameters=found, weight_decay=decay, rate_scale=rate_scale, first_epoch=first_epoch)
        for name, found, decay in ((part, kernels, weight_decay), (f"{part} biases", others, 0.0))
    ]
    return [group for group in groups if group.parameters] or groups[:1]
