"""Two orientations of a run: which folders belong together, and what a classifier tells of both."""

from dataclasses import replace

import pytest
from scored_study import score

from mrikit.errors import DataError
from mrikit.evaluate import Scores, one_sided, read_scores, with_orientations, write_scores

NET = {"model": "varnet", "weights_sha256": "a", "mask": {"kind": "equispaced", "acceleration": 4.0}}


def folder(*logits, transposed, run=NET, first=0, patient="p"):
    """Scores of a folder: the classifier's two logits of each volume, of a reference always below 0."""
    rows = [
        replace(
            score(first + number, 0.9, model="varnet", patient_id=f"{patient}{number}"),
            scorer="banding",
            is_transposed=transposed,
            slice_logits=pair,
            slice_reference_logits=(-1.0, -2.0),
            told=0.5,
            told_of_reference=0.5,
            classifier="c",
        )
        for number, pair in enumerate(logits)
    ]
    return Scores(rows=tuple(rows), scorer="banding", data="/data", run=run | {"transposed": transposed})


def test_slices_count_in_both_orientations():
    straight = folder((-1.0, 1.0), (-1.0, -1.0), transposed=False)
    turned = folder((1.0, 1.0), (1.0, 1.0), transposed=True)
    both = with_orientations([straight, turned])
    (found,), (other,) = (one.orientation for one in both)
    assert found == other
    assert found.acceleration == 4.0
    accuracy = found.accuracy
    assert accuracy.images.mean == pytest.approx((3 / 4 + 1) / 2 - 0.5)
    assert (accuracy.floor.mean, accuracy.floor.low, accuracy.floor.high) == (0, 0, 0)
    assert accuracy.above_floor == accuracy.images
    assert (accuracy.num_slices, accuracy.num_patients) == (8, 2)


@pytest.mark.parametrize("changed", [{"weights_sha256": "b"}, {"dither": 0.015}, {"flips": True}, {"matrix": [96, 96]}])
def test_runs_are_told_apart_by_what_made_them(changed):
    other = NET | changed
    scores = [
        folder((-1.0, -1.0), transposed=False),
        folder((-1.0, -1.0), transposed=False, run=other),
        folder((1.0, 1.0), transposed=True),
        folder((-1.0, -1.0), transposed=True, run=other),
    ]
    found = [one.orientation[0].accuracy.images.mean for one in with_orientations(scores)]
    assert found == [0.5, 0, 0.5, 0]


def test_volumes_of_one_orientation_alone_do_not_count():
    straight = folder((-1.0, -1.0), (1.0, 1.0), transposed=False)
    turned = folder((1.0, 1.0), transposed=True)
    (entry,) = with_orientations([straight, turned])[0].orientation
    assert (entry.accuracy.num_slices, entry.accuracy.images.mean) == (4, 0.5)
    elsewhere = folder((1.0, 1.0), transposed=True, first=5)
    with pytest.raises(DataError, match="no volume was reconstructed by varnet in both orientations at 4x"):
        with_orientations([straight, elsewhere])


def test_without_a_classifier_nothing_is_added():
    plain = [replace(one, rows=(score(0, 0.9),)) for one in (folder(transposed=False), folder(transposed=True))]
    assert with_orientations(plain) == plain


def test_a_run_without_its_other_orientation_is_found():
    turned = NET | {"transposed": True}
    assert one_sided([NET, turned]) is None  # as older versions wrote it: it does not say which
    assert one_sided([NET, turned | {"dither": 0.0, "flips": False}]) is None
    assert one_sided([NET | {"transposed": False}, turned, NET | {"weights_sha256": "b"}]) == 2
    assert one_sided([turned]) == 0
    assert one_sided([NET | {"data": "/a", "seconds": 1.0}, turned | {"data": "/b"}]) is None


def test_files_hold_what_was_found(tmp_path):
    both = with_orientations(
        [folder((-1.0, -1.0), (1.0, -1.0), transposed=False), folder((1.0, 1.0), (1.0, 1.0), transposed=True)]
    )
    json_path, csv_path = write_scores(tmp_path, both[1])
    assert read_scores(json_path) == both[1]
    header, first, _ = csv_path.read_text().splitlines()
    columns = dict(zip(header.split(","), first.split(","), strict=True))
    assert (columns["is_transposed"], columns["told"], columns["classifier"]) == ("True", "0.5", "c")
    assert "slice_logits" not in columns
