import csv
import dataclasses
import json
import math

import pytest
from scored_study import score

from mrikit.errors import DataError, StorageError
from mrikit.evaluate import Scores, Unscored, find_scores, read_scores, write_scores


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


def by_scorer(name):
    scores = make_scores()
    rows = tuple(dataclasses.replace(row, scorer=name) for row in scores.rows)
    return dataclasses.replace(scores, scorer=name, rows=rows)


def test_the_scores_of_every_scorer_stay_side_by_side(tmp_path):
    for name in ("snu-2026", "fastmri", "snu-2025"):
        write_scores(tmp_path, by_scorer(name))
    stems = ("scores", "scores.snu-2025", "scores.snu-2026")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{stem}.{end}" for stem in stems for end in ("csv", "json")
    ]
    assert find_scores(tmp_path) == [by_scorer(name) for name in ("fastmri", "snu-2025", "snu-2026")]


def older(folder):
    """What an older version wrote by the scorer that it called snu, without the number of boxes found."""
    write_scores(folder, by_scorer("fastmri"))
    content = json.loads((folder / "scores.json").read_text())
    for row in content["rows"]:
        row["scorer"] = "snu"
        del row["num_boxes_found"]
    (folder / "scores.json").write_text(json.dumps({**content, "scorer": "snu"}))


def test_the_file_of_an_older_version_is_read_as_that_of_2025(tmp_path):
    older(tmp_path)
    assert find_scores(tmp_path) == [by_scorer("snu-2025")]


def test_the_file_of_an_older_version_is_not_overwritten_by_another_scorer(tmp_path):
    older(tmp_path)
    write_scores(tmp_path, by_scorer("fastmri"))
    assert find_scores(tmp_path) == [by_scorer("fastmri"), by_scorer("snu-2025")]
    assert (tmp_path / "scores.snu-2025.csv").exists()


def test_a_newer_file_counts_more_than_that_of_an_older_version(tmp_path):
    older(tmp_path)
    newer = dataclasses.replace(by_scorer("snu-2025"), data="/newer")
    write_scores(tmp_path, newer)
    assert find_scores(tmp_path) == [newer]


def test_a_folder_without_scores_has_none(tmp_path):
    assert find_scores(tmp_path) == []
