"""The one training loop: DeepSpeed, for one process on a CPU and for many nodes alike.

What is trained is a function of configuration and data: order, masks and weights are drawn by keys, and the state after
a step is whole in its checkpoint. So a run that was killed and started again ends with the same weights.
"""

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from mrikit.checkpoint import find_checkpoints
from mrikit.data import ScanBatch, SliceBatch, load_batches, make_augment, orient, prepare, rank_share
from mrikit.errors import DataError
from mrikit.runs.interrupts import StopRequest
from mrikit.runs.picture import panel
from mrikit.runs.position import Position, State
from mrikit.runs.process import Process
from mrikit.runs.run_folder import save_checkpoint
from mrikit.runs.tracking import Tracker
from mrikit.training.build import build
from mrikit.training.config import RunConfig
from mrikit.training.deepspeed_config import accumulation_steps
from mrikit.training.extent import micro_batches, steps_per_epoch
from mrikit.training.losses import Losses
from mrikit.training.network import key_seed
from mrikit.training.objectives import ComparesWithStart, Draw, Validated, objective_of
from mrikit.training.optimizer import forget_last_step
from mrikit.training.parts import named_buffers_of, validated_parts
from mrikit.training.saving import gather_state, share_buffers, write_patterns, write_weights
from mrikit.training.schedule import learning_rate
from mrikit.training.step_sums import Agreed, detached, means_of, named_sums, sums_of
from mrikit.training.volumes import Study
from mrikit.training.zero_moments import whole_parameters
from mrikit.volumes import Volume

_ROWS_PER_EPOCH = 100  # steps of an epoch whose numbers are logged
_FIRST_STEPS = 200  # steps of a run of which every one is


