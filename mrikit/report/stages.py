"""Stages of one training as one run: their steps follow each other."""

import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from mrikit.report.training import CONFIG_KEYS, Snapshot, StageStart, TrainingRun
from mrikit.runs.picture import first_to_last

_STAGE_FOLDER = re.compile(r"stage-(\d+)")


def join_stages(runs: Iterable[TrainingRun]) -> list[TrainingRun]:
    """The same runs, with those in `stage-1`, `stage-2`, ... of one folder joined in order; sorted by path.

    Their epochs already go on from stage to stage; the steps are made to.
    """
    joined = []
    for _, group in groupby(sorted(runs, key=_key), key=lambda run: _key(run)[:-1]):
        members = list(group)
        joined.append(_join(members) if _number(members[0]) else members[0])
    return sorted(joined, key=lambda run: run.path)


def _key(run: TrainingRun) -> tuple[Any, ...]:
    """Equal but for its last part for stages of one training."""
    number = _number(run)
    folder = run.path.parent if number else run.path
    return (folder, *(str(run.config[key]) for key in CONFIG_KEYS), number)


def _number(run: TrainingRun) -> int:
    found = _STAGE_FOLDER.fullmatch(run.path.name)
    return int(found[1]) if found else 0


def _join(members: list[TrainingRun]) -> TrainingRun:
    num_steps, train, validation, starts = 0.0, [], [], []
    for run in members:
        epochs = [
            point[0] for point in run.points("train", "epoch", "step") + run.points("validation", "epoch", "step")
        ]
        starts.append(StageStart(_number(run), num_steps, min(epochs, default=0.0)))
        train += [_later(row, num_steps) for row in run.train]
        validation += [_later(row, num_steps) for row in run.validation]
        num_steps += max((row["step"] for row in (*run.train, *run.validation)), default=0)
    return replace(
        members[0],
        path=_folder(members),
        config={f"stage {_number(run)}": run.config for run in members}
        | {k: members[0].config[k] for k in CONFIG_KEYS},
        train=tuple(train),
        validation=tuple(validation),
        num_damaged=sum(run.num_damaged for run in members),
        stages=tuple(starts),
        snapshots=_snapshots(members),
        masks=tuple(path for run in members for path in run.masks),
    )


def _snapshots(members: list[TrainingRun]) -> tuple[Snapshot, ...]:
    found = [
        shown._replace(caption=f"stage {_number(run)}, {shown.caption}") for run in members for shown in run.snapshots
    ]
    return tuple(first_to_last(found))


def _folder(members: list[TrainingRun]) -> Path:
    """What holds all stages; of a single one, itself."""
    return members[0].path.parent if len(members) > 1 else members[0].path


def _later(row: dict[str, Any], num_steps: float) -> dict[str, Any]:
    return row | {"step": row["step"] + num_steps}
