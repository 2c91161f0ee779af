"""`--on local` and `mrikit jobs`, as a user types them, against jobs that really run."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from local_jobs import home
from training.small_run import CONFIG, are_same_bits, command_line, newest_state
from training.small_run import run as run_small
from typer.testing import CliRunner
from waiting import HANG_S, until

from mrikit.checkpoint import load_weights
from mrikit.commands.app import app
from mrikit.config import change_config
from mrikit.errors import ConfigError, JobError
from mrikit.launching.job import GOING_ON
from mrikit.launching.records import RECORD_FILE

LONG = change_config(CONFIG, {"training.num_epochs": 4}, "test")
"""Long enough to be met on its way."""


@pytest.fixture(autouse=True)
def jobs(tmp_path, monkeypatch):
    yield from home(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def finished(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    run_small(study, folder, config=LONG, execution__checkpoint_minutes=9)
    return folder


def invoke(*words):
    """What a command prints."""
    done = CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def submitted(*words):
    """The name of the job that a command starts."""
    return re.search(r"^submitted (\S+) as \d+-\d+$", invoke(*words, "--on", "local"), re.MULTILINE)[1]


def over(name):
    """The facts of a job at its end."""
    until(lambda: facts(name)["state"] not in GOING_ON)
    return facts(name)


def facts(name):
    return json.loads(invoke("jobs", "status", name, "--json"))


def test_a_command_is_run_elsewhere_says_the_same_there_and_is_not_run_twice(study, tmp_path):
    words = ("data", "index", study, "--index", tmp_path / "there")
    name = submitted(*words)
    assert re.fullmatch(r"data-index-[0-9a-f]{8}", name)
    here = invoke("data", "index", study, "--index", tmp_path / "here")
    there = invoke("jobs", "logs", name, "-f")
    assert there.splitlines()[:-1] == here.splitlines()[:-1]
    assert there.splitlines()[-1].endswith(str(tmp_path / "there"))
    assert (tmp_path / "there").exists()
    assert re.fullmatch(rf"{name} on local: succeeded, for \d+ s\n", invoke("jobs", "status", name))
    found = over(name)
    wanted = {"state": "succeeded", "exit_code": 0, "num_preemptions": 0, "num_errors": 0, "message": "", "on": "local"}
    assert {key: found[key] for key in wanted} == wanted
    assert found["command"] == ["data", "index", str(study), "--index", str(tmp_path / "there")]
    again = invoke(*words, "--on", "local").splitlines()
    assert again[-2:] == [
        f"job {name} is done; with another --job-name it runs again",
        f"next: mrikit jobs logs {name} --follow",
    ]
    assert invoke("jobs", "cancel", name) == f"{name} has succeeded already\n"
    with pytest.raises(JobError, match=f"job {name} is succeeded; only a job that failed or was cancelled is resumed"):
        invoke("jobs", "resume", name)


def test_a_dry_run_shows_the_line_of_a_shell_and_starts_nothing(study, jobs):
    lines = invoke("data", "index", study, "--on", "local", "--processes", 2, "--dry-run").splitlines()
    assert lines[0].endswith(": this machine, 2 processes")
    assert lines[1] == "machines: 1 node, 2 processes"
    assert lines[-1].startswith(f"cd {Path.cwd()} && PYTHONUNBUFFERED=1 OMP_NUM_THREADS=")
    assert lines[-1].endswith(f" --no-python {sys.executable} -P -m mrikit data index {study}")
    training = invoke("train", *command_line(LONG), "--data", study, "--on", "local", "--dry-run").splitlines()
    told, memory, time = training[-3:]
    assert re.fullmatch(
        r"expected of knee_multicoil \(tiny\), \d+ volumes to train on and \d+ to validate on, found in the data:", told
    )
    assert " GB at the peak on cpu " in memory
    assert "a part of the step was timed here" in time
    assert not jobs.exists()
    with pytest.raises(ConfigError, match="--on local --nodes 2: this is one machine; take --on slurm"):
        invoke("data", "index", study, "--on", "local", "--nodes", 2)


def test_what_fails_tells_why_and_can_be_tried_again(tmp_path):
    missing = tmp_path / "missing"
    name = submitted("data", "index", missing)
    assert over(name)["exit_code"] == 1
    status = invoke("jobs", "status", name).splitlines()
    assert re.fullmatch(rf"{name} on local: failed, for \d+ s, exit code 1", status[0])
    assert status[1] == f"failed (exit code 1); `mrikit jobs logs {name}` says why"
    (why,) = invoke("jobs", "logs", name).splitlines()
    assert why.startswith("mrikit: ")
    assert str(missing) in why
    missing.mkdir()
    first, following = invoke("jobs", "resume", name).splitlines()
    assert re.fullmatch(rf"submitted {name} as \d+-\d+", first)
    assert following == f"next: mrikit jobs logs {name} --follow"
    over(name)
    assert "--- started again by hand\n" in invoke("jobs", "logs", name)


def test_jobs_are_listed_called_by_the_beginning_of_their_names_and_found_again(study, jobs, tmp_path):
    assert invoke("jobs", "list") == "no job was submitted from this machine; next: mrikit train ... --on local\n"
    for name in ("index-one", "index-two"):
        assert submitted("data", "index", study, "--index", tmp_path / name, "--job-name", name) == name
        over(name)
    header, *rows = (line.split() for line in invoke("jobs", "list").splitlines())
    assert header == ["job", "on", "state", "submitted", "preempted", "errors"]
    assert [(row[0], row[1], row[2], *row[-2:]) for row in rows] == [
        (name, "local", "succeeded", "0", "0") for name in ("index-two", "index-one")
    ]
    assert facts("index-t")["name"] == "index-two"
    with pytest.raises(JobError, match="several jobs begin with 'index'"):
        invoke("jobs", "status", "index")
    with pytest.raises(JobError, match="no job is called 'other'; there are index-two, index-one"):
        invoke("jobs", "logs", "other")
    for path in jobs.glob(f"*/{RECORD_FILE}"):
        path.unlink()
    assert invoke("jobs", "list").startswith("no job was submitted")
    found = json.loads(invoke("jobs", "list", "--on", "local", "--json"))["jobs"]
    assert {row["name"]: row["state"] for row in found} == {"index-one": "succeeded", "index-two": "succeeded"}


def test_two_terminals_that_submit_at_once_start_one_job(study, tmp_path, jobs):
    words = [Path(sys.executable).parent / "mrikit", "data", "index", study, "--index", tmp_path / "index"]
    running = [
        subprocess.Popen([*words, "--on", "local"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = ["".join(process.communicate(timeout=HANG_S)) for process in running]
    assert "".join(said).count("\nsubmitted ") == 1
    assert re.search(r"(going on already|is done)", "".join(said))
    (record,) = jobs.glob(f"*/{RECORD_FILE}")
    folder = record.parent
    assert over(folder.name)["state"] == "succeeded"
    assert len(list(folder.glob("log-*"))) == 1


@pytest.mark.slow
def test_a_training_is_attached_to_cancelled_pulled_and_resumed_to_the_same_weights(study, finished, tmp_path):
    words = ("train", *command_line(LONG), "--data", study, "--out", tmp_path / "run", "--device", "cpu")
    name = submitted(*words)
    assert re.fullmatch(r"knee-multicoil-[0-9a-f]{8}", name)
    until(lambda: list((tmp_path / "run").glob("checkpoints/*.safetensors")))
    assert f"{name} going on already; nothing is submitted again\n" in invoke(*words, "--on", "local")
    assert invoke("jobs", "pull", name) == f"{tmp_path / 'run'}\n"
    with pytest.raises(JobError, match=f"job {name} is running; only a job that failed"):
        invoke("jobs", "resume", name)
    assert invoke("jobs", "cancel", name) == f"{name} is cancelled; next: mrikit jobs resume {name}\n"
    assert facts(name)["state"] == "cancelled"
    assert re.search(r"^stopped after step \d+ of 20; the same command goes on", invoke("jobs", "logs", name), re.M)
    invoke("jobs", "resume", name)
    assert over(name)["state"] == "succeeded"
    assert re.search(r"^going on after step \d+ of 20", invoke("jobs", "logs", name), re.M)
    assert are_same_bits(newest_state(tmp_path / "run"), newest_state(finished))


@pytest.mark.slow
def test_a_training_that_is_killed_for_practice_ends_with_the_same_weights(study, finished, tmp_path):
    words = ("train", *command_line(LONG), "--data", study, "--out", tmp_path / "run", "--device", "cpu")
    # The name decides when: after 1.28, 4.51, 6.37 and 8.01 s.
    drill = ("--simulate-preemption", "--job-name", "drill")
    name = submitted(*words, *drill, "--resource", "kill_within_s=9", "--resource", "kills=4")
    said = invoke("jobs", "logs", name, "--follow")
    found = over(name)
    assert (found["state"], found["num_errors"], found["exit_code"]) == ("succeeded", 0, 0)
    kills = "--- started again after it was taken off its machine (SIGKILL) by --simulate-preemption\n"
    assert 1 <= said.count(kills) == found["num_preemptions"] <= 4
    assert f"preempted {found['num_preemptions']} times" in invoke("jobs", "status", name)
    assert are_same_bits(newest_state(tmp_path / "run"), newest_state(finished))
    assert load_weights(tmp_path / "run").sha256 == load_weights(finished).sha256
