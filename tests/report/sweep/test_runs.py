"""What the folders of a member say."""

import json

import pytest

from mrikit.evaluate.rows import VolumeScore
from mrikit.evaluate.scores import Scores, write_scores
from mrikit.report.sweep.runs import found_training, mean_test_scores


def volume(name, slices, psnr, kspace_nmse=None):
    ssim = sum(slices) / len(slices)
    return VolumeScore(
        volume_id=name, path=f"/{name}.h5", reconstruction=f"{name}.h5", label="a", model="a", settings=(),
        patient_id=None, acquisition=None, anatomy=None, mask="uniform", acceleration=4, true_acceleration=4,
        num_slices=len(slices), ssim=ssim, psnr=psnr, nmse=0.1, mse=0.1, slice_ssim=slices, scorer="fastmri",
        kspace_nmse=kspace_nmse,
    )  # fmt: skip


def test_test_scores_are_means_over_all_slices_so_a_volume_counts_by_its_slices(tmp_path):
    rows = (volume("few", (0.2,), 10.0), volume("many", (0.8, 0.9, 1.0), 30.0))
    write_scores(tmp_path, Scores(rows=rows, scorer="fastmri", data="/", run={}))
    found = mean_test_scores(tmp_path)
    assert found["ssim"] == pytest.approx((0.2 + 0.8 + 0.9 + 1.0) / 4)
    assert found["psnr"] == pytest.approx(25.0)


def test_the_error_of_kspace_is_a_score_where_each_volume_has_it(tmp_path):
    rows = (volume("few", (0.2,), 10.0, 0.4), volume("many", (0.8, 0.9, 1.0), 30.0, 0.2))
    write_scores(tmp_path, Scores(rows=rows, scorer="fastmri", data="/", run={}))
    assert mean_test_scores(tmp_path)["kspace_nmse"] == pytest.approx(0.25)
    write_scores(tmp_path, Scores(rows=(*rows, volume("other", (0.5,), 20.0)), scorer="fastmri", data="/", run={}))
    assert list(mean_test_scores(tmp_path)) == ["ssim", "psnr", "nmse"]


def test_a_folder_without_scores_has_none(tmp_path):
    assert mean_test_scores(tmp_path) == {}
    assert mean_test_scores(tmp_path / "none") == {}


def test_of_a_run_of_stages_the_last_one_that_was_validated_counts_and_seconds_are_of_all(tmp_path):
    for stage, score in ((1, 0.9), (2, 0.7)):
        folder = tmp_path / f"stage-{stage}"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"task": "t", "size": "tiny", "model": "varnet"}))
        rows = [
            {"kind": "train", "step": 1, "seconds": 2.0},
            {"kind": "validation", "step": 1, "epoch": 1, "ssim": score, "seconds": 0.5},
        ]
        (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    run, seconds = found_training(tmp_path)
    assert run.best == (1, 0.7)
    assert seconds == 5.0
    assert found_training(tmp_path / "none") == (None, 0.0)
