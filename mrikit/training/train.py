"""`train`: a run from its folder's state to its end."""

import contextlib
import datetime as dt
import hashlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mrikit import __version__
from mrikit.config import build_config
from mrikit.errors import ConfigError, DataError, JobError
from mrikit.models.precision import real_float32
from mrikit.run_files import CONFIG_FILE
from mrikit.runs.determinism import deterministic
from mrikit.runs.interrupts import stop_requests
from mrikit.runs.position import Position, State, find_state
from mrikit.runs.process import Process, joined, told_once
from mrikit.runs.run_folder import LAYOUT, Claim, append_log, claim_folder, locked
from mrikit.runs.tracking import Tracker, open_trackers, require_trackers
from mrikit.runs.transport import find_fabric, transport_line
from mrikit.storage import Location, shown
from mrikit.training.config import RunConfig, is_free
from mrikit.training.engine import Engine
from mrikit.training.initial_weights import load_start, start_identity
from mrikit.training.objectives import objective_of
from mrikit.training.volumes import Study, for_study, open_study
from mrikit.words import counted

_LOST_PEER = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL")
_LONGEST_INDEX = dt.timedelta(hours=12)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSummary:
    """Where a run stands when `train` returns."""

    position: Position
    num_steps: int
    """Optimizer steps of the whole run."""
    steps_per_epoch: int
    resumed_step: int
    """Step that it went on from; 0 for a new run."""
    signal: signal.Signals | None
    """What asked it to stop; None if it is finished."""
    is_first: bool
    """Whether this process is the one that talks."""


