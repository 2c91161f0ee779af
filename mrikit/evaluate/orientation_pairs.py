"""Folders of one run in both orientations: what a classifier tells of them together."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mrikit.errors import DataError
from mrikit.evaluate.orientation import OrientationAccuracy, orientation_accuracy
from mrikit.evaluate.rows import VolumeScore
from mrikit.evaluate.scores import FolderOrientation, Scores

_SAME = (
    "model",
    "model_config",
    "weights_sha256",
    "task",
    "mask",
    "flips",
    "whiten",
    "dither",
    "precision",
    "matrix",
    "num_coils",
)
"""What `reconstruct.json` says alike of both orientations of a run."""


def one_sided(runs: Sequence[Mapping[str, Any]]) -> int | None:
    """The place of the first run that is there in one orientation only; None if each is there in both.

    Args:
        runs: What `reconstruct.json` says of each folder.
    """
    sides = [(_key(run), bool(run.get("transposed"))) for run in runs]
    return next((place for place, (key, side) in enumerate(sides) if (key, not side) not in sides), None)


def with_orientations(scores: Sequence[Scores]) -> list[Scores]:
    """The same scores, each with the accuracy of the classifier on its run, where its rows were classified.

    Only volumes that are there in both orientations count, each slice twice.

    Args:
        scores: Of folders, each run in both orientations.

    Raises:
        DataError: No volume of a run is there in both orientations.
    """
    return [
        replace(found, orientation=tuple(_accuracies(found, scores)))
        if any(row.slice_logits for row in found.rows)
        else found
        for found in scores
    ]


def _accuracies(found: Scores, scores: Sequence[Scores]) -> list[FolderOrientation]:
    """One for each acceleration of a folder."""
    key = _key(found.run)
    rows = [row for other in scores if _key(other.run) == key for row in other.rows if row.slice_logits]
    made = []
    for acceleration in sorted({row.acceleration for row in found.rows}):
        paired = _in_both([row for row in rows if row.acceleration == acceleration])
        if not paired:
            raise DataError(
                f"no volume was reconstructed by {found.run.get('model')} in both orientations at {acceleration:g}x, "
                f"which a classifier has to tell apart; reconstruct the same volumes with --transposed and without"
            )
        made.append(FolderOrientation(acceleration=acceleration, accuracy=_accuracy(paired)))
    return made


def _in_both(rows: Sequence[VolumeScore]) -> list[VolumeScore]:
    """Rows of volumes that are there in both orientations, each once; in an order that depends on the rows alone."""
    sides = [{row.volume: row for row in rows if row.is_transposed == side} for side in (False, True)]
    return [side[volume] for volume in sorted(sides[0].keys() & sides[1].keys()) for side in sides]


def _accuracy(rows: Sequence[VolumeScore]) -> OrientationAccuracy:
    patients = [row.patient_id or row.path for row in rows for _ in row.slice_logits]
    return orientation_accuracy(
        [logit for row in rows for logit in row.slice_logits],
        [logit for row in rows for logit in row.slice_reference_logits],
        [row.is_transposed for row in rows for _ in row.slice_logits],
        patients,
    )


def _key(run: Mapping[str, Any]) -> str:
    # Older versions do not say what they could not do.
    return json.dumps([run.get(name) or None for name in _SAME], sort_keys=True, default=str)
