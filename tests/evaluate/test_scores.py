import csv
import dataclasses
import json
import math

import pytest
from scored_study import score

from mrikit.errors import DataError, StorageError
from mrikit.evaluate import Scores, Unscored, read_scores, write_scores


def make_scores():
    return Scores(
        rows=(score(0, 0.9), score(1, 1.0, psnr=math.inf)),
        scorer="fastmri",
        unscored=(Unscored(volume_id="t", path="/data/t.h5", reconstruction="t.h5", reason="no reference"),),
        data="/data",
        run={"model": "cg_sense", "mask": None},
    )


def test_scores_come_back_from_their_file_unchanged(tmp_path):
    scores = make_scores()
    write_scores(tmp_path, scores)
    assert read_scores(tmp_path / "scores.json") == scores


def test_the_json_is_plain_json_with_a_summary(tmp_path):
    write_scores(tmp_path, make_scores())
    content = json.loads((tmp_path / "scores.json").read_text(), parse_constant=pytest.fail)
    overall, single = content["summary"]
    assert overall["ssim"]["mean"] == pytest.approx(0.95)
    assert (overall["acquisition"], single["acquisition"]) == (None, "CORPD_FBK")
    assert overall["psnr"]["mean"] is None
    assert content["scorer_meaning"] == "SSIM, PSNR and NMSE as fastmri.evaluate; means over volumes"
    assert content["leaderboard"] == content["lesions"] == []


def test_the_table_has_one_line_for_each_volume(tmp_path):
    paths = write_scores(tmp_path, make_scores())
    assert [path.name for path in paths] == ["scores.json", "scores.csv"]
    with paths[1].open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["volume_id"] for line in lines] == ["v0", "v1"]
    assert float(lines[0]["ssim"]) == 0.9
    assert lines[0]["settings"] == "num_iterations=30"
    assert lines[1]["psnr"] == "inf"


def test_scores_that_cannot_be_written_leave_nothing_behind(tmp_path):
    (tmp_path / "scores.json").mkdir()
    with pytest.raises(StorageError, match=r"scores\.json: cannot be written"):
        write_scores(tmp_path, make_scores())
    assert [path.name for path in tmp_path.iterdir()] == ["scores.json"]


@pytest.mark.parametrize("damage", ["no rows", "another column", "unknown scorer"])
def test_a_file_that_is_not_scores_is_an_error_that_says_how_to_write_one(tmp_path, damage):
    write_scores(tmp_path, make_scores())
    content = json.loads((tmp_path / "scores.json").read_text())
    if damage == "no rows":
        del content["rows"]
    elif damage == "unknown scorer":
        content["scorer"] = "beauty"
    else:
        content["rows"][0]["beauty"] = 1
    (tmp_path / "scores.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"scores\.json: not the scores of this version of mrikit .* mrikit evaluate"):
        read_scores(tmp_path / "scores.json")


def test_scores_are_a_record():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_scores().scorer = "snu"
