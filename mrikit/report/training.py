"""What training runs left: every folder with `metrics.jsonl` and `config.json`, its numbers and a line about them."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from mrikit.errors import StorageError
from mrikit.masks import setting_options
from mrikit.run_files import CONFIG_FILE, MASKS, METRICS_FILE, PICTURES
from mrikit.runs.picture import first_to_last, list_pictures
from mrikit.storage import read_json

CONFIG_KEYS = ("task", "size", "model")
MASK_FILES = "epoch-[0-9]*.npz"

Point = tuple[float, float]


class RunScore(NamedTuple):
    """The number that the validations of a run choose by."""

    name: str
    """Its key in the rows."""
    words: str
    higher_is_better: bool = True


_FORMER_SCORES = (RunScore("accuracy", "accuracy"), RunScore("body_ssim", "SSIM inside the body"))
"""Of runs whose `config.json` does not say: where a row has one of these, it decides, else `ssim`."""


class StageStart(NamedTuple):
    """Where a stage of a run begins."""

    number: int
    step: float
    """Steps of the stages before it."""
    epoch: float
    """Epoch of its first row."""


class Snapshot(NamedTuple):
    """A picture that a run has kept."""

    path: Path
    caption: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingRun:
    """One folder that `mrikit train` wrote, or its stages joined."""

    path: Path
    config: dict[str, Any]
    """What `config.json` says."""
    train: tuple[dict[str, Any], ...]
    """Rows of the optimizer steps, by step, each step once."""
    validation: tuple[dict[str, Any], ...]
    """Rows of the validations, by step."""
    num_damaged: int
    """Lines that are not rows; the last line of a run that goes on, or was killed, may be half there."""
    stages: tuple[StageStart, ...] = ()
    """Of a run that has stages."""
    snapshots: tuple[Snapshot, ...] = ()
    """The first picture, the last, and some between."""
    masks: tuple[Path, ...] = ()
    """Files of what was measured, by epoch, where that was learned."""

    def points(self, kind: str, x: str, y: str) -> list[Point]:
        """What to plot: two fields of the rows of a kind, where both are finite."""
        rows = self.train if kind == "train" else self.validation
        pairs = [(_number(row, x), _number(row, y)) for row in rows]
        return [pair for pair in pairs if all(map(math.isfinite, pair))]

    @property
    def score(self) -> RunScore:
        """What its validations choose by, as its objective says; of a run of stages, that of the last."""
        said = self.newest.get("score")
        if isinstance(said, dict):
            return RunScore(**said)
        former = (score for score in _FORMER_SCORES if any(score.name in row for row in self.validation))
        return next(former, RunScore("ssim", "SSIM"))

    @property
    def newest(self) -> dict[str, Any]:
        """What `config.json` says; of a run of stages, that of the last."""
        found: dict[str, Any] = self.config
        return self.config.get(f"stage {self.stages[-1].number}", found) if self.stages else found

    @property
    def best(self) -> Point | None:
        """Epoch and score of the best validation; the first of equal ones."""
        choose = max if self.score.higher_is_better else min
        return choose(self.points("validation", "epoch", self.score.name), key=lambda point: point[1], default=None)

    @property
    def summary(self) -> str:
        """The run in one line."""
        return ", ".join(_describe(self))


def undersampling(run: TrainingRun) -> str:
    """The options with which `mrikit reconstruct` undersamples as the run was validated; empty if it does not say."""
    data = run.newest.get("config", {}).get("data", {})
    try:
        kind = data.get("validation_mask_kind") or data["mask_kind"]
        acceleration, fraction = data["accelerations"][0], data["center_fractions"][0]
        settings = data.get("validation_mask_settings" if data.get("validation_mask_kind") else "mask_settings", {})
    except (KeyError, IndexError, TypeError):
        return ""
    words = [f"--acceleration {acceleration:g} --mask {kind} --center-fraction {fraction:g}"]
    return " ".join([*words, *setting_options(settings)])


def find_training_runs(folder: Path) -> list[TrainingRun]:
    """All training runs in a folder or below, sorted by path.

    Raises:
        StorageError: A file cannot be read.
    """
    found = []
    for path in sorted(folder.rglob(METRICS_FILE)):
        config = read_json(path.parent / CONFIG_FILE) if (path.parent / CONFIG_FILE).exists() else None
        if isinstance(config, dict) and all(key in config for key in CONFIG_KEYS):
            rows, num_damaged = _read_rows(path)
            run = TrainingRun(
                path=path.parent,
                config=config,
                train=_by_step(rows, "train"),
                validation=_by_step(rows, "validation"),
                num_damaged=num_damaged,
                snapshots=_snapshots(path.parent / PICTURES),
                masks=tuple(sorted((path.parent / MASKS).glob(MASK_FILES))),
            )
            found.append(run)
    return found


def _snapshots(folder: Path) -> tuple[Snapshot, ...]:
    return tuple(
        Snapshot(path, f"{name}, step {step:,}" if step else f"{name}, before the first step")
        for step, name, path in first_to_last(list_pictures(folder))
    )


def _read_rows(path: Path) -> tuple[list[dict[str, Any]], int]:
    """All rows, and how many lines are none."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error
    rows = [row for row in map(_read_row, lines) if row is not None]
    return rows, len(lines) - len(rows)


def _read_row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and math.isfinite(_number(row, "step")) else None


def _by_step(rows: Iterable[dict[str, Any]], kind: str) -> tuple[dict[str, Any], ...]:
    """The rows of a kind; of a step that was done twice, what came later."""
    last = {row["step"]: row for row in rows if row.get("kind") == kind}
    return tuple(last[step] for step in sorted(last))


def _number(row: dict[str, Any], key: str) -> float:
    """A field as number; NaN if it is none."""
    value = row.get(key)
    return float(value) if isinstance(value, int | float) else math.nan


def _describe(run: TrainingRun) -> Iterable[str]:
    yield f"{run.config['task']} {run.config['size']}"
    yield str(run.config["model"])
    if run.stages:
        numbers = [stage.number for stage in run.stages]
        yield f"stages {numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else f"stage {numbers[0]}"
    if not run.train:
        yield "no step yet"
        return
    last = run.train[-1]
    yield _count(int(last["step"]), "step")
    epoch = max((_number(row, "epoch") for row in (*run.train, *run.validation)), default=math.nan)
    if math.isfinite(epoch):
        yield f"{epoch:.4g} {'epoch' if epoch == 1 else 'epochs'}"
    score = run.score.words
    yield f"best validation {score} {run.best[1]:.4f} at epoch {run.best[0]:g}" if run.best else "no validation yet"
    seconds = _finite(run.train, "seconds") + _finite(run.validation, "seconds")
    if seconds:
        yield format_seconds(sum(seconds))
    speeds = _finite(run.train, "slices_per_second")
    if speeds:
        yield f"{median(speeds):.3g} slices/s"
    broken = [row["step"] for row in run.train if not math.isfinite(_number(row, "loss"))]
    if broken:
        yield f"{_count(len(broken), 'step')} without a finite loss, the first is {broken[0]}"
    if run.num_damaged:
        yield f"{_count(run.num_damaged, 'damaged line')} left out"


def _finite(rows: Sequence[dict[str, Any]], key: str) -> list[float]:
    return [value for value in (_number(row, key) for row in rows) if math.isfinite(value)]


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def format_seconds(seconds: float) -> str:
    """A duration for people: `8.4 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds < 59.5:
        return f"{seconds:.2g} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min"
