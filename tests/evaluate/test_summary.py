import dataclasses
import math

import numpy as np
import pytest
from scipy import stats
from scored_study import score

from mrikit.evaluate import best_models, common_volumes, compare_models, same_volumes, sorted_slices, summarise


def many(num_volumes, seed=0, **kwargs):
    values = np.random.default_rng(seed).normal(0.9, 0.03, num_volumes)
    return [score(number, value, **kwargs) for number, value in enumerate(values)]


def test_the_interval_agrees_with_the_bootstrap_of_scipy():
    rows = many(40)
    values = np.array([row.ssim for row in rows])
    expected = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    (summary,) = summarise(rows)
    assert summary.ssim.mean == pytest.approx(values.mean())
    assert summary.ssim.low == pytest.approx(expected.low, abs=6e-4)
    assert summary.ssim.high == pytest.approx(expected.high, abs=6e-4)


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        (summary,) = summarise(many(25, seed))
        covered += summary.ssim.low <= 0.9 <= summary.ssim.high
    assert 0.88 <= covered / 200 <= 0.985


def patients(num_patients, seed):
    """Two volumes of each patient that are nearly equal."""
    rng = np.random.default_rng(seed)
    return [
        score(2 * number + copy, value + rng.normal(0, 0.003), patient_id=f"p{number}")
        for number, value in enumerate(rng.normal(0.9, 0.03, num_patients))
        for copy in range(2)
    ]


def test_the_interval_covers_the_true_mean_also_with_several_volumes_of_each_patient():
    covered = 0
    for seed in range(200):
        (summary,) = summarise(patients(25, seed))
        covered += summary.ssim.low <= 0.9 <= summary.ssim.high
    assert 0.88 <= covered / 200 <= 0.985


def test_a_second_copy_of_every_volume_does_not_narrow_the_interval_of_a_patient():
    rows = [dataclasses.replace(row, patient_id=row.path) for row in many(12)]
    copies = [dataclasses.replace(row, path=f"{row.path}.copy") for row in rows]
    (once,), (twice,) = summarise(rows), summarise([*rows, *copies])
    assert dataclasses.astuple(twice.ssim) == pytest.approx(dataclasses.astuple(once.ssim))
    assert (once.num_volumes, twice.num_volumes) == (12, 24)


def test_a_patient_of_more_volumes_weighs_more_in_the_mean():
    rows = [score(n, 0.9, patient_id="a") for n in range(3)] + [score(3, 0.5, patient_id="b")]
    (summary,) = summarise(rows)
    assert dataclasses.astuple(summary.ssim) == pytest.approx((0.8, 0.5, 0.9))


def test_differences_are_resampled_by_patient_too():
    rows = [score(n, 0.9 + n / 100, patient_id="a") for n in range(3)]
    others = [dataclasses.replace(row, ssim=0.8, model="grappa", label="grappa") for row in rows]
    (difference,) = compare_models([*rows, *others], "cg_sense")
    assert (difference.ssim.low, difference.ssim.high) == (None, None)


def test_intervals_depend_on_the_seed_and_on_nothing_else():
    rows = many(12)
    assert summarise(rows) == summarise(reversed(rows))
    assert summarise(rows, seed=1)[0].ssim != summarise(rows)[0].ssim


def test_groups_are_model_acceleration_and_if_asked_acquisition():
    rows = [
        score(0, 0.9),
        score(1, 0.8, acquisition="CORPDFS_FBK"),
        score(2, 0.7, acquisition=None),
        score(0, 0.6, acceleration=8.0),
        score(0, 0.5, model="grappa"),
    ]
    overall = [(s.acceleration, s.acquisition, s.label, s.num_volumes, s.num_slices) for s in summarise(rows)]
    assert overall == [(4, None, "cg_sense", 3, 6), (4, None, "grappa", 1, 2), (8, None, "cg_sense", 1, 2)]
    single = [(s.acceleration, s.acquisition, s.label, s.ssim.mean) for s in summarise(rows, by_acquisition=True)]
    assert single == [
        (4, "CORPDFS_FBK", "cg_sense", 0.8),
        (4, "CORPD_FBK", "cg_sense", 0.9),
        (4, "CORPD_FBK", "grappa", 0.5),
        (4, "unknown", "cg_sense", 0.7),
        (8, "CORPD_FBK", "cg_sense", 0.6),
    ]