class Engine:
    """A run on the way: weights, moments and position.

    Args:
        config: What to train.
        study: On what.
        folder: Where checkpoints and weights go.
        process: This one among those that compute together.
        state: Checkpoint to go on from, None to begin.
        say: Called on every process with one line worth telling.
    """

    def __init__(
        self,
        config: RunConfig,
        study: Study,
        folder: Path,
        process: Process,
        state: State | None,
        say: Callable[[str], None],
    ) -> None:
        self.config, self.study, self.folder, self.process = config, study, folder, process
        self.position = state.position if state else Position()
        self._trained_on = state.trained_on if state else ()
        self._num_micro = accumulation_steps(config.training, process.world_size)
        self.steps_per_epoch = steps_per_epoch(study.training.shapes, config)
        self.num_steps = self.steps_per_epoch * config.training.num_epochs
        self.objective = objective_of(config)
        built = build(config, self.objective, process, state, say)
        self.parts, self.mean, self._groups, self._optimizer, self._engine, self.num_weights = built
        self._saved = self.position
        self._last_lap = self._last_save = time.perf_counter()

    def run(self, tracker: Tracker, stop: StopRequest) -> None:
        """Train to the end, or to the step after which somebody asks to stop; then everything is saved.

        Args:
            tracker: Gets the rows of metrics; on the first process only they are meaningful.
            stop: Asked after every step.

        Raises:
            DataError: A slice cannot be read, or the loss is not finite.
            StorageError: A checkpoint cannot be written.
        """
        if self.position.step == 0:
            patterns = self.objective.patterns(self.parts) if self.process.is_first else {}
            if patterns:
                write_patterns(self.folder, self.config.training.first_epoch, patterns)
            self._show_pictures(tracker)
        if not self._validate_start(tracker, stop):
            return
        while True:
            step = self.position.step
            is_due = step > self.position.validated_step and step % self.steps_per_epoch == 0
            if is_due and not self._finish_epoch(tracker, stop):
                return
            if step == self.num_steps or not self._run_epoch(tracker, stop):
                return

    def _validate_start(self, tracker: Tracker, stop: StopRequest) -> bool:
        """What the run begins with, for an objective that compares with it; False if it was stopped."""
        is_asked = isinstance(self.objective, ComparesWithStart) and self.position.step == 0
        if not is_asked or not self.study.validation.volumes:
            return True
        found = self._validate(stop)
        if found is None:
            return False
        # Every checkpoint holds them, so that a run that goes on compares with the same numbers.
        self.position = replace(self.position, start_numbers=dict(found.numbers))
        epoch = self.config.training.first_epoch
        row = {"kind": "start", "step": 0, "epoch": epoch, **found.numbers}
        tracker.log(row | {"num_volumes": len(self.study.validation.volumes), "seconds": self._lap()})
        return True

    def _validate(self, stop: StopRequest) -> Validated | None:
        """The weights as they stand; None if it was stopped."""
        parts = validated_parts(self.parts, self.mean)
        found = self.objective.validate(parts, self.study.validation, self.process, stop)
        if found is None or not self.position.start_numbers:
            return found
        assert isinstance(self.objective, ComparesWithStart)
        return self.objective.against_start(found, self.position.start_numbers)

    def _run_epoch(self, tracker: Tracker, stop: StopRequest) -> bool:
        """What is left of the epoch; False if it was stopped."""
        epoch, num_done = divmod(self.position.step, self.steps_per_epoch)
        epoch += self.config.training.first_epoch
        plan = micro_batches(self.study.training.shapes, self.config, epoch)
        share = rank_share(plan, self.process.rank, self.process.world_size)[num_done * self._num_micro :]
        batches = load_batches(self.study.training, share, self.config.execution.num_workers)
        with contextlib.closing(batches):
            for _ in range(len(share) // self._num_micro):
                started = time.perf_counter()
                agreed = self._step(itertools.islice(batches, self._num_micro), epoch, stop)
                self._log_step(tracker, agreed, time.perf_counter() - started)
                if agreed.is_stopping or agreed.is_saving:
                    self._save()
                if agreed.is_stopping:
                    return False
        return True

    def _step(self, batches: Iterator[SliceBatch], epoch: int, stop: StopRequest) -> Agreed:
        """One optimizer step."""
        training = self.config.training
        self._set_rates()
        done: list[Losses] = []
        names: list[str] = []
        for number, batch in enumerate(batches):
            micro = (self.position.step * self._num_micro + number) * self.process.world_size + self.process.rank
            # Dropout asks the global generator; set for each micro-batch, it does not depend on what came before.
            torch.manual_seed(key_seed(training.seed, training.first_epoch, micro, "dropout"))
            losses = self._engine(self._prepare(batch, epoch), Draw(training.seed, epoch))
            done.append(detached(losses))
            names += [f"{self._volume(key.volume).info.volume_id}, slice {key.slice_index}" for key in batch.keys]
            # Every slice counts the same, also in the last, short micro-batch of its shape.
            self._engine.backward(losses.total.sum() / training.micro_batch_size)
            if number == self._num_micro - 1:
                agreed = self._agree(done, names, stop)
                forget_last_step(self._optimizer)
            self._engine.step()
        sums = {} if self.position.step % self.steps_per_epoch == 0 else self.position.epoch_sums
        sums = {name: sums.get(name, 0.0) + value for name, value in (*agreed.sums.items(), ("steps", 1.0))}
        self.position = replace(self.position, step=self.position.step + 1, epoch_sums=sums)
        if training.ema_decay:
            self._update_mean()
        return agreed

    def _set_rates(self) -> None:
        """Each group's share of the rate of this step; 0 before its first epoch."""
        rate = learning_rate(self.position.step, self.steps_per_epoch, self.config.training)
        epoch = self.position.step // self.steps_per_epoch
        for group, declared in zip(self._engine.optimizer.param_groups, self._groups, strict=True):
            group["lr"] = rate * declared.rate_scale if epoch >= declared.first_epoch else 0.0

    def _prepare(self, batch: SliceBatch, epoch: int) -> ScanBatch:
        """Full k-space on the device, augmented."""
        seed, chance = self.config.training.seed, self.config.augment.transpose_probability
        volumes = [self._volume(key.volume) for key in batch.keys]
        augment = make_augment(self.config.augment, seed=seed, epoch=epoch)
        data = self.config.data
        scan = prepare(
            batch,
            volumes,
            self.process.device,
            augment=augment,
            max_readout=data.max_readout,
            num_coils=data.num_coils,
        )
        return orient(scan, chance, seed=seed, epoch=epoch)

    def _agree(self, done: Sequence[Losses], names: Sequence[str], stop: StopRequest) -> Agreed:
        """Loss over all processes, and whether any wants to stop or the first to save.

        Raises:
            DataError: The loss is not finite; nothing was changed by this step then.
        """
        minutes = (time.perf_counter() - self._last_save) / 60
        is_due = self.process.is_first and minutes >= self.config.execution.checkpoint_minutes
        losses = torch.cat([one.total for one in done])
        wishes = torch.tensor([bool(stop), is_due], dtype=torch.float64)
        both = torch.cat([sums_of(done), wishes.to(losses.device)])
        if self.process.world_size > 1:
            dist.all_reduce(both)
        *sums, num_stopping, num_saving = both.tolist()
        found = named_sums(sums, done[0])
        total = found["loss"]
        if not math.isfinite(total):
            bad = [name for name, loss in zip(names, losses.tolist(), strict=True) if not math.isfinite(loss)]
            where = next(name for part in self.process.gather(bad) for name in part)
            raise DataError(
                f"the loss is {total:g} at step {self.position.step + 1}: {where}; {self._last_good()}; look at that "
                f"file, or start anew with another --out and a lower training.max_lr or a training.max_grad_norm"
            )
        return Agreed(sums=found, is_stopping=num_stopping > 0, is_saving=num_saving > 0)

    def _finish_epoch(self, tracker: Tracker, stop: StopRequest) -> bool:
        """Validate, keep the weights if they are the best, save; False if it was stopped before."""
        if not self.config.training.ema_decay:
            self._update_mean()
        step = self.position.step
        epoch = self.config.training.first_epoch + step // self.steps_per_epoch
        row: dict[str, Any] = {"kind": "validation", "step": step, "epoch": epoch}
        is_best = True
        # Validation may take long, and weights shall never lie in a folder without a checkpoint to go on from.
        self._save()
        if self.study.validation.volumes:
            found = self._validate(stop)
            if found is None:
                return False
            is_best = self.position.best_step == 0 or self._is_better(found.score)
            row |= {**found.numbers, "is_best": is_best, "num_volumes": len(self.study.validation.volumes)}
            row |= {"failed": found.failed} if found.failed else {}
            if is_best:
                self.position = replace(self.position, best_step=step, best_score=found.score)
            if found.patterns and self.process.is_first:
                write_patterns(self.folder, epoch, found.patterns)
        self.position = replace(self.position, validated_step=step)
        if is_best:
            self._write_weights(row)
        if self.study.validation.volumes:
            tracker.log(row | {"seconds": self._lap()})
        if epoch % self.config.execution.picture_epochs == 0 or step == self.num_steps:
            self._show_pictures(tracker)
        self._save()
        return True

    def _show_pictures(self, tracker: Tracker) -> None:
        """What the kept weights make of the same few slices; all processes take part."""
        if self.study.validation.volumes and self.config.execution.num_pictures:
            pictures = self.objective.pictures(self.mean.parts, self.study.validation, self.process)
            if pictures and self.process.is_first:
                tracker.show("validation", panel(pictures), self.position.step)

    def _is_better(self, score: float) -> bool:
        best = self.position.best_score
        return score > best if self.objective.score.higher_is_better else score < best

    def _write_weights(self, row: Mapping[str, Any]) -> None:
        record = {**self._facts(), "num_weights": self.num_weights}
        record |= {key: value for key, value in row.items() if key not in ("kind", "is_best")}
        write_weights(self.folder, self.config, self.parts, self.mean, record, is_first=self.process.is_first)

    def _facts(self) -> dict[str, Any]:
        """What weights and checkpoints say of the run."""
        data = self.config.data
        own = {volume.info.volume_id for volume in self.study.training.volumes}
        return {
            "task": self.config.task,
            "stage": self.config.stage,
            "size": self.config.size,
            "anatomy": data.anatomy,
            "masks": [plan.facts for plan in data.plans],
            "validation_masks": [plan.facts for plan in data.validation_plans],
            **({"sampler": asdict(self.config.sampler)} if self.config.sampler.kind else {}),
            **({"evaluator": asdict(self.config.evaluator)} if self.config.objective == "evaluator" else {}),
            **({"orientation": asdict(self.config.orientation)} if self.config.objective == "orientation" else {}),
            **({"adversary": asdict(self.config.adversary)} if self.config.objective == "adversary" else {}),
            "max_readout": data.max_readout,
            "matrix": list(data.matrix),
            "num_coils": data.num_coils,
            "trained_on": sorted(own.union(self._trained_on)),
        }

    def _save(self) -> None:
        """Write a checkpoint, if there is none of this position; all processes take part."""
        if self._saved == self.position:
            return
        mean = self.mean if self.config.training.ema_decay else None
        tensors = gather_state(self._engine, self.parts, mean, is_first=self.process.is_first)
        if self.process.is_first:
            broken = [name for name, value in tensors.items() if not value.isfinite().all()]
            if broken:
                raise DataError(
                    f"{broken[0]} is not finite after step {self.position.step}; {self._last_good()}; start "
                    f"anew with another --out and a lower training.max_lr or a training.max_grad_norm"
                )
            record = {**self._facts(), "model": self.config.model, "model_config": self.config.model_config}
            record |= {"position": asdict(self.position), "num_steps": self.num_steps}
            save_checkpoint(
                self.folder,
                self.position.step,
                tensors,
                record,
                last_good_step=self._saved.step,
                keep=self.config.execution.keep,
                max_disk_gb=self.config.execution.max_disk_gb,
                best_step=self.position.best_step if self.config.execution.keep_best else 0,
            )
        self._saved, self._last_save = self.position, time.perf_counter()

    def _update_mean(self) -> None:
        with whole_parameters(self.parts) as parameters:
            self.mean.update(parameters, self.position.step + self.position.carried_steps)
        if self.mean.has_buffers:
            share_buffers(self.parts)
            self.mean.copy_buffers(named_buffers_of(self.parts))

    def _log_step(self, tracker: Tracker, agreed: Agreed, seconds: float) -> None:
        """Every step at first, then a hundred an epoch; and the means of an epoch at its end."""
        step = self.position.step
        is_end = step % self.steps_per_epoch == 0
        if is_end or step <= _FIRST_STEPS or step % max(1, self.steps_per_epoch // _ROWS_PER_EPOCH) == 0:
            epoch = self.config.training.first_epoch + step / self.steps_per_epoch
            row = {"kind": "train", "step": step, "epoch": round(epoch, 4), **agreed.numbers}
            row |= {"lr": self._engine.optimizer.param_groups[0]["lr"], "seconds": self._lap()}
            row |= {"slices_per_second": round(self.config.training.batch_size / seconds, 3)}
            norm = self._engine.get_global_grad_norm()
            tracker.log(row if norm is None else row | {"grad_norm": float(norm)})
        # Of an epoch that a former version began, some steps are not known.
        if is_end and self.position.epoch_sums["steps"] == self.steps_per_epoch:
            epoch = self.config.training.first_epoch + step // self.steps_per_epoch
            tracker.log({"kind": "epoch", "step": step, "epoch": epoch, **means_of(self.position.epoch_sums)})

    def _lap(self) -> float:
        """Seconds since the last row."""
        now = time.perf_counter()
        seconds, self._last_lap = now - self._last_lap, now
        return round(seconds, 3)

    def _volume(self, position: int) -> Volume:
        return self.study.training.volumes[position]

    def _last_good(self) -> str:
        paths = find_checkpoints(self.folder)
        return f"the last good checkpoint is {paths[-1]}" if paths else "there is no checkpoint yet"
