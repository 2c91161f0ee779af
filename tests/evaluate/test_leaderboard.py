import dataclasses
from pathlib import Path

import pytest
from scored_study import score

from mrikit.evaluate import leaderboard
from mrikit.evaluate.leaderboard import folder_acceleration


def snu(number, ssim, anatomy="brain", acceleration=4.0):
    row = score(number, ssim, acceleration=acceleration)
    name = f"{anatomy}_test{number}"
    path = f"/data/acc{acceleration:g}/kspace/{name}.h5"
    return dataclasses.replace(row, scorer="snu-2025", volume_id=name, path=path, anatomy=anatomy)


def test_the_line_names_every_acceleration_and_their_mean():
    (found,) = leaderboard({"recon": [snu(1, 0.9786), snu(1, 0.9722, acceleration=8.0)]})
    assert found.line == "acc4 0.9786, acc8 0.9722, mean 0.9754"


def test_one_acceleration_alone_has_no_mean_of_several():
    (found,) = leaderboard({"recon": [snu(1, 0.9), snu(2, 0.8)]})
    assert found.line == "acc4 0.8500"


def test_folders_of_other_volumes_are_one_submission():
    (found,) = leaderboard({"a": [snu(1, 0.9)], "b": [snu(1, 0.7, acceleration=8.0)]})
    assert (found.name, found.mean) == ("a, b", pytest.approx(0.8))


def test_folders_of_the_same_volumes_are_rivals_and_the_best_leads():
    found = leaderboard({"a": [snu(1, 0.8)], "b": [snu(1, 0.9)]})
    assert [entry.name for entry in found] == ["b", "a"]


@pytest.mark.parametrize(
    ("path", "acceleration"),
    [("/d/acc4/kspace/a.h5", 4.0), ("/acc4/acc16/a.h5", 16.0), ("/d/brain_acc4/acc4_1.h5", None), ("/d/a.h5", None)],
)
def test_the_nearest_folder_names_an_acceleration(path, acceleration):
    assert folder_acceleration(Path(path)) == acceleration


def test_the_time_of_a_slice_is_the_mean_over_the_slices_of_both_accelerations():
    rows = [
        dataclasses.replace(snu(1, 0.9, "knee", acceleration), scorer="snu-2026", num_timed=n, forward_seconds=seconds)
        for acceleration, n, seconds in ((4.0, 10, 1.0), (8.0, 30, 1.0), (8.0, 0, 0.0))
    ]
    (found,) = leaderboard({"a": rows})
    assert (found.ms_per_slice, found.num_timed) == (50.0, 40)
    assert found.line.endswith("; 50.0 ms a slice over 40")
