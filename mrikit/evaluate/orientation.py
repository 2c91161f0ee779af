"""How well a classifier tells by the banding of an image which axis was undersampled."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from mrikit.errors import DataError
from mrikit.evaluate.bootstrap import Interval, resample


@dataclass(frozen=True, kw_only=True, slots=True)
class OrientationAccuracy:
    """Balanced accuracy less that of guessing: 0 if nothing shows the orientation, .5 if everything does."""

    images: Interval
    """Of the reconstructions."""
    floor: Interval
    """Of their references, which have no banding: what anatomy alone gives away."""
    above_floor: Interval
    """The first less the second, on the same slices."""
    num_slices: int
    num_patients: int


@dataclass(frozen=True, kw_only=True, slots=True)
class OrientationClassifier:
    """Somebody who tells orientations apart; whoever asks for scores hands it in."""

    classify: Callable[[torch.Tensor], Sequence[float]]
    """(slice, y, x) float32 images, turned to where their anatomy belongs, to a logit of each, above 0 for transposed;
    called by several threads. It raises DataError where images are too small."""
    sha256: str
    """Digest of its weights."""


def orientation_accuracy(
    logits: Sequence[float],
    reference_logits: Sequence[float],
    is_transposed: Sequence[bool],
    patients: Sequence[str],
    *,
    seed: int = 0,
) -> OrientationAccuracy:
    """Balanced accuracy of a classifier on images and on their references, with intervals over patients.

    A slice counts as told transposed where its logit is above 0. Rows of one orientation count together as much as
    those of the other, by weights that stay the same when patients are drawn: hand in each slice in both orientations,
    so that a draw is balanced too. The classifier has to be one that the reconstructor was not trained against, on
    patients that it has not seen.

    Args:
        logits: (row,) of the reconstruction of a slice, turned to where its anatomy belongs.
        reference_logits: (row,) of the reference of the same slice, prepared in the same way.
        is_transposed: (row,) whether the slice was undersampled along its former readout.
        patients: (row,) whose slice it is.
        seed: Of the resampling; the same rows and seed give the same intervals.

    Raises:
        DataError: There are not as many of each, a logit is NaN, or all rows have one orientation.
    """
    lengths = [len(column) for column in (logits, reference_logits, is_transposed, patients)]
    if len(set(lengths)) > 1:
        raise DataError(
            f"each row has two logits, an orientation and a patient; found {', '.join(map(str, lengths[:-1]))} and "
            f"{lengths[-1]}"
        )
    num_transposed = sum(map(bool, is_transposed))
    if not 0 < num_transposed < len(is_transposed):
        raise DataError(
            f"balanced accuracy needs slices of both orientations; found {num_transposed} of {len(is_transposed)} "
            "transposed"
        )
    if any(math.isnan(logit) for column in (logits, reference_logits) for logit in column):
        raise DataError("a logit is NaN; is the image finite, and the classifier?")
    weights = [0.5 / (num_transposed if swapped else len(is_transposed) - num_transposed) for swapped in is_transposed]
    rows = []
    for logit, other, swapped in zip(logits, reference_logits, is_transposed, strict=True):
        image, reference = ((value > 0) == bool(swapped) for value in (logit, other))
        rows.append((image - 0.5, reference - 0.5, float(image) - float(reference)))
    images, floor, above_floor = resample(patients, rows, weights, seed)
    return OrientationAccuracy(
        images=images,
        floor=floor,
        above_floor=above_floor,
        num_slices=len(rows),
        num_patients=len(set(patients)),
    )
