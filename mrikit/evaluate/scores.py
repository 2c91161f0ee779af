"""Scores: how good every volume is, and its files: JSON for programs, CSV for people, both for each scorer."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from mrikit import __version__
from mrikit.errors import ConfigError, DataError, StorageError
from mrikit.evaluate.adaptive import FolderAdaptivity
from mrikit.evaluate.bootstrap import Interval
from mrikit.evaluate.curves import ScoreCurve
from mrikit.evaluate.leaderboard import leaderboard
from mrikit.evaluate.lesions import summarise_lesions
from mrikit.evaluate.orientation import OrientationAccuracy
from mrikit.evaluate.rows import BoxScore, Unscored, VolumeScore
from mrikit.evaluate.scorers import SCORERS, full_name
from mrikit.evaluate.steps import FolderCurve
from mrikit.evaluate.summary import summarise
from mrikit.metrics.adaptivity import Adaptivity
from mrikit.storage import read_json, write_json, write_text
from mrikit.volumes.decisions import STEP_SCORES

DEFAULT_SCORER = "fastmri"
"""The scorer whose files have no name of a scorer in theirs."""
SCORES_FILE = "scores.json"
_OF_SLICES = ("slice_ssim", "slice_banding_db", "slice_logits", "slice_reference_logits")


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderOrientation:
    """What a classifier tells of the orientation of a run, both orientations of which lie in folders of their own."""

    acceleration: float
    accuracy: OrientationAccuracy


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """All scores of one folder of reconstructions."""

    rows: tuple[VolumeScore, ...]
    """One for each scored volume, sorted by path."""
    scorer: str
    """Name of the definition of window and metrics."""
    unscored: tuple[Unscored, ...] = ()
    """Volumes that could not be scored, and why."""
    notes: tuple[str, ...] = ()
    """A line on each thing that was left out of scores that are there."""
    data: str
    """Folder of the volumes."""
    run: dict[str, Any]
    """What `reconstruct.json` says about model, mask and time."""
    adaptivity: tuple[FolderAdaptivity, ...] = ()
    """Of each acceleration whose slices were measured by lines of their own."""
    curves: tuple[FolderCurve, ...] = ()
    """Of each acceleration whose lines a policy chose."""
    orientation: tuple[FolderOrientation, ...] = ()
    """Of each acceleration, of this folder and that of the other orientation together, where there was a classifier."""


def score_files(scorer: str) -> tuple[str, str]:
    """Names of the JSON and the CSV file of a scorer: `scores.json`, or as `scores.snu-2026.json`."""
    stem = "scores" if scorer == DEFAULT_SCORER else f"scores.{scorer}"
    return f"{stem}.json", f"{stem}.csv"


def write_scores(folder: Path, scores: Scores) -> list[Path]:
    """Write the two files of a scorer into a folder, beside those of others.

    An infinite PSNR (equal volumes) is null in JSON and `inf` in CSV. What an older version wrote by another scorer
    into `scores.json` gets a name of its own first.

    Returns:
        The files written.

    Raises:
        StorageError: The folder cannot be written.
    """
    files = [folder / name for name in score_files(scores.scorer)]
    _keep_older(folder, scores.scorer)
    write_json(files[0], describe_scores(scores))
    _write_table(files[1], scores.rows)
    return files


def find_scores(folder: Path) -> list[Scores]:
    """The scores of a folder by every scorer, in the order of `SCORERS`.

    Raises:
        StorageError: A file cannot be read or is not JSON.
        DataError: A file does not hold scores of mrikit.
    """
    found: dict[str, Scores] = {}
    for name in dict.fromkeys([SCORES_FILE, *(score_files(scorer)[0] for scorer in SCORERS)]):
        if (folder / name).exists():
            scores = read_scores(folder / name)
            found[scores.scorer] = scores  # a file of its own is newer than an older version's `scores.json`
    return [found[scorer] for scorer in SCORERS if scorer in found]


def describe_scores(scores: Scores) -> dict[str, Any]:
    """What the JSON file holds: the rows, and what they come to.

    The summary is over all and over each acquisition; `leaderboard` is empty unless the scorer counts slices, and
    `lesions` unless boxes were scored.
    """
    content = {
        "version": __version__,
        "scorer": scores.scorer,
        "scorer_meaning": SCORERS[scores.scorer].meaning,
        "data": scores.data,
        "run": scores.run,
        "summary": summarise(scores.rows) + summarise(scores.rows, by_acquisition=True),
        "leaderboard": leaderboard({".": scores.rows}),
        "boxes": {
            "found": sum(row.num_boxes_found for row in scores.rows),
            "scored": sum(row.num_boxes for row in scores.rows),
        },
        "lesions": summarise_lesions(scores.rows),
        "adaptivity": scores.adaptivity,
        "curves": scores.curves,
        "orientation": scores.orientation,
        "rows": scores.rows,
        "unscored": scores.unscored,
        "notes": scores.notes,
    }
    return {key: to_json(value) for key, value in content.items()}


def read_scores(path: Path) -> Scores:
    """Read a `scores.json`.

    Raises:
        StorageError: The file cannot be read or is not JSON.
        DataError: It is JSON, but not the scores of mrikit.
    """
    content = read_json(path)
    try:
        return Scores(
            rows=tuple(_read_row(row) for row in content["rows"]),
            scorer=full_name(content["scorer"]),
            unscored=tuple(Unscored(**volume) for volume in content["unscored"]),
            notes=tuple(content["notes"]),
            data=content["data"],
            run=content["run"],
            adaptivity=tuple(_read_adaptivity(entry) for entry in content.get("adaptivity", ())),
            curves=tuple(_read_curves(entry) for entry in content.get("curves", ())),
            orientation=tuple(_read_orientation(entry) for entry in content.get("orientation", ())),
        )
    except (KeyError, TypeError, ConfigError) as error:
        message = f"{path}: not the scores of this version of mrikit ({error!r}); write them again: mrikit evaluate"
        raise DataError(message) from error


def to_json(value: Any) -> Any:  # noqa: ANN401 - anything made of records and what JSON holds
    """The same as JSON: records as objects, and null for infinite numbers, which JSON lacks."""
    if is_dataclass(value) and not isinstance(value, type):
        return to_json(asdict(value))
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return None if isinstance(value, float) and math.isinf(value) else value


def _read_row(row: dict[str, Any]) -> VolumeScore:
    psnr = math.inf if row["psnr"] is None else row["psnr"]
    lists = {name: tuple(row.get(name, ())) for name in ("settings", *_OF_SLICES)}
    boxes = tuple(BoxScore(**box) for box in row["boxes"])
    return VolumeScore(**{**row, **lists, "psnr": psnr, "boxes": boxes, "scorer": full_name(row["scorer"])})


def _read_adaptivity(entry: dict[str, Any]) -> FolderAdaptivity:
    parts = {name: Adaptivity(**entry[name]) for name in ("first", "total")}
    return FolderAdaptivity(**{**entry, **parts})


def _read_curves(entry: dict[str, Any]) -> FolderCurve:
    return FolderCurve(**{**entry, **{name: _read_curve(entry[name]) for name in STEP_SCORES}})


def _read_curve(entry: dict[str, Any]) -> ScoreCurve:
    """One curve; of a score that is infinite, which JSON lacks, null stands for it."""
    scores = tuple(_read_interval(one) for one in entry["scores"])
    return ScoreCurve(num_lines=tuple(entry["num_lines"]), scores=scores, area=_read_interval(entry["area"]))


def _read_orientation(entry: dict[str, Any]) -> FolderOrientation:
    intervals = {name: _read_interval(entry["accuracy"][name]) for name in ("images", "floor", "above_floor")}
    return FolderOrientation(**{**entry, "accuracy": OrientationAccuracy(**{**entry["accuracy"], **intervals})})


def _read_interval(entry: dict[str, Any]) -> Interval:
    mean = math.inf if entry["mean"] is None else entry["mean"]
    return Interval(mean=mean, low=entry["low"], high=entry["high"])


def _keep_older(folder: Path, scorer: str) -> None:
    """Give `scores.json` of another scorer, as older versions wrote it, the name that it would have now."""
    older = folder / SCORES_FILE
    if scorer != DEFAULT_SCORER or not older.is_file():
        return
    try:
        found = read_scores(older).scorer
    except (DataError, StorageError):
        return  # no scores, or of a version whose scores nobody can read any more
    if found == scorer:
        return
    for old, new in zip(score_files(DEFAULT_SCORER), score_files(found), strict=True):
        if (folder / old).exists() and not (folder / new).exists():
            (folder / old).rename(folder / new)


def _write_table(path: Path, rows: Sequence[VolumeScore]) -> None:
    columns = [field.name for field in fields(VolumeScore) if field.name not in (*_OF_SLICES, "boxes")]
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(asdict(row) | {"settings": " ".join(row.settings)} for row in rows)
    write_text(path, table.getvalue())
