"""The one loop in which policies learn: rounds, rows, validations and checkpoints."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from mrikit.acquire.learning.config import PolicyRunConfig
from mrikit.acquire.learning.learner import Learner, Round
from mrikit.acquire.learning.material import Material, new_episodes
from mrikit.acquire.learning.playing import episodes_state, restore_episodes
from mrikit.acquire.learning.validate import is_better, play_all
from mrikit.acquire.policies.table import PolicySetting, policy_kind
from mrikit.acquire.trained import policy_facts, save_trained
from mrikit.checkpoint import read_tensors
from mrikit.config import build_config
from mrikit.errors import ConfigError
from mrikit.randomness import generator
from mrikit.run_files import WEIGHTS_FILE
from mrikit.runs.interrupts import StopRequest
from mrikit.runs.position import Position, State
from mrikit.runs.run_folder import save_checkpoint

_ROWS = 200  # of a run, besides validations
_LEARNER = "learner/"

Log = Callable[[Mapping[str, Any]], None]


class Loop:
    """A run on the way: a learner, its episodes and its position, counted in lines chosen.

    Args:
        config: What to learn.
        material: From what.
        folder: Where checkpoints and weights go.
        state: Checkpoint to go on from, None to begin.

    Raises:
        CheckpointError: The checkpoint does not fit the run.
        ConfigError: The policy does not fit the data, or needs packages that are not installed.
    """

    def __init__(self, config: PolicyRunConfig, material: Material, folder: Path, state: State | None) -> None:
        self.config, self.material, self.folder = config, material, folder
        self.position = state.position if state else Position()
        self.episodes = new_episodes(material, material.training, config, config.learning.num_rows)
        self.learner = new_learner(config, material.training.matrix, material.training.device)
        if state:
            tensors = read_tensors(state.path, _LEARNER)
            self.learner.restore(tensors)
            restore_episodes(tensors, self.episodes)
        self._saved = self.position
        self._last_lap = self._last_save = time.perf_counter()

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.position.validated_step >= self.config.learning.num_steps

    def run(self, log: Log, stop: StopRequest) -> None:
        """Learn to the end, or to the round after which somebody asks to stop; then everything is saved.

        Args:
            log: Takes the rows of metrics.
            stop: Asked after every round.

        Raises:
            DataError: A slice cannot be read, or a loss is not finite.
            StorageError: A checkpoint cannot be written.
        """
        while True:
            if self._is_due and not self._validate(log, stop):
                return
            if self.position.step >= self.config.learning.num_steps:
                return
            self._play(log)
            minutes = (time.perf_counter() - self._last_save) / 60
            if stop or minutes >= self.config.execution.checkpoint_minutes:
                self._save()
            if stop:
                return

    @property
    def _is_due(self) -> bool:
        step, validated, every = self.position.step, self.position.validated_step, self.config.learning.validation_steps
        is_at_end = step >= self.config.learning.num_steps and validated < step
        return is_at_end or step // every > validated // every

    def _play(self, log: Log) -> None:
        """One round, and a row if it is time for one: of the rounds since the last row."""
        done = self.learner.round(self.episodes)
        before, step = self.position.step, self.position.step + done.num_steps
        sums = _added(self.position.epoch_sums, done)
        every = max(1, self.config.learning.num_steps // _ROWS)
        is_time = step // every > before // every or step >= self.config.learning.num_steps
        self.position = replace(self.position, step=step, epoch_sums={} if is_time else sums)
        if is_time:
            seconds = self._lap()
            per_second = round(sums["steps"] / seconds, 3) if seconds else None
            row = {"kind": "train", "step": step, "epoch": self._epoch(), **_means(sums)}
            log({**row, "seconds": seconds, "steps_per_second": per_second})

    def _validate(self, log: Log, stop: StopRequest) -> bool:
        """Play the held-out slices, keep the weights if they are the best, save; False if it was stopped before."""
        # Weights shall never lie in a folder without a checkpoint to go on from.
        self._save()
        step, score = self.position.step, self.config.episode.score
        row: dict[str, Any] = {"kind": "validation", "step": step, "epoch": self._epoch()}
        is_best, slices = True, self.material.validation
        if slices is not None:
            played = play_all(
                self.learner.policy,
                lambda num_rows: new_episodes(self.material, slices, self.config, num_rows),
                len(slices),
                self.config.learning.num_rows,
                lambda: bool(stop),
            )
            if played is None:
                return False
            is_best = self.position.best_step == 0 or is_better(score, played.area, self.position.best_score)
            row |= {"score": score, "area": played.area, "final": played.final, "is_best": is_best}
            row |= {"num_volumes": len(slices.volumes), "num_slices": len(slices)}
            if is_best:
                self.position = replace(self.position, best_step=step, best_score=played.area)
        self.position = replace(self.position, validated_step=step)
        if is_best:
            numbers = {name: value for name, value in row.items() if name not in ("kind", "is_best")}
            record = {**numbers, "trained_on": self._trained_on()}
            matrix = self.material.training.matrix
            path = self.folder / WEIGHTS_FILE
            save_trained(path, self.config, self.learner.network, matrix, self.material.info, record)
        if slices is not None:
            log({**row, "seconds": self._lap()})
        self._save()
        return True

    def _save(self) -> None:
        """Write a checkpoint, if there is none of this position."""
        if self._saved == self.position:
            return
        tensors = {**self.learner.state(), **episodes_state(self.episodes)}
        record = {
            **policy_facts(self.config, self.material.training.matrix, self.material.info),
            "position": asdict(self.position),
            "num_steps": self.config.learning.num_steps,
            "trained_on": self._trained_on(),
        }
        save_checkpoint(
            self.folder,
            self.position.step,
            {_LEARNER + name: value for name, value in tensors.items()},
            record,
            last_good_step=self._saved.step,
            keep=self.config.execution.keep,
            max_disk_gb=self.config.execution.max_disk_gb,
            best_step=self.position.best_step if self.config.execution.keep_best else 0,
        )
        self._saved, self._last_save = self.position, time.perf_counter()

    def _trained_on(self) -> list[str]:
        return sorted({*self.material.training.volume_ids, *self.material.trained_on})

    def _epoch(self) -> float:
        """Times that all lines of all slices could have been chosen."""
        return round(self.position.step / (len(self.material.training) * self.config.episode.budget), 4)

    def _lap(self) -> float:
        """Seconds since the last row."""
        now = time.perf_counter()
        seconds, self._last_lap = now - self._last_lap, now
        return round(seconds, 3)


def new_learner(config: PolicyRunConfig, matrix: tuple[int, int], device: torch.device) -> Learner:
    """The learner of a run, with weights drawn from its seed.

    Raises:
        ConfigError: The policy does not fit the matrix, or needs packages that are not installed.
    """
    kind = policy_kind(config.policy)
    setting = PolicySetting(matrix=matrix, num_given=config.episode.num_given, budget=config.episode.budget)
    settings = build_config(kind.config, config.policy_config, "policy_config")
    if kind.learner is None:
        raise ConfigError(f"the policy {config.policy} needs no training")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator(config.learning.seed, "weights").integers(2**63)))
        policy = kind.build(settings, setting)
    network = getattr(policy, "network")  # noqa: B009 - of policies that learn
    network.to(device)
    return kind.learner(policy, settings, setting, config)


def _added(sums: Mapping[str, float], done: Round) -> dict[str, float]:
    """Sums over rounds; of each number also in how many it was."""
    new = {"rounds": 1.0, "steps": float(done.num_steps)}
    for name, value in done.numbers.items():
        new |= {name: value, f"num_{name}": 1.0}
    return {
        name: sums.get(name, 0.0) + new.get(name, 0.0) for name in (*sums, *(key for key in new if key not in sums))
    }


def _means(sums: Mapping[str, float]) -> dict[str, float]:
    names = [name for name in sums if f"num_{name}" in sums]
    return {name: sums[name] / sums[f"num_{name}"] for name in names}
