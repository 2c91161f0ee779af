"""What a classifier can tell of the orientation: balanced accuracy less .5, over patients."""

import math

import pytest

from mrikit.errors import DataError
from mrikit.evaluate import orientation_accuracy

IS_TRANSPOSED = [False, True] * 4
PATIENTS = [f"p{row // 2}" for row in range(8)]
RIGHT = [1.0 if swapped else -1.0 for swapped in IS_TRANSPOSED]
GUESSED = [1.0] * 8


def test_telling_all_is_a_half_and_guessing_is_nothing():
    found = orientation_accuracy(RIGHT, GUESSED, IS_TRANSPOSED, PATIENTS)
    assert (found.images.mean, found.images.low, found.images.high) == (0.5, 0.5, 0.5)
    assert (found.floor.mean, found.floor.low, found.floor.high) == (0.0, 0.0, 0.0)
    assert found.above_floor.mean == 0.5
    assert (found.num_slices, found.num_patients) == (8, 4)


def test_both_orientations_count_the_same_however_many_there_are():
    swapped = [True, False, False, False]
    found = orientation_accuracy([1.0, -1.0, 1.0, 1.0], [-1.0] * 4, swapped, ["a", "a", "b", "b"])
    assert found.images.mean == pytest.approx((1 + 1 / 3) / 2 - 0.5)
    assert found.floor.mean == pytest.approx(0)


def test_patients_are_drawn_and_the_difference_is_paired():
    wrong_of_one = [-value if patient == "p0" else value for value, patient in zip(RIGHT, PATIENTS, strict=True)]
    found = orientation_accuracy(wrong_of_one, wrong_of_one, IS_TRANSPOSED, PATIENTS)
    assert found.images.mean == pytest.approx(0.25)
    assert found.images.low < 0.25 < found.images.high
    assert (found.above_floor.low, found.above_floor.high) == (0.0, 0.0)
    again = orientation_accuracy(wrong_of_one, wrong_of_one, IS_TRANSPOSED, PATIENTS)
    assert again == found
    alone = orientation_accuracy(RIGHT, GUESSED, IS_TRANSPOSED, ["p"] * 8)
    assert (alone.images.low, alone.images.high) == (None, None)


@pytest.mark.parametrize(
    ("logits", "swapped", "words"),
    [
        (RIGHT[:-1], IS_TRANSPOSED, "found 7, 8, 8 and 8"),
        (RIGHT, [True] * 8, "found 8 of 8 transposed"),
        ([math.nan, *RIGHT[1:]], IS_TRANSPOSED, "a logit is NaN"),
    ],
)
def test_rows_that_say_nothing_are_refused(logits, swapped, words):
    with pytest.raises(DataError, match=words):
        orientation_accuracy(logits, GUESSED, swapped, PATIENTS)
