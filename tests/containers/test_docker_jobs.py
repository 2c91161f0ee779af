"""The docker back end by the command line, against a real engine."""

import json
import os
import signal

import pytest
from training.small_run import CONFIG, are_same_bits, command_line, largest_difference, newest_state, write_study
from waiting import until

from mrikit.config import change_config

pytestmark = pytest.mark.slow

SHORT = change_config(CONFIG, {"training.num_epochs": 1}, "test")
LONG = change_config(CONFIG, {"training.num_epochs": 60}, "test")
ON = ("--on", "docker", "--resource", "cpus=1", "--job-name")


@pytest.fixture(scope="module")
def small_study(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture
def status(mrikit):
    """How a job stands; after waiting for a state, if one is named."""

    def ask(name, *states):
        def found():
            facts = json.loads(mrikit("jobs", "status", name, "--json").stdout)
            return facts if not states or facts["state"] in states else None

        return until(found)

    return ask


def train(config, study, out):
    return ("train", *command_line(config), "--data", study, "--out", out)


def await_checkpoint(run):
    until(lambda: list(run.glob("checkpoints/step-*.safetensors")))


def test_a_job_is_submitted_once_followed_to_its_end_and_its_files_are_here(mrikit, status, study, tmp_path):
    words = ("reconstruct", "--data", study, "--out", "out", "--acceleration", "4", *ON, "once")
    first = mrikit(*words)
    assert "submitted once as mrikit-once" in first.stdout
    assert "submitted once as" not in mrikit(*words).stdout
    assert "cg_sense: 1 volumes, 2 slices, " in mrikit("jobs", "logs", "once", "--follow").stdout
    found = status("once", "succeeded", "failed")
    assert (found["state"], found["exit_code"], found["num_preemptions"]) == ("succeeded", 0, 0)
    assert found["started_at"] <= found["ended_at"]
    assert mrikit("jobs", "pull", "once").stdout.splitlines() == [str(tmp_path / "out")]
    file = tmp_path / "out" / "file1000001.h5"
    assert file.stat().st_uid == os.getuid()
    assert "job once is done" in mrikit(*words).stdout


def test_an_index_is_written_as_a_file_into_a_folder_that_was_not_there(mrikit, status, study, tmp_path):
    index = tmp_path / "kept" / "index"
    mrikit("data", "index", study, "--index", index, *ON, "index")
    assert status("index", "succeeded", "failed")["state"] == "succeeded", mrikit("jobs", "logs", "index").stdout
    assert index.is_file()


def test_another_machine_finds_the_job_by_its_labels(mrikit, status, study, tmp_path):
    mrikit("reconstruct", "--data", study, "--out", "out", *ON, "found")
    status("found", "succeeded")
    (tmp_path / "jobs" / "found" / "job.json").unlink()
    rows = json.loads(mrikit("jobs", "list", "--on", "docker", "--json").stdout)["jobs"]
    (row,) = [row for row in rows if row["name"] == "found"]
    assert row["state"] == "succeeded"
    assert row["command"][:3] == ["reconstruct", "--data", str(study)]


def test_a_container_that_is_killed_goes_on_and_ends_as_one_that_is_not(mrikit, status, docker, small_study, tmp_path):
    config = change_config(LONG, {"training.num_epochs": 6}, "test")
    mrikit(*train(config, small_study, tmp_path / "killed"), *ON, "killed")
    await_checkpoint(tmp_path / "killed")
    pid = int(docker("inspect", "--format", "{{.State.Pid}}", "mrikit-killed").stdout)
    os.kill(pid, signal.SIGKILL)
    found = status("killed", "succeeded", "failed")
    assert (found["state"], found["num_preemptions"], found["num_errors"]) == ("succeeded", 1, 0), found
    assert "--- started again after it was taken off its machine (SIGKILL)" in mrikit("jobs", "logs", "killed").stdout
    mrikit(*train(config, small_study, tmp_path / "quiet"), *ON, "quiet")
    assert status("quiet", "succeeded", "failed")["num_preemptions"] == 0
    assert are_same_bits(newest_state(tmp_path / "killed"), newest_state(tmp_path / "quiet"))


def test_a_cancelled_job_ends_and_goes_on_when_it_is_resumed(mrikit, status, docker, small_study, tmp_path):
    config = change_config(LONG, {"training.num_epochs": 20}, "test")
    run = tmp_path / "run"
    mrikit(*train(config, small_study, run), *ON, "stopped")
    await_checkpoint(run)
    assert mrikit("jobs", "pull", "stopped").stdout.splitlines() == [str(run)]
    mrikit("jobs", "cancel", "stopped")
    assert status("stopped")["state"] == "cancelled"
    assert docker("ps", "--quiet", "--filter", "label=mrikit.job=stopped").stdout == ""
    mrikit("jobs", "cancel", "stopped")
    assert "submitted stopped as mrikit-stopped.1" in mrikit("jobs", "resume", "stopped").stdout
    assert status("stopped", "succeeded", "failed")["state"] == "succeeded"
    log = mrikit("jobs", "logs", "stopped").stdout
    assert log == docker("logs", "mrikit-stopped").stdout + docker("logs", "mrikit-stopped.1").stdout


def test_errors_are_counted_and_what_went_wrong_is_in_the_log(mrikit, status, study):
    mrikit("reconstruct", "--data", study, "--out", "out", "--model", "magic", "--max-errors", "1", *ON, "wrong")
    found = status("wrong", "succeeded", "failed")
    assert (found["state"], found["num_errors"], found["num_preemptions"]) == ("failed", 1, 0)
    assert found["exit_code"] == 1
    log = mrikit("jobs", "logs", "wrong").stdout
    assert log.count("mrikit: ") == 2
    assert "--- started again after an error (exit code 1)" in log


def test_a_job_without_memory_is_an_error_and_not_a_preemption(mrikit, status, study):
    mrikit("reconstruct", "--data", study, "--out", "out", "--resource", "memory=60m", *ON, "small")
    found = status("small", "succeeded", "failed")
    assert (found["state"], found["num_preemptions"]) == ("failed", 0)
    assert found["message"].startswith("out of memory; ")


def test_the_time_limit_ends_a_job(mrikit, status, small_study, tmp_path):
    mrikit(*train(LONG, small_study, tmp_path / "run"), "--max-hours", "0.0005", *ON, "late")
    found = status("late", "succeeded", "failed")
    assert found["state"] == "failed"
    assert found["message"] == "stopped after 0.0005 h (--max-hours); `mrikit jobs resume` goes on"


def test_two_containers_train_together_over_a_network_of_their_own(mrikit, status, docker, small_study, tmp_path):
    mrikit(*train(SHORT, small_study, tmp_path / "two"), "--nodes", "2", *ON, "two")
    (network,) = json.loads(docker("network", "inspect", "mrikit-two").stdout)
    assert network["Internal"] is True
    mrikit(*train(SHORT, small_study, tmp_path / "one"), is_checked=True)
    found = status("two", "succeeded", "failed")
    log = mrikit("jobs", "logs", "two").stdout
    assert found["state"] == "succeeded", log
    assert largest_difference(newest_state(tmp_path / "one"), newest_state(tmp_path / "two")) < 1e-5
    assert mrikit("jobs", "logs", "two", "--node", "2", is_checked=False).returncode == 1
    assert "mrikit-two" not in docker("network", "ls", "--format", "{{.Name}}").stdout


def test_an_image_that_is_not_here_is_one_line_and_nothing_is_started(mrikit, study, docker):
    words = ("reconstruct", "--data", study, "--out", "out", "--resource", "image=mrikit-cpu:none", *ON, "none")
    done = mrikit(*words, is_checked=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "mrikit: container image mrikit-cpu:none is not here; `mrikit image build --cpu` makes it"
    )
    assert docker("ps", "--all", "--quiet", "--filter", "label=mrikit.job=none").stdout == ""


def test_a_container_that_was_removed_is_unknown(mrikit, status, docker, study):
    mrikit("reconstruct", "--data", study, "--out", "out", *ON, "removed")
    docker("rm", "--force", "mrikit-removed")
    found = status("removed")
    assert found["state"] == "unknown"
    assert found["message"].startswith("Docker knows no container mrikit-removed; was it removed")
    done = mrikit("jobs", "logs", "removed", is_checked=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
