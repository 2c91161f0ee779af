"""One training with several seeds: what came of each, and the best by validation."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mrikit.report.sweep.runs import SEED, SweepRun, found_training
from mrikit.report.training import TrainingRun
from mrikit.run_files import SEEDS_FILE
from mrikit.storage import write_json

FAILED, SUCCEEDED = "failed", "succeeded"


def read_seed(name: str, task: str, seed: int, folder: Path, error: str = "") -> SweepRun:
    """What came of one seed.

    It has failed if it ended with an error, or if a validation found it failed, also where it recovered.

    Args:
        name: Of its folder.
        task: What was trained.
        seed: `training.seed`.
        folder: Of its last stage.
        error: The line that it ended with; empty if it was trained to its end.

    Raises:
        StorageError: A file of the run cannot be read.
    """
    training, seconds = found_training(folder)
    message = error or _reason(training)
    run = SweepRun(
        name=name,
        task=task,
        settings={SEED: str(seed)},
        out=name,
        state=FAILED if message else SUCCEEDED,
        is_done=not error,
        message=message,
        seconds=seconds,
    )
    if training is None or training.best is None:
        return run
    epoch, best = training.best
    return replace(run, score=training.score, epoch=epoch, best=best)


def best_seed(runs: Sequence[SweepRun]) -> SweepRun | None:
    """The one with the best validation of those that have not failed; the first of equal ones; None if all have."""
    whole = [run for run in runs if run.state == SUCCEEDED and run.best is not None]
    return min(whole, key=_rank, default=None)


def write_seeds(folder: Path, runs: Sequence[SweepRun], chosen: SweepRun | None) -> None:
    """Write `seeds.json`: each seed with its score, and the name of the folder that is chosen, or null.

    Raises:
        StorageError: The folder cannot be written.
    """
    score = next((run.score for run in runs if run.best is not None), runs[0].score)
    rows = [
        {
            "seed": int(run.settings[SEED]),
            "folder": run.name,
            "best": run.best,
            "epoch": run.epoch,
            "failed": run.message or None,
        }
        for run in runs
    ]
    write_json(folder / SEEDS_FILE, {"score": score._asdict(), "chosen": chosen and chosen.name, "seeds": rows})


def _rank(run: SweepRun) -> float:
    best = run.best or 0.0
    return -best if run.score.higher_is_better else best


def _reason(training: TrainingRun | None) -> str:
    """Why a validation found it failed: the first that did."""
    for row in training.validation if training else ():
        if row.get("failed"):
            return f"epoch {row['epoch']}: {row['failed']}"
    return ""
