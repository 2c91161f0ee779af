"""A training run with its progress bar, and what came of it."""

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from mrikit.commands.places import Location
from mrikit.commands.progress import Progress
from mrikit.commands.training_kinds import kind_of

if TYPE_CHECKING:
    from mrikit.recipes.tasks import AnyRunConfig
    from mrikit.storage import Place
    from mrikit.training import TrainSummary

_LONGEST_WORD_S = 30.0


def run(
    config: "AnyRunConfig",
    data: Location | Sequence[Location],
    place: "Place",
    *,
    validation_data: Location | None = None,
    patients: Path | None = None,
    start: Path | None = None,
    trackers: list[str] | None = None,
    device: str = "cpu",
) -> "TrainSummary":
    """Train with a progress bar, and say what came of it.

    Args:
        config: What to train and how.
        data: Folder of fully sampled volumes, or several.
        place: Of the run.
        validation_data: Volumes to validate on.
        patients: Table of whose the volumes are.
        start: Run, checkpoint or weights to begin with.
        trackers: Besides `metrics.jsonl`.
        device: `cpu` or `cuda`.

    Raises:
        MrikitError: See `mrikit.training.train`.
    """
    from mrikit.runs.process import ToldElsewhereError

    kind = kind_of(config)
    progress = Progress(_title(config), "steps")
    is_counting = False
    with progress if is_first() else contextlib.nullcontext():

        def show(row: Mapping[str, Any], num_steps: int) -> None:
            place.check()
            if row["kind"] in ("start", "validation"):
                progress.say(kind.validation(row, config))
            if row["kind"] != "train":
                return
            nonlocal is_counting
            if not is_counting:  # the steps of earlier commands are not the rate of this one
                progress.begin(_title(config), "steps", num_steps, done=row["step"])
                is_counting = True
            progress.show(row["step"], num_steps, note=kind.numbers(row))

        try:
            summary = kind.train(
                config,
                data,
                place.folder,
                validation_data=validation_data,
                patients=patients,
                start=start,
                device=device,
                trackers=trackers or [],
                sync=place.sync,
                say=progress.say,
                on_row=show,
            )
        except ToldElsewhereError:
            leave_the_word_to_another()
    if summary.is_first:
        _show_result(summary, config, place.folder)
    return summary


def stage_places(configs: Sequence["AnyRunConfig"], base: "Place") -> list["Place"]:
    """Where the stages of a run lie; a run without stages is the folder itself."""
    return [replace(base, folder=base.folder / f"stage-{config.stage}") if config.stage else base for config in configs]


def leave_the_word_to_another() -> NoReturn:
    """End after the process that says what is wrong.

    A launcher ends all processes when the first one goes, and that one shall have spoken. This one is
    ended in its sleep.
    """
    time.sleep(_LONGEST_WORD_S)
    raise typer.Exit(1)


def is_first() -> bool:
    """Whether this is the first of the processes that torchrun started, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def num_processes() -> int:
    """How many torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _title(config: "AnyRunConfig") -> str:
    stage = f" stage {config.stage}" if config.stage else ""
    return f"{config.task} {config.size}{stage}"


def _show_result(summary: "TrainSummary", config: "AnyRunConfig", folder: Path) -> None:
    from mrikit.run_files import WEIGHTS_FILE
    from mrikit.storage import shown

    position = summary.position
    stage = f"stage {config.stage}: " if config.stage else ""
    if summary.signal is not None:
        typer.echo(
            f"{stage}stopped after step {position.step} of {summary.num_steps}; the same command goes on from there"
        )
        return
    if summary.resumed_step == summary.num_steps:
        typer.echo(f"{stage}all {summary.num_steps} steps of this run were done before")
    best = kind_of(config).best(summary, config) if position.best_step else "nothing was held out to validate on"
    typer.echo(f"{stage}{best}; weights in {shown(folder / WEIGHTS_FILE)}")
