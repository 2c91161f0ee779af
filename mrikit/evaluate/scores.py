"""Scores: how good every volume is, and its files: `scores.json` for programs, `scores.csv` for people."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from mrikit import __version__
from mrikit.errors import DataError
from mrikit.evaluate.leaderboard import leaderboard
from mrikit.evaluate.lesions import summarise_lesions
from mrikit.evaluate.rows import BoxScore, Unscored, VolumeScore
from mrikit.evaluate.scorers import SCORERS
from mrikit.evaluate.summary import summarise
from mrikit.storage import read_json, write_json, write_text

SCORES_FILE = "scores.json"
TABLE_FILE = "scores.csv"


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


def write_scores(folder: Path, scores: Scores) -> list[Path]:
    """Write `scores.json` and `scores.csv` into a folder.

    An infinite PSNR (equal volumes) is null in JSON and `inf` in CSV.

    Returns:
        The files written.

    Raises:
        StorageError: The folder cannot be written.
    """
    write_json(folder / SCORES_FILE, describe_scores(scores))
    _write_table(folder / TABLE_FILE, scores.rows)
    return [folder / SCORES_FILE, folder / TABLE_FILE]


def describe_scores(scores: Scores) -> dict[str, Any]:
    """What `scores.json` holds: the rows, and what they come to.

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
        "lesions": summarise_lesions(scores.rows),
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
            scorer={name: name for name in SCORERS}[content["scorer"]],
            unscored=tuple(Unscored(**volume) for volume in content["unscored"]),
            notes=tuple(content["notes"]),
            data=content["data"],
            run=content["run"],
        )
    except (KeyError, TypeError) as error:
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
    lists = {name: tuple(row[name]) for name in ("settings", "slice_ssim")}
    boxes = tuple(BoxScore(**box) for box in row["boxes"])
    return VolumeScore(**{**row, **lists, "psnr": psnr, "boxes": boxes})


def _write_table(path: Path, rows: Sequence[VolumeScore]) -> None:
    columns = [field.name for field in fields(VolumeScore) if field.name not in ("slice_ssim", "boxes")]
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(asdict(row) | {"settings": " ".join(row.settings)} for row in rows)
    write_text(path, table.getvalue())