def test_one_volume_has_a_mean_and_no_interval():
    (summary,) = summarise([score(0, 0.9)])
    assert dataclasses.astuple(summary.ssim) == (0.9, None, None)


def test_equal_volumes_leave_mean_and_interval_defined():
    (summary,) = summarise([score(number, 1.0, psnr=math.inf) for number in range(3)] + [score(9, 0.9, psnr=30)])
    assert summary.psnr.mean == math.inf
    assert not math.isnan(summary.psnr.low)
    assert summary.psnr.high == math.inf


def test_no_rows_have_no_summary():
    assert summarise([]) == []
    assert compare_models([], "cg_sense") == []


def test_pairing_finds_a_difference_that_the_spread_of_volumes_hides():
    better = many(30)
    worse = [dataclasses.replace(row, ssim=row.ssim - 0.004, model="grappa", label="grappa") for row in better]
    first, second = summarise([*better, *worse])
    assert first.ssim.low < second.ssim.high
    (difference,) = compare_models([*better, *worse], "cg_sense")
    assert (difference.label, difference.baseline, difference.num_volumes) == ("grappa", "cg_sense", 30)
    assert difference.ssim.mean == pytest.approx(-0.004)
    assert difference.ssim.high < 0


def test_only_volumes_that_both_models_reconstructed_are_compared():
    rows = [score(0, 0.9), score(1, 0.8), score(1, 0.7, model="grappa"), score(2, 0.1, model="grappa")]
    (difference,) = compare_models(rows, "cg_sense")
    assert difference.num_volumes == 1
    assert difference.ssim.mean == pytest.approx(-0.1)


def test_accelerations_are_compared_apart():
    rows = [score(0, 0.9), score(0, 0.8, acceleration=8.0, model="grappa")]
    assert compare_models(rows, "cg_sense") == []


def test_two_perfect_models_do_not_differ():
    rows = [score(n, 1.0, model=model, psnr=math.inf) for n in range(2) for model in ("cg_sense", "grappa")]
    (difference,) = compare_models(rows, "cg_sense")
    assert dataclasses.astuple(difference.psnr) == (0, 0, 0)


def test_slices_come_worst_first():
    slices = sorted_slices([score(0, 0.9), score(1, 0.5)])
    assert [(entry.row.volume_id, entry.slice_index) for entry in slices] == [
        ("v1", 1),
        ("v1", 0),
        ("v0", 1),
        ("v0", 0),
    ]
    assert slices[0].ssim == pytest.approx(0.49)


def test_the_best_model_is_found_at_each_acceleration():
    rows = [score(n, 0.8, acceleration=r) for n in range(2) for r in (4.0, 8.0)]
    rows += [score(n, 0.9 if r == 8 else 0.7, model="grappa", acceleration=r) for n in range(2) for r in (4.0, 8.0)]
    assert best_models(rows) == {4.0: "cg_sense", 8.0: "grappa"}


def test_a_model_that_did_fewer_volumes_is_not_the_best():
    rows = [score(0, 0.8), score(1, 0.6), score(0, 0.99, model="grappa")]
    assert best_models(rows) == {4.0: "cg_sense"}


def groups_of(rows):
    """Acceleration, labels and volumes of each group, and that they are complete."""
    found = []
    for group in same_volumes(rows):
        labels, volumes = {row.label for row in group}, {row.volume_id for row in group}
        assert {(row.label, row.volume_id) for row in group} == {(a, b) for a in labels for b in volumes}
        assert len({row.acceleration for row in group}) == 1
        found.append((group[0].acceleration, "".join(sorted(labels)), "".join(sorted(volumes))))
    return found


