import dataclasses
from pathlib import Path

import pytest
from scored_study import score

from mrikit.errors import DataError
from mrikit.evaluate import Unscored, leaderboard, require_expected
from mrikit.evaluate.leaderboard import folder_acceleration


def snu(number, ssim, anatomy="brain", acceleration=4.0):
    row = score(number, ssim, acceleration=acceleration)
    name = f"{anatomy}_test{number}"
    path = f"/data/acc{acceleration:g}/kspace/{name}.h5"
    return dataclasses.replace(row, scorer="snu", volume_id=name, path=path, anatomy=anatomy)


def complete(num_volumes=2, ssim=0.9):
    return [
        snu(number, ssim, anatomy, acceleration)
        for anatomy in ("brain", "knee")
        for acceleration in (4.0, 8.0)
        for number in range(1, num_volumes + 1)
    ]


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


def test_a_complete_set_is_as_expected():
    require_expected({"recon": complete()}, [], 2)


def test_a_missing_volume_is_named_with_its_group():
    rows = [row for row in complete(29) if (row.volume_id, row.acceleration) != ("brain_test7", 4.0)]
    reason = Unscored(volume_id="brain_test7", path="/p", reconstruction=None, reason="damaged")
    with pytest.raises(DataError) as error:
        require_expected({"recon": rows}, [reason], 29)
    assert str(error.value) == (
        "recon: brain acc4: 29 expected, 28 found, lacks brain_test7; not scored: brain_test7 (damaged)"
    )


def test_a_group_without_any_volume_is_named():
    rows = [row for row in complete() if (row.anatomy, row.acceleration) != ("knee", 8.0)]
    with pytest.raises(DataError, match=r"^recon: knee acc8: 2 expected, 0 found$"):
        require_expected({"recon": rows}, [], 2)


def test_too_many_volumes_are_not_as_expected_either():
    with pytest.raises(DataError, match="brain acc4: 1 expected, 2 found; brain acc8: 1 expected, 2 found; knee"):
        require_expected({"recon": complete(2)}, [], 1)


@pytest.mark.parametrize(
    ("path", "acceleration"),
    [("/d/acc4/kspace/a.h5", 4.0), ("/acc4/acc16/a.h5", 16.0), ("/d/brain_acc4/acc4_1.h5", None), ("/d/a.h5", None)],
)
def test_the_nearest_folder_names_an_acceleration(path, acceleration):
    assert folder_acceleration(Path(path)) == acceleration
