"""The card: rule, files with digests, methods with their cost, and the table, as JSON without paths and dates."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mrikit import __version__
from mrikit.errors import DataError
from mrikit.evaluate.bootstrap import Interval
from mrikit.evaluate.rows import Unscored, VolumeScore
from mrikit.evaluate.score import score_pair
from mrikit.evaluate.score_card.needed import FrozenList, Needed, describe_files, volume_name
from mrikit.evaluate.score_card.reconstructions import Found, find_all, runs_of
from mrikit.evaluate.score_card.rule import PLANS, RULE, SCORER, rule_facts
from mrikit.evaluate.summary import Summary, summarise
from mrikit.storage import shown

_DIGITS = 6
"""Decimals of a score: fewer than differ between machines."""


def make_card(
    recon: Sequence[Path],
    needed: Needed,
    frozen: FrozenList | None = None,
    *,
    on_file: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Score the reconstructions of some volumes by the rule; the same files give the same card.

    Args:
        recon: Folders that `mrikit reconstruct` wrote, or folders of these.
        needed: The volumes of the card.
        frozen: The list that they come from, whose digests they must have; the rule if None.
        on_file: Called after every file that is digested or scored.

    Raises:
        DataError: A reconstruction is missing, has another mask, other slices, NaN or no score for another reason; or
            reconstructions at one acceleration were made by several methods; or a file is another than that of the
            list. The message names the file.
        StorageError: A file cannot be read.
    """
    found = find_all(needed.files, recon)
    methods = {acceleration: _methods(members) for acceleration, members in found.items()}
    files = describe_files(needed, frozen, on_file)
    rows, notes = list[VolumeScore](), list[str]()
    for one in (one for members in found.values() for one in members):
        row, about = _score(one)
        rows.append(row)
        notes += about
        on_file()
    summaries = summarise(rows) + summarise(rows, by_acquisition=True)
    summaries.sort(key=lambda entry: (entry.acceleration, entry.acquisition or ""))
    listed = "".join(f"{file['name']} {file['sha256']}\n" for file in files)
    return {
        "rule": rule_facts(),
        "version": __version__,
        "files": files,
        "list_sha256": hashlib.sha256(listed.encode("utf-8", "surrogateescape")).hexdigest(),
        "left_out": dict(needed.left_out),
        "not_done": [plan.acceleration for plan in PLANS if plan.acceleration not in found],
        "runs": [_describe_run(members, methods[acceleration]) for acceleration, members in found.items()],
        "table": [_line(entry) for entry in summaries],
        "volumes": [
            {
                "name": row.path,
                "acceleration": row.acceleration,
                "ssim": _rounded(row.ssim),
                "psnr": _rounded(row.psnr),
                "nmse": _rounded(row.nmse),
            }
            for row in rows
        ],
        "notes": notes,
    }


def _score(found: Found) -> tuple[VolumeScore, list[str]]:
    """The scores of one reconstruction, in a row that does not say where its files lie."""
    row, notes = score_pair((found.file, found.path), recon=found.path.parent, scorer=SCORER)
    name = volume_name(found.file)
    if isinstance(row, Unscored):
        reason = row.reason if str(found.path) in row.reason else f"{found.path}: {row.reason}"
        raise DataError(shown(f"{reason}; {RULE} needs a score of {name}"))
    return replace(row, path=name, label=""), notes


def _methods(found: Sequence[Found]) -> list[dict[str, Any]]:
    """What made the reconstructions at one acceleration: one method, or by `--task auto` several networks."""
    methods: list[dict[str, Any]] = []
    for one in found:
        if one.method in methods:
            continue
        if methods and one.method["settings"].get("task") != "auto":
            raise DataError(
                f"{found[0].path} and {one.path} were made by other models, weights or settings; a card has one method "
                "at an acceleration"
            )
        methods.append(one.method)
    return methods


def _describe_run(found: Sequence[Found], methods: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How the reconstructions at one acceleration were made, and what that cost."""
    runs = runs_of(found)
    timed = [run for run in runs if run.get("seconds") and run.get("num_slices")]
    num_slices = sum(run["num_slices"] for run in timed)
    peaks = [run["peak_memory_bytes"] for run in timed if run.get("peak_memory_bytes")]
    lines = b"".join(one.mask.samples.tobytes() for one in found)
    acceleration = found[0].mask.acceleration
    return {
        "acceleration": acceleration,
        "methods": list(methods),
        "masks_sha256": hashlib.sha256(lines).hexdigest(),
        "num_trained_on": sum(one.is_trained_on for one in found),
        "seconds_per_slice": _rounded(sum(run["seconds"] for run in timed) / num_slices) if num_slices else None,
        "num_timed_slices": num_slices,
        "peak_memory_bytes": max(peaks, default=None),
        "memory_of": ", ".join(sorted({str(run["memory_of"]) for run in timed if "memory_of" in run})) or None,
        "device": ", ".join(sorted({str(run["device"]) for run in timed if "device" in run})) or None,
        "made_by": sorted({str(run["version"]) for run in runs if "version" in run}),
    }


def _line(entry: Summary) -> dict[str, Any]:
    return {
        "acceleration": entry.acceleration,
        "acquisition": entry.acquisition,
        "num_volumes": entry.num_volumes,
        "num_slices": entry.num_slices,
        "ssim": _bounds(entry.ssim),
        "psnr": _bounds(entry.psnr),
        "nmse": _bounds(entry.nmse),
    }


def _bounds(interval: Interval) -> dict[str, float | None]:
    values = {"mean": interval.mean, "low": interval.low, "high": interval.high}
    return {name: None if value is None else _rounded(value) for name, value in values.items()}


def _rounded(value: float) -> float | None:
    """A score with few digits; None for the infinite PSNR of equal volumes, which JSON lacks."""
    return round(value, _DIGITS) if math.isfinite(value) else None
