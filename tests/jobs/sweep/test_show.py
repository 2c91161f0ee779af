"""`mrikit sweep show`: what it says of a sweep, and that it starts nothing."""

import csv

import pytest
from swept import GRID, in_memory, sweep, write_run
from typer.testing import CliRunner

from mrikit.commands.app import app
from mrikit.errors import ConfigError
from mrikit.evaluate.rows import VolumeScore
from mrikit.evaluate.scores import Scores, write_scores
from mrikit.launching.job import JobStatus
from mrikit.storage import parse_location


@pytest.fixture
def backend(monkeypatch, tmp_path):
    return in_memory(monkeypatch, tmp_path)


def write_test(spec, ssim):
    row = VolumeScore(
        volume_id="a", path="/a.h5", reconstruction="a.h5", label="a", model="a", settings=(), patient_id=None,
        acquisition=None, anatomy=None, mask="uniform", acceleration=4, true_acceleration=4, num_slices=1,
        ssim=ssim, psnr=30.0, nmse=0.1, mse=0.1, slice_ssim=(ssim,), scorer="fastmri",
    )  # fmt: skip
    write_scores(parse_location(spec.outputs[1]), Scores(rows=(row,), scorer="fastmri", data="/", run={}))


def words(text):
    return [line.split() for line in text.splitlines()]


def test_the_best_by_validation_is_shown_with_its_seeds_and_interval_and_nothing_is_started(backend):
    sweep("rates.toml")
    shown = sweep("show", "rates.toml")
    head, row = words(shown.stdout)
    assert head == ["seeds", "validation", "of", "settings"]
    assert row == ["3", "0.001002", "+-", "2.5e-06", "2", "training.max_lr=0.001"]
    told = shown.stderr.splitlines()
    assert told[0] == "rates: 6 members, 6 done"
    assert told[1] == "chosen by validation alone: the highest SSIM, in the mean over seeds"
    assert len(backend.submitted) == 6


def test_each_value_of_a_key_has_a_line(backend):
    sweep("rates.toml")
    head, *rows = words(sweep("show", "rates.toml", "--by", "training.max_lr").stdout)
    assert head == ["training.max_lr", "seeds", "validation", "of", "settings"]
    assert [row[0] for row in rows] == ["0.001", "0.0001"]


def test_pictures_lie_where_asked_for_or_beside_the_runs(backend, tmp_path):
    sweep("rates.toml")
    told = sweep("show", "rates.toml").stderr
    assert "box plots of the validation score: 1 picture in runs/rates-summary" in told
    assert (tmp_path / "runs" / "rates-summary" / "ssim-by-training.max_lr.png").is_file()
    sweep("show", "rates.toml", "--out", "pictures")
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["ssim-by-training.max_lr.png"]


def test_a_sweep_of_seeds_alone_has_no_picture(backend, tmp_path):
    (tmp_path / "rates.toml").write_text(GRID.replace("[1e-3, 1e-4]", "[1e-3]"))
    sweep("rates.toml")
    assert "no box plots: members that are done differ in no setting but the seed" in sweep("show", "rates.toml").stderr


def test_members_that_are_missing_are_counted_by_state_and_fewer_seeds_are_said(backend, tmp_path):
    backend.fails = {"2": "out of memory"}
    sweep("rates.toml")
    (tmp_path / "rates.toml").write_text(GRID.replace("1e-4]", "1e-4, 1e-5]"))
    done = next(
        spec
        for spec in backend.submitted
        if spec.command[-3:] == ("training.max_lr=0.0001", "--set", "training.seed=3")
    )
    backend.ends[str(1 + backend.submitted.index(done))] = JobStatus(state="cancelled")
    told = sweep("show", "rates.toml", "--by", "training.max_lr").stderr
    assert "rates: 9 members, 3 done; missing are 6: 3 new, 2 failed, 1 cancelled" in told
    assert "groups have different numbers of seeds, 1 to 2" in told
    told = sweep("show", "rates.toml").stderr
    assert "left out of the choice: 1 settings of which fewer seeds are done than of others" in told


def test_test_scores_of_the_chosen_stand_beside(backend, tmp_path):
    (tmp_path / "rates.toml").write_text(GRID.replace("[settings]", 'test_data = "TEST"\n[settings]'))
    sweep("rates.toml")
    for spec in backend.submitted:
        write_test(spec, 0.9 if "training.max_lr=0.0001" in spec.command else 0.25)
    head, row = words(sweep("show", "rates.toml").stdout)
    assert head == ["seeds", "validation", "test", "ssim", "test", "psnr", "test", "nmse", "of", "settings"]
    assert row[4:7] == ["0.25", "+-", "0"]
    assert row[-1] == "training.max_lr=0.001"


def test_without_test_scores_it_says_how_to_have_them(backend):
    sweep("rates.toml")
    told = sweep("show", "rates.toml").stderr
    assert "without test scores: 1 of 1; test_data in the file has members tested" in told


def test_all_members_are_a_table_on_request_also_while_some_are_missing(backend, tmp_path):
    backend.fails = {"2": "out of memory"}
    sweep("rates.toml")
    sweep("show", "rates.toml", "--csv", "all.csv")
    rows = list(csv.DictReader((tmp_path / "all.csv").read_text().splitlines()))
    assert [row["state"] for row in rows].count("failed") == 2
    assert {row["seed"] for row in rows} == {"1", "2", "3"}
    assert rows[0]["validation"] == "0.001001"


def test_tasks_are_told_apart(backend, tmp_path):
    (tmp_path / "rates.toml").write_text(GRID.replace('"knee_multicoil"', '["knee_multicoil", "brain_multicoil"]'))
    sweep("rates.toml", "--at-once", "12")
    head, *rows = words(sweep("show", "rates.toml").stdout)
    assert head[0] == "task"
    assert [row[0] for row in rows] == ["knee_multicoil", "brain_multicoil"]


def fails(*given):
    with pytest.raises(ConfigError) as caught:
        CliRunner().invoke(app, ["sweep", "show", *given], catch_exceptions=False)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_before_anything_ran_there_is_nothing_to_show(backend):
    assert fails("rates.toml").startswith("rates.toml: no member of this sweep was started from this machine; `mrikit")


def test_an_unknown_key_is_one_line(backend):
    sweep("rates.toml")
    assert fails("rates.toml", "--by", "training.max_l") == (
        "--by training.max_l: no setting of this sweep; did you mean training.max_lr?"
    )


def test_while_no_member_is_done_nothing_is_compared_and_the_table_is_written(backend, tmp_path):
    backend.fails = dict.fromkeys("123", "broken")
    sweep("rates.toml")
    assert "no member is trained to its end and validated yet" in fails("rates.toml", "--csv", "all.csv")
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 7


def test_what_a_stopped_member_reached_is_in_the_table_and_not_compared(backend, tmp_path):
    backend.fails = {"1": "broken"}
    sweep("rates.toml")
    spec = next(spec for spec in backend.submitted if "training.seed=1" in spec.command)
    write_run(spec, 0.99)
    shown = sweep("show", "rates.toml", "--csv", "all.csv").stdout
    assert "0.99" not in shown
    assert "0.99" in (tmp_path / "all.csv").read_text()
