"""The objective of runs that learn what to measure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mrikit.data import (
    Example,
    ScanBatch,
    SliceDataset,
    SliceKey,
    choose_mask,
    cropped_shape,
    undersample,
    undersample_by,
)
from mrikit.errors import ConfigError
from mrikit.masks import center_lines
from mrikit.models import LEARNED
from mrikit.models.adaptive import keyed_draws, scan_of
from mrikit.models.output import Output
from mrikit.models.samplers import Drawn, Sampler, score_loss
from mrikit.randomness import Key
from mrikit.runs.interrupts import StopRequest
from mrikit.runs.process import Process
from mrikit.training.config import RunConfig
from mrikit.training.losses import Losses, composed_loss, needs_kspace
from mrikit.training.network import InPrecision, new_network
from mrikit.training.objectives.image import (
    SCORES,
    ImageObjective,
    output_of,
    validate_images,
    validation_plan,
    validation_scans,
)
from mrikit.training.objectives.objective import Draw, Group, Objective, Validated, decaying_groups
from mrikit.training.objectives.pictures import picture_slices
from mrikit.training.objectives.shape import one_shape
from mrikit.volumes import Volume

_SAMPLER = "sampler"


class SamplingObjective(Objective):
    """Losses of the image objective, where the masks are learned with the network.

    A sampler's masks are drawn anew for each example; those of validation are without noise, as `reconstruct` uses
    them. A network that chooses its lines itself is given the scanner instead of a mask.

    Args:
        config: The run, with a sampler or a model that acquires.

    Raises:
        ConfigError: A network that needs the centre, and a sampler that may leave it out.
    """

    max_zero_stage = 2  # a sampler is asked for its mask between steps, when ZeRO 3 has no whole weights

    def __init__(self, config: RunConfig) -> None:
        if getattr(LEARNED[config.model][0], "needs_center", False) and config.sampler.acs == "none":
            raise ConfigError(
                f"{config.model} finds coil sensitivities in the centre of k-space, which learned masks may leave out; "
                f"set sampler.acs=column and sampler.num_acs"
            )
        self.config = config
        self.score = SCORES[config.data.validation_score]
        self._images = ImageObjective(config)
        self._loss = composed_loss(config.training.loss)
        self._keeps_full = needs_kspace(config.training.loss)

    def parts(self) -> nn.ModuleDict:
        """The network, and the sampler if it does not choose itself.

        Raises:
            ConfigError: The budget is smaller than the centre.
        """
        config, parts = self.config, nn.ModuleDict({"network": new_network(self.config)})
        if config.sampler.shape:  # of a recipe without volumes it is not known
            parts[_SAMPLER] = Sampler(config.sampler, config.data.accelerations)
        return parts

    def losses(self, parts: nn.ModuleDict, scan: ScanBatch, draw: Draw) -> Losses:
        """Measure what is learned to be measured, reconstruct, compare; of a sequence the last, or the mean of all."""
        if _SAMPLER not in parts:
            keys = [(draw.seed, draw.epoch, one.volume_id, one.slice_index, "acquire") for one in scan.facts]
            output, example = _acquire(parts["network"], scan, self._start(scan), keys, keeps_full=self._keeps_full)
            return self._loss(output, example)
        sampler = _sampler(parts)
        num_draws = self.config.sampler.draws if sampler.training else 1
        drawn = self._draw(sampler, scan, draw, num_draws)
        found = [
            self._loss(output_of(parts["network"], example), example)
            for example in self._examples(sampler, _repeated(scan, num_draws), drawn)
        ]
        return _summed_up(found, drawn, num_draws)

    def groups(self, parts: nn.ModuleDict) -> list[Group]:
        """The network's, and the sampler at a rate of its own."""
        groups = decaying_groups("network", parts["network"].parameters(), self.config.training.weight_decay)
        if _SAMPLER not in parts:
            return groups
        sampler = self.config.sampler
        own = Group(
            name=_SAMPLER,
            parameters=list(parts[_SAMPLER].parameters()),
            rate_scale=sampler.lr_scale,
            first_epoch=sampler.first_epoch,
        )
        return [*groups, own]

    def validate(
        self, parts: nn.ModuleDict, dataset: SliceDataset, process: Process, stop: StopRequest
    ) -> Validated | None:
        """Whole volumes by the learned masks, and these masks.

        Raises:
            DataError: A slice cannot be read, or a score is not finite.
        """
        measured: list[npt.NDArray[np.float32]] = []

        def slices(position: int) -> Iterator[tuple[Output, Example]]:
            for output, example in self._validated(parts, dataset, position, process.device):
                if _SAMPLER not in parts:
                    measured.append(_samples(example))
                yield output, example

        found = validate_images(slices, dataset, self.config.data, process, stop)
        if found is None:
            return None
        patterns = self.patterns(parts)
        if not patterns:  # each slice has its own: how often each sample is taken
            sums, counts = zip(*process.gather((sum(measured), len(measured))), strict=True)
            patterns = {"acquired": np.asarray(sum(sums) / sum(counts), np.float32)}
        return found._replace(patterns=patterns)

    def pictures(
        self, parts: nn.ModuleDict, dataset: SliceDataset, process: Process
    ) -> Sequence[Mapping[str, npt.NDArray[np.float16]]]:
        """As the image objective, by the learned masks.

        Raises:
            DataError: A slice cannot be read.
        """

        def made(key: SliceKey) -> tuple[Output, Example]:
            (found,) = self._validated(parts, dataset, key.volume, process.device, [key.slice_index])
            return found

        return picture_slices(made, dataset, self.config.execution, process)

    def patterns(self, parts: nn.ModuleDict) -> Mapping[str, npt.NDArray[np.float32]]:
        """The mask of each acceleration, named such as `4x`, and the `4x probabilities` that it is made from.

        None of a network that chooses for each slice.
        """
        if _SAMPLER not in parts:
            return {}
        sampler, found = _sampler(parts), {}
        for level, acceleration in enumerate(self.config.data.accelerations):
            found[f"{acceleration:g}x"] = sampler.mask(level).samples.astype(np.float32)
            found[f"{acceleration:g}x probabilities"] = sampler.probabilities(level).cpu().numpy()
        return found

    def check(self, volumes: Sequence[Volume], where: str, *, is_training: bool = True) -> None:
        """One shape, because a mask is for one.

        Raises:
            ConfigError: The budget of a network that chooses itself is not what the acceleration says.
            DataError: There are several shapes, or see the image objective.
        """
        self._images.check(volumes, where, is_training=is_training)
        shape = one_shape(self.config, volumes, where)
        if self.config.is_adaptive and shape is not None:
            self._require_matrix(shape)
            self._require_budget(shape[1])

    def describe(self, numbers: Mapping[str, float]) -> str:
        """As the image objective."""
        return self._images.describe(numbers)

    def _draw(self, sampler: Sampler, scan: ScanBatch, draw: Draw, num_draws: int) -> Drawn:
        """Masks of each slice, those of one slice next to one another."""
        config = self.config
        levels = [int(rng.integers(len(config.data.accelerations))) for rng in draw.generators(scan, "acceleration")]
        epochs = max(config.training.num_epochs - 1, 1)
        progress = min((draw.epoch - config.training.first_epoch) / epochs, 1.0)
        return sampler.draw(
            [rng for rng in draw.generators(scan, "mask") for _ in range(num_draws)],
            [level for level in levels for _ in range(num_draws)],
            progress,
        )

    def _examples(self, sampler: Sampler, scan: ScanBatch, drawn: Drawn) -> Iterator[Example]:
        """The examples of one step of training: one, or one for each step of a sequence of masks."""
        for samples in drawn.steps if self.config.sampler.step_loss == "all" else drawn.steps[-1:]:
            yield undersample_by(scan, samples, sampler.num_center_lines(samples), keeps_full=self._keeps_full)

    def _validated(
        self,
        parts: nn.ModuleDict,
        dataset: SliceDataset,
        position: int,
        device: torch.device,
        only: Sequence[int] | None = None,
    ) -> Iterator[tuple[Output, Example]]:
        """Slice after slice of a volume, or `only` some."""
        volume, data = dataset.volumes[position], self.config.data
        keeps_full, volume_id = data.validation_score == "kspace_nmse", volume.info.volume_id
        if _SAMPLER in parts:
            level = data.accelerations.index(validation_plan(volume_id, data).acceleration)
            learned = choose_mask(volume, _sampler(parts).mask(level), cropped_shape(volume.info, data.max_readout))
        for scan in validation_scans(dataset, position, data, device, only):
            if _SAMPLER in parts:
                example = undersample(scan, [learned], keeps_full=keeps_full)
                yield output_of(parts["network"], example), example
            else:
                keys = [(volume_id, scan.facts[0].slice_index, "acquire")]
                yield _acquire(parts["network"], scan, self._start(scan), keys, keeps_full=keeps_full)

    def _start(self, scan: ScanBatch) -> torch.Tensor:
        """(batch, 1, 1, phase) bool, the lines of the centre."""
        lines = center_lines(scan.shape[1], self.config.data.center_fractions[0])
        return torch.from_numpy(lines).to(scan.kspace.device).expand(len(scan.facts), 1, 1, -1)

    def _require_matrix(self, shape: tuple[int, int]) -> None:
        own = self.config.model_config["matrix"]
        if self.config.model_config["policy"] != "none" and tuple(own) != shape:
            found, wanted = (" x ".join(map(str, one)) for one in (own, shape))
            raise ConfigError(
                f"model_config.matrix is {found}, and k-space is masked at {wanted}; set model_config.matrix="
                f"{','.join(map(str, shape))}, or another data.matrix"
            )

    def _require_budget(self, width: int) -> None:
        data, budget = self.config.data, int(self.config.model_config["budget"])
        if len(data.accelerations) > 1:
            raise ConfigError(f"{self.config.model} is trained for one acceleration, found {len(data.accelerations)}")
        given, wanted = int(center_lines(width, data.center_fractions[0]).sum()), round(width / data.accelerations[0])
        if given + budget != wanted:
            raise ConfigError(
                f"{data.accelerations[0]:g}x of {width} lines is {wanted}, and {given} of the centre with "
                f"model_config.budget={budget} are {given + budget}; set model_config.budget={wanted - given}"
            )


