"""`mrikit train` of a task with stages, as a user gives it."""

import json
import re
import shutil

import pytest
from training.small_run import are_same_bits, newest_state, write_study
from typer.testing import CliRunner

from mrikit.checkpoint import load_weights
from mrikit.commands.app import app

NETWORK = {
    "num_cascades": 2,
    "stem_width": 4,
    "feature_widths": "4,4,4",
    "prompt_widths": "4,4,4",
    "prompt_sizes": "4,4,4",
    "training.num_epochs": 1,
}


def invoke(study, out, *words, task="knee_acc8", **settings):
    values = {name if "." in name else f"model_config.{name}": value for name, value in NETWORK.items()}
    values |= {name.replace("__", "."): value for name, value in settings.items()}
    assignments = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    command = ["train", "--task", task, "--data", study, "--out", out, *assignments, *words]
    return CliRunner().invoke(app, [str(word) for word in command])


@pytest.fixture(scope="module")
def trained(study, tmp_path_factory):
    out = tmp_path_factory.mktemp("all") / "run"
    done = invoke(study, out)
    assert done.exit_code == 0, done.output
    return out, done, sorted(path.name for path in out.iterdir())  # another test adds a report


def test_without_a_stage_all_are_trained_in_order(trained):
    out, done, names = trained
    assert names == ["stage-1", "stage-2", "stage-3"]
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == ["stage 1", "stage 2", "stage 3"]
    assert [load_weights(out / f"stage-{stage}").record["stage"] for stage in (1, 2, 3)] == [1, 2, 3]
    assert lines[3].startswith(f"next: mrikit reconstruct --weights {out} --data ")
    assert lines[3].endswith("--acceleration 8 --mask fixed --center-fraction 0.08 --held-out")


def test_what_it_names_next_can_be_done(trained):
    words = [line.split("mrikit ")[1].split() for line in trained[1].stdout.splitlines() if "mrikit " in line]
    assert len(words) == 2
    for command in words:
        following = CliRunner().invoke(app, command)
        assert following.exit_code == 0, following.output


def test_one_stage_after_the_other_is_the_same_as_all(study, trained, tmp_path):
    for stage in (1, 2, 3):
        assert invoke(study, tmp_path / "run", "--stage", stage).exit_code == 0
    for stage in (1, 2, 3):
        folders = [out / f"stage-{stage}" for out in (trained[0], tmp_path / "run")]
        assert are_same_bits(*map(newest_state, folders))


def test_a_second_run_gives_the_same_bits(study, trained, tmp_path):
    assert invoke(study, tmp_path / "run", "--deterministic", "--stage", 1).exit_code == 0
    assert are_same_bits(newest_state(trained[0] / "stage-1"), newest_state(tmp_path / "run" / "stage-1"))


def test_the_same_command_again_says_that_all_is_done(study, trained):
    again = invoke(study, trained[0])
    assert again.exit_code == 0
    told = [line for line in again.stdout.splitlines() if "were done before" in line]
    assert [line.split(":")[0] for line in told] == ["stage 1", "stage 2", "stage 3"]


def test_a_stage_without_the_one_before_names_the_command_that_makes_it(study, tmp_path, monkeypatch):
    monkeypatch.setenv("MRIKIT_DATA", str(study))
    monkeypatch.chdir(tmp_path)
    settings = [f"--set={name if '.' in name else f'model_config.{name}'}={NETWORK[name]}" for name in NETWORK]
    words = ["train", "--stage", "2", "--task", "knee_acc8", *settings]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1
    run = "runs/knee_acc8-promptmr-tiny"
    pattern = rf"stage 2 begins with stage 1, which has no weights in {run}/stage-1; make them with `mrikit (.*)`, or "
    command = re.match(pattern, str(done.exception))[1].split()
    assert command[-4:] == ["--stage", "1", "--out", run]
    assert not (tmp_path / "runs").exists()
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0, first.output
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    told = [f"data: {study} (MRIKIT_DATA)", f"stage 2 begins with the weights in {run}/stage-1"]
    assert done.stderr.splitlines()[:2] == told


def test_other_weights_may_be_a_beginning(study, trained, tmp_path):
    done = invoke(study, tmp_path / "run", "--stage", 2, "--start", trained[0] / "stage-1" / "weights.safetensors")
    assert done.exit_code == 0
    assert "Adam begins anew" in done.stderr


def test_a_beginning_needs_a_stage(study, trained, tmp_path):
    done = invoke(study, tmp_path / "run", "--start", trained[0])
    assert str(done.exception) == f"--start {trained[0]} is where one stage begins; name it with --stage"


def test_a_stage_goes_on_when_the_one_before_was_removed(study, trained, tmp_path):
    out = shutil.copytree(trained[0], tmp_path / "run")
    shutil.rmtree(out / "stage-1")
    done = invoke(study, out, "--stage", 2)
    assert done.exit_code == 0, done.output
    assert "steps of this run were done before" in done.stdout


def test_volumes_of_another_anatomy_are_left_out(study, tmp_path):
    data = write_study(tmp_path / "brains", anatomy="brain", prefix="brain")
    done = invoke(data, tmp_path / "run", "--stage", 1)
    assert done.exit_code == 1
    assert f"{data}: no volume shows a knee; found 7 of brain; train another task, or name other data" in str(
        done.exception
    )
    shutil.copytree(study, data / "knees", ignore=shutil.ignore_patterns(".*"))
    done = invoke(data, tmp_path / "run", "--stage", 1)
    assert "6 volumes to train on and 1 to validate on" in done.stderr


def test_stages_are_not_mixed_with_a_run_that_has_none(study, trained, tmp_path):
    words = ["train", "--task", "knee_multicoil", "--data", study, "--out", trained[0]]
    done = CliRunner().invoke(app, [str(word) for word in words])
    message = f"{trained[0]} holds the stages of a run, and knee_multicoil is another kind; choose another --out"
    assert str(done.exception) == message
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    done = invoke(study, tmp_path / "run")
    assert str(done.exception).startswith(f"{tmp_path}/run holds a run without stages, and knee_acc8 is another kind")


def test_nothing_is_left_of_a_stage_that_was_refused(study, trained, tmp_path):
    words = ("--stage", 2, "--start", trained[0] / "stage-1")
    done = invoke(study, tmp_path / "run", *words, model_config__stem_width=6)
    assert "another architecture" in str(done.exception)
    assert not (tmp_path / "run" / "stage-2").exists()


def test_a_classifier_needs_both_anatomies(study, tmp_path):
    words = ["train", "--task", "anatomy", "--data", study, "--out", tmp_path / "run"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert f"{study}: no volume shows a brain, and a classifier needs each; found 7 of knee" in str(done.exception)


def test_the_classifier_is_trained_by_the_same_command(study, tmp_path):
    data = write_study(tmp_path / "both", anatomy="brain", prefix="brain")
    shutil.copytree(study, data / "knees", ignore=shutil.ignore_patterns(".*"))
    words = ["train", "--task", "anatomy", "--data", data, "--out", tmp_path / "run", "--set", "training.num_epochs=1"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("accuracy ")
    assert "epoch 1: accuracy " in done.stderr
    row = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert 0 <= row["accuracy"] <= 1
