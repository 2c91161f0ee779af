import numpy as np
import pytest

from mrikit.errors import DataError
from mrikit.evaluate.bootstrap import resample
from mrikit.evaluate.curves import areas_under, score_curve

SCORES = np.random.default_rng(0).random((6, 4)).cumsum(-1)
PATIENTS = ["a", "a", "b", "b", "b", "c"]
LINES = [30, 31, 33, 40]


def test_each_step_has_the_mean_and_interval_of_the_bootstrap_over_patients():
    curve = score_curve(SCORES, PATIENTS, LINES, seed=5)
    assert curve.num_lines == (30, 31, 33, 40)
    assert list(curve.scores) == resample(PATIENTS, SCORES.tolist(), [1.0] * 6, 5)
    assert [step.mean for step in curve.scores] == pytest.approx(SCORES.mean(0))


def test_the_area_is_that_under_straight_lines_over_the_width():
    curve = score_curve(SCORES, PATIENTS, LINES)
    dense = np.linspace(30, 40, 10_001)
    heights = np.array([np.interp(dense, LINES, row).mean() for row in SCORES])
    assert areas_under(SCORES, LINES) == pytest.approx(heights, rel=1e-4)
    assert curve.area.mean == pytest.approx(heights.mean(), rel=1e-4)
    assert curve.area.low < curve.area.mean < curve.area.high


def test_a_constant_score_is_its_own_area_whatever_the_lines():
    assert areas_under(np.full((2, 3), 0.7), [2, 3, 100]) == pytest.approx([0.7, 0.7])
    assert score_curve(np.array([[0.7]]), ["a"], [30]).area.mean == 0.7


def test_slices_of_one_patient_are_drawn_together():
    scores = np.repeat(np.random.default_rng(1).normal(size=(5, 1)), 20, axis=0) + np.array([0.0, 1.0])
    episodes = [str(patient) for patient in range(5) for _ in range(20)]
    together = score_curve(scores, episodes, [1, 2]).area
    apart = score_curve(scores, [str(row) for row in range(100)], [1, 2]).area
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_one_patient_has_no_interval():
    assert score_curve(SCORES[:2], PATIENTS[:2], LINES).area.low is None


@pytest.mark.parametrize(
    ("scores", "lines", "words"),
    [
        (SCORES[:, :3], LINES, "6 patients and 4 counts of lines"),
        (SCORES[:5], LINES, r"\(5, 4\) with 6 patients"),
        (np.full((6, 4), np.nan), LINES, "found NaN"),
        (SCORES, [30, 31, 31, 40], r"counts of lines that rise, found \[30, 31, 31, 40\]"),
    ],
)
def test_scores_that_make_no_curve_are_refused(scores, lines, words):
    with pytest.raises(DataError, match=words):
        score_curve(scores, PATIENTS, lines)