def _sampler(parts: nn.ModuleDict) -> Sampler:
    return cast("Sampler", parts[_SAMPLER])


def _acquire(
    network: nn.Module, scan: ScanBatch, start: torch.Tensor, keys: Sequence[Key], *, keeps_full: bool
) -> tuple[Output, Example]:
    """Let a network measure full k-space; the Example says what it measured."""
    kspace = scan.kspace[:, scan.kspace.shape[1] // 2]
    output = cast("InPrecision", network).acquire(scan_of(kspace), start, keyed_draws(keys))
    num_center = start.flatten(1).sum(1)
    return output, undersample_by(scan, output.extras["mask"].detach(), num_center, keeps_full=keeps_full)


def _samples(example: Example) -> npt.NDArray[np.float32]:
    """(phase,) or (readout, phase) float32 of the one slice."""
    found: npt.NDArray[np.float32] = example.mask[0].squeeze().float().cpu().numpy()
    return found


def _repeated(scan: ScanBatch, num_draws: int) -> ScanBatch:
    """Each slice several times, next to one another."""
    if num_draws == 1:
        return scan

    def more(values: torch.Tensor | None) -> torch.Tensor | None:
        return None if values is None else values.repeat_interleave(num_draws, 0)

    return replace(
        scan,
        kspace=scan.kspace.repeat_interleave(num_draws, 0),
        reference=more(scan.reference),
        data_range=more(scan.data_range),
        facts=tuple(one for one in scan.facts for _ in range(num_draws)),
    )


def _summed_up(found: Sequence[Losses], drawn: Drawn, num_draws: int) -> Losses:
    """Means over steps and draws for each slice; of several draws with what tells the sampler which were better."""

    def mean(values: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.stack(list(values)).mean(0).view(-1, num_draws).mean(1)

    total = mean([one.total for one in found])
    if num_draws > 1:
        better = score_loss(drawn.scores, torch.stack([one.total for one in found]).mean(0), num_draws)
        total = total + (better - better.detach())  # a gradient alone
    return Losses(total, {name: mean([one.terms[name] for one in found]) for name in found[0].terms})