def test_runs_that_did_the_same_volumes_are_one_group_at_each_acceleration():
    rows = [score(n, 0.9, model=model, acceleration=r) for n in range(2) for model in "ab" for r in (8.0, 4.0)]
    assert groups_of(rows) == [(4.0, "ab", "v0v1"), (8.0, "ab", "v0v1")]
    assert same_volumes([]) == []


def test_a_run_on_few_volumes_meets_the_others_on_these():
    rows = [score(n, 0.9, model=model) for n in range(4) for model in "ab"]
    rows += [score(n, 0.9, model="c") for n in (1, 3)]
    assert groups_of(rows) == [(4.0, "abc", "v1v3"), (4.0, "ab", "v0v1v2v3")]


def test_runs_on_different_parts_meet_those_that_did_both():
    rows = [score(n, 0.9, model="a") for n in range(3)]
    rows += [score(0, 0.9, model="k"), score(1, 0.9, model="b"), score(2, 0.9, model="b")]
    assert groups_of(rows) == [(4.0, "ab", "v1v2"), (4.0, "ak", "v0"), (4.0, "a", "v0v1v2")]


def test_runs_that_share_a_part_of_their_volumes_meet_on_it():
    rows = [score(n, 0.9, model="a") for n in (0, 1, 2)] + [score(n, 0.9, model="b") for n in (1, 2, 3, 4)]
    assert groups_of(rows) == [(4.0, "ab", "v1v2"), (4.0, "b", "v1v2v3v4"), (4.0, "a", "v0v1v2")]
    (common,) = common_volumes(rows)
    assert common.line == "4x: compared on the 2 volumes that all models did; left out are 1 of a, 2 of b"


def test_pairs_meet_where_no_volume_was_done_by_all():
    rows = [score(n, 0.9, model=model) for model, done in (("a", (0, 1)), ("b", (1, 2)), ("c", (5,))) for n in done]
    assert (4.0, "ab", "v1") in groups_of(rows)
    (common,) = common_volumes(rows)
    assert common.line == "4x: no volume was done by all 3 models, which did 2 of a, 2 of b, 1 of c"


def test_runs_on_equal_volumes_leave_nothing_out():
    rows = [score(n, 0.9, model=model, acceleration=r) for n in range(2) for model in "ab" for r in (8.0, 4.0)]
    assert common_volumes(rows) == []


def test_runs_of_different_scorers_are_never_compared():
    rows = [score(n, 0.9, model=model) for n in range(2) for model in "ab"]
    rows += [dataclasses.replace(row, scorer="snu-2025") for row in rows]
    found = [({row.scorer for row in group}, {row.label for row in group}) for group in same_volumes(rows)]
    assert found == [({"fastmri"}, {"a", "b"}), ({"snu-2025"}, {"a", "b"})]


def test_a_scorer_that_counts_slices_gives_long_volumes_more_weight():
    rows = [
        dataclasses.replace(row, scorer="snu-2025", num_slices=n, slice_ssim=(row.ssim,) * n)
        for row, n in zip(many(2), (10, 30), strict=True)
    ]
    (summary,) = summarise(rows)
    assert summary.ssim.mean == pytest.approx((10 * rows[0].ssim + 30 * rows[1].ssim) / 40)
    assert (summary.ssim.low, summary.ssim.high) == tuple(sorted(row.ssim for row in rows))


def test_two_volumes_of_one_file_are_two_in_every_comparison():
    rows = [
        dataclasses.replace(score(0, ssim, model=model), volume_id=name)
        for model, scores in (("a", (0.9, 0.5)), ("b", (0.8, 0.6)))
        for name, ssim in zip(("v0_contrast1", "v0_contrast2"), scores, strict=True)
    ]
    (found,) = compare_models(rows, "a")
    assert (found.num_volumes, found.ssim.mean) == (2, pytest.approx(0.0))
    assert same_volumes([*rows[:2], rows[2]])[0] == [rows[0], rows[2]]
