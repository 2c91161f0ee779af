"""`train_policy`: the learning of a policy from its folder's state to its end."""

import contextlib
import hashlib
import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from mrikit import __version__
from mrikit.acquire.learning.config import PolicyRunConfig, is_free
from mrikit.acquire.learning.loop import Loop
from mrikit.acquire.learning.material import Material, open_material
from mrikit.acquire.rewards import ERRORS
from mrikit.config import build_config
from mrikit.errors import ConfigError
from mrikit.launch import read_launch
from mrikit.models.precision import real_float32
from mrikit.run_files import CONFIG_FILE
from mrikit.runs.determinism import deterministic
from mrikit.runs.interrupts import stop_requests
from mrikit.runs.position import find_state
from mrikit.runs.run_folder import LAYOUT, Claim, append_log, claim_folder, locked
from mrikit.runs.tracking import open_trackers, require_trackers
from mrikit.storage import Location, shown
from mrikit.training import TrainSummary


def train_policy(
    config: PolicyRunConfig,
    data: Location | Sequence[Location],
    folder: Path,
    *,
    validation_data: Location | None = None,
    patients: Path | None = None,
    start: Path | None = None,
    device: str = "cpu",
    trackers: Sequence[str] = (),
    sync: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda _line: None,
    on_row: Callable[[Mapping[str, Any], int], None] = lambda _row, _num_steps: None,
) -> TrainSummary:
    """Learn a policy, from the newest checkpoint in the folder if there is one.

    Killed at any time and called again in the same way, it ends with the same weights: on a CPU bit for bit, with the
    same number of threads.

    Args:
        config: What to learn and how; a recipe of `mrikit.recipes`.
        data: Folder of fully sampled volumes, or several.
        folder: Of the run.
        validation_data: Volumes to validate on; without it those that folders of `data` name, or patients held out.
        patients: Table of whose the volumes are.
        start: Run or weights of the reconstructor, also where the run goes on; None where the run names a classical
            one.
        device: `cpu` or `cuda`.
        trackers: Names of `mrikit.runs.tracking`, besides `metrics.jsonl`.
        sync: Called before the folder is looked into: where each machine has a copy of it, this makes them alike.
        say: Called with one line worth telling.
        on_row: Called with every row of metrics and the number of steps of the run.

    Raises:
        ConfigError: Settings that do not fit each other, the data or the run in the folder; or several processes.
        DataError: A volume cannot be used, or the loss is not finite.
        CheckpointError: The run's checkpoints or the reconstructor cannot be read.
        StorageError: The folder cannot be written, or the disk is full.
        JobError: Another process trains in the folder.
    """
    require_one_process(config)
    require_trackers(trackers)

    def tell(line: str) -> None:
        say(shown(line))
        append_log(folder, shown(line))

    num_steps = config.learning.num_steps
    with deterministic(config.execution.deterministic), real_float32(), contextlib.ExitStack() as held:
        sync()
        held.enter_context(locked(folder))
        material = open_material(config, data, start, torch.device(device), validation_data, patients)
        claim_folder(folder, _claim(config, data, material))
        loop = Loop(config, material, folder, find_state(folder, tell))
        position = loop.position
        for line in (*material.study.notes, _plan_line(config, material, loop)):
            tell(line)
        tracker = open_trackers(
            trackers,
            folder,
            run_name=config.name,
            config=asdict(config),
            resume_step=position.step,
            validated_step=position.validated_step,
        )

        def log(row: Mapping[str, Any]) -> None:
            tracker.log(row)
            on_row(row, num_steps)

        with contextlib.closing(tracker), stop_requests(tell) as stop:
            loop.run(log, stop)
        tell(f"{'finished' if loop.is_finished else 'stopped'} after step {loop.position.step} of {num_steps}")
        return TrainSummary(
            position=loop.position,
            num_steps=num_steps,
            steps_per_epoch=len(material.training) * config.episode.budget,
            resumed_step=position.step,
            signal=None if loop.is_finished else stop.signal or signal.SIGTERM,
            is_first=True,
        )


def require_one_process(config: PolicyRunConfig) -> None:
    """Refuse to learn in several processes.

    Raises:
        ConfigError: Several were started.
    """
    num_processes = read_launch(os.environ).world_size
    if num_processes > 1:
        raise ConfigError(
            f"{config.name}: a policy learns in one process, found {num_processes}; start one, with --stage "
            f"{config.stage} after the stage before it"
        )


def _claim(config: PolicyRunConfig, data: Location | Sequence[Location], material: Material) -> Claim:
    score = config.episode.score
    start = hashlib.sha256(json.dumps(asdict(material.info)).encode()).hexdigest()[:16]
    return Claim(
        title={
            "task": config.task,
            "size": config.size,
            "objective": "policy",
            "policy": config.policy,
            "score": {
                "name": "area",
                "words": f"area under the {score} curve",
                "higher_is_better": score not in ERRORS,
            },
            "version": __version__,
            "layout": LAYOUT,
        },
        settings=asdict(config),
        data=[data] if isinstance(data, Location) else data,
        data_digest=material.study.digest,
        start=start,
        complete=lambda found: asdict(build_config(PolicyRunConfig, found, CONFIG_FILE)),
        is_free=is_free,
    )


def _plan_line(config: PolicyRunConfig, material: Material, loop: Loop) -> str:
    step, num_steps = loop.position.step, config.learning.num_steps
    begin = f"going on after line {step} of" if step else "learning for"
    num_validation = len(material.validation) if material.validation else 0
    weights = sum(weight.numel() for weight in loop.learner.network.parameters())
    return (
        f"{begin} {num_steps} lines: {config.policy} with {weights:,} weights, {len(material.training)} slices to "
        f"learn from and {num_validation} to validate on, images by {material.info.name}, "
        f"{material.training.device.type}"
    )