def train(
    config: RunConfig,
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
    """Train a network, from the newest checkpoint in the folder if there is one.

    Started by torchrun, all its processes compute together. Killed at any time and called again in the same way, it
    ends with the same weights: on one CPU process bit for bit, with the same number of threads; with another number of
    processes or another ZeRO stage to rounding.

    Args:
        config: What to train and how; a recipe of `mrikit.recipes`.
        data: Folder of fully sampled volumes, or several.
        folder: Of the run.
        validation_data: Volumes to validate on; without it those that folders of `data` name, or patients held out.
        patients: Table of whose the volumes are.
        start: Run, checkpoint or weights that a new run begins with; not read where the run goes on and it is gone.
        device: `cpu` or `cuda`.
        trackers: Names of `mrikit.runs.tracking`, besides `metrics.jsonl`.
        sync: Called by the first process, then by the others, before they look into the folder: where each machine has
            a copy of it, this makes them alike.
        say: Called on the first process with one line worth telling.
        on_row: Called on the first process with every row of metrics and the number of steps of the run.

    Raises:
        ConfigError: Settings that do not fit each other, the data, the processes or the run in the folder.
        DataError: A volume cannot be used, or the loss is not finite.
        CheckpointError: The run's checkpoints cannot be read.
        StorageError: The folder cannot be written, or the disk is full.
        JobError: Another process of the run died or trains in the folder, or memory does not suffice.
    """
    with (
        joined(device) as process,
        told_once(process),
        _one_line_if_it_dies(process, folder),
        deterministic(config.execution.deterministic),
        real_float32(),
        contextlib.ExitStack() as held,
    ):
        require_trackers(trackers)
        tell = _teller(folder, process, say)
        with _first_goes_ahead(process):
            sync()
            if process.is_first:
                held.enter_context(locked(folder))
            study = open_study(config, data, validation_data, patients)
            config = for_study(config, study)
            beginning = start_identity(start, folder)
            if process.is_first:
                claim_folder(folder, _claim(config, data, study, beginning))
        common = (config, study, folder, process)
        engine = Engine(*common, _state(*common, start, beginning, tell), tell)
        resumed_step = engine.position.step
        for line in (*study.notes, _plan_line(engine, study, process), _transport(process)):
            if line:
                tell(line)
        tracker = _tracker(
            config, folder, process, trackers, engine.position, lambda row: on_row(row, engine.num_steps)
        )
        with contextlib.closing(tracker), stop_requests(tell) as stop:
            engine.run(tracker, stop)
        is_finished = engine.position.validated_step == engine.num_steps
        tell(f"{'finished' if is_finished else 'stopped'} after step {engine.position.step} of {engine.num_steps}")
        return TrainSummary(
            position=engine.position,
            num_steps=engine.num_steps,
            steps_per_epoch=engine.steps_per_epoch,
            resumed_step=resumed_step,
            signal=None if is_finished else stop.signal or signal.SIGTERM,
            is_first=process.is_first,
        )


def _claim(config: RunConfig, data: Location | Sequence[Location], study: Study, beginning: str | None) -> Claim:
    return Claim(
        title={
            "task": config.task,
            "size": config.size,
            "model": config.model,
            "objective": config.objective,
            "score": asdict(objective_of(config).score),
            "version": __version__,
            "layout": LAYOUT,
        },
        settings=asdict(config),
        data=[data] if isinstance(data, Location) else data,
        data_digest=study.digest,
        start=beginning,
        complete=lambda found: asdict(build_config(RunConfig, found, CONFIG_FILE)),
        is_free=is_free,
    )


def _state(
    config: RunConfig,
    study: Study,
    folder: Path,
    process: Process,
    start: Path | None,
    beginning: str | None,
    tell: Callable[[str], None],
) -> State | None:
    """The newest checkpoint, or what the run begins with; nobody keeps it, for it may be mapped from its file.

    Raises:
        CheckpointError: There are checkpoints that cannot be read, or the start does not fit the run.
        ConfigError: It is a later stage of a run and has no start.
        DataError: It would be validated on what it was trained on.
        JobError: See `_common_state`.
    """
    state = _common_state(config, study, folder, process, beginning, tell)
    if state is None and start is not None:
        state = load_start(start, config, tell)
    if state is None and config.stage > 1:
        raise ConfigError(f"{config.name} begins with the stage before it; give its folder, or other weights, as start")
    if state is not None:
        _require_unseen(state, study)
    return state


def _require_unseen(state: State, study: Study) -> None:
    """Stop if a volume to validate on was trained on in an earlier stage: the best weights would be those that know it.

    Raises:
        DataError: One was.
    """
    seen = set(state.trained_on)
    both = [volume.info.volume_id for volume in study.validation.volumes if volume.info.volume_id in seen]
    if both:
        raise DataError(
            f"{len(both)} volumes to validate on, such as {both[0]}, were trained on before by {state.path}; validate "
            f"on the same patients in all stages: with the same --data, --validation-data, training.seed and "
            f"data.num_validation"
        )


def _common_state(
    config: RunConfig, study: Study, folder: Path, process: Process, beginning: str | None, tell: Callable[[str], None]
) -> State | None:
    """The newest checkpoint, if there is one; all processes must find the same.

    Raises:
        JobError: They see different disks or were not started alike, so that their steps would not fit each other.
    """
    state = find_state(folder, tell)
    found = {
        "settings": hashlib.sha256(repr(config).encode()).hexdigest()[:8],
        "volumes": study.digest[:8],
        "step of the newest checkpoint": state.position.step if state else 0,
        "weights to begin with": beginning,
    }
    first, *others = process.gather(found)
    for rank, theirs in enumerate(others, 1):
        for what, value in theirs.items():
            if value != first[what]:
                raise JobError(
                    f"process {rank} differs from the first one in its {what} ({value}, not {first[what]}); start all "
                    f"with the same command, with data and {folder} on disks that they share"
                )
    return state


class _Rows:
    """Metrics of the first process to its trackers and to whoever watches; those of the others go nowhere."""

    def __init__(self, tracker: Tracker | None, watch: Callable[[Mapping[str, Any]], None]) -> None:
        self._tracker, self._watch = tracker, watch

    def log(self, row: Mapping[str, Any]) -> None:
        if self._tracker:
            self._tracker.log(row)
            self._watch(row)

    def show(self, name: str, image: npt.NDArray[np.uint8], step: int) -> None:
        if self._tracker:
            self._tracker.show(name, image, step)

    def close(self) -> None:
        if self._tracker:
            self._tracker.close()


def _tracker(
    config: RunConfig,
    folder: Path,
    process: Process,
    names: Sequence[str],
    position: Position,
    watch: Callable[[Mapping[str, Any]], None],
) -> _Rows:
    if not process.is_first:
        return _Rows(None, watch)
    opened = open_trackers(
        names,
        folder,
        run_name=config.name,
        config=asdict(config),
        resume_step=position.step,
        validated_step=position.validated_step,
    )
    return _Rows(opened, watch)


def _teller(folder: Path, process: Process, say: Callable[[str], None]) -> Callable[[str], None]:
    """Says a line on the first process and keeps it in the run's log."""

    def tell(line: str) -> None:
        if process.is_first:
            line = shown(line)
            say(line)
            append_log(folder, line)

    return tell


def _transport(process: Process) -> str:
    """How the machines talk; all processes take part."""
    return transport_line(process.gather(find_fabric(os.environ))) if process.device.type == "cuda" else ""


def _plan_line(engine: Engine, study: Study, process: Process) -> str:
    held_out = len(study.validation.volumes)
    processes = f"{process.world_size} processes on " if process.world_size > 1 else ""
    epochs = counted(engine.config.training.num_epochs, "epoch")
    begin = f"going on after step {engine.position.step} of" if engine.position.step else "training for"
    return (
        f"{begin} {engine.num_steps} steps ({epochs} of {engine.steps_per_epoch}): "
        f"{engine.config.model} with {engine.num_weights:,} weights, {len(study.training.volumes)} volumes to train on "
        f"and {held_out} to validate on, {processes}{process.device.type}"
    )


@contextlib.contextmanager
def _first_goes_ahead(process: Process) -> Iterator[None]:
    """The first process does the block before the others, which then find its files, or fail as it did."""
    # Not a barrier, which gives up after minutes: looking into every file of a mounted container takes hours.
    if not process.is_first:
        process.store.wait(["first is ready"], _LONGEST_INDEX)
    try:
        yield
    finally:
        if process.is_first:
            process.store.set("first is ready", "yes")


@contextlib.contextmanager
def _one_line_if_it_dies(process: Process, folder: Path) -> Iterator[None]:
    """What no code of ours can mend, on one line: too little memory on a GPU, or another process that died."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise JobError(
            f"the memory of {process.device} does not suffice; the same command goes on with its size, such as "
            f"--fit 8GB, or start anew with a smaller --size"
        ) from error
    except RuntimeError as error:
        if process.world_size == 1 or not any(sign in str(error) for sign in _LOST_PEER):
            raise
        reason = str(error).splitlines()[0]
        raise JobError(
            f"another process of the run in {folder} died ({reason}); the same command goes on from the last checkpoint"
        ) from error
