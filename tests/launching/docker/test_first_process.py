"""The first process of a job's container; it needs no container to be tested."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import HANG_S, until

from mrikit.launching.job import CANCELLED, FAILED, RUNNING, SUCCEEDED, JobSpec
from mrikit.launching.state import CANCEL_FILE, Order, read_state, write_order


@pytest.fixture
def start(tmp_path):
    """Start the process with what a shell does as the job's command; killed at the end."""
    started = []

    def run(script=None, **limits):
        if script is not None:
            spec = JobSpec(name="one", command=("tasks",), folder=str(tmp_path), **limits)
            write_order(tmp_path, Order(spec=spec, command=("sh", "-c", script), env={"SAID": "hello"}))
        words = [sys.executable, "-P", "-m", "mrikit.launching.docker.first_process", str(tmp_path)]
        started.append(
            subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def finish(start, tmp_path):
    def run(script, **limits):
        process = start(script, **limits)
        said, _ = process.communicate(timeout=HANG_S)
        return process.returncode, said, read_state(tmp_path)

    return run


def await_running(folder):
    """Until the command has made the file `here`."""
    until((folder / "here").exists)
    assert read_state(folder).state == RUNNING


def is_running(word):
    """Whether a word is on the command line of some process."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it is gone
            found += path.read_text(errors="replace").split("\0")
    return word in found


def test_a_job_that_succeeds_hands_on_all_that_it_says(finish):
    code, said, state = finish('echo "$SAID"; echo wrong >&2; yes | head -c 200000')
    assert code == 0
    assert said.startswith("hello\nwrong\ny\n")
    assert len(said) == len("hello\nwrong\n") + 200_000
    assert (state.state, state.exit_code, state.num_errors, state.num_preemptions) == (SUCCEEDED, 0, 0, 0)
    assert state.started_at <= state.ended_at


def test_a_job_that_fails_ends_with_0_so_that_docker_does_not_start_it_again(finish):
    code, _, state = finish("exit 3")
    assert code == 0
    assert (state.state, state.exit_code, state.num_errors) == (FAILED, 3, 0)


def test_errors_are_counted_up_to_their_bound(finish):
    code, said, state = finish("echo start; exit 3", max_errors=1)
    assert code == 0
    assert said.splitlines() == ["start", "--- started again after an error (exit code 3)", "start"]
    assert (state.state, state.num_errors, state.num_preemptions) == (FAILED, 1, 0)


def test_a_killed_command_is_started_again_and_counts_as_a_preemption(finish):
    _, said, state = finish("if [ -e been ]; then echo again; else touch been; kill -9 $$; fi")
    assert said.splitlines() == ["--- started again after it was taken off its machine (SIGKILL)", "again"]
    assert (state.state, state.num_preemptions, state.num_errors) == (SUCCEEDED, 1, 0)


def test_preemptions_have_a_bound(finish):
    _, _, state = finish("kill -9 $$", max_restarts=2)
    assert (state.state, state.num_preemptions, state.num_errors) == (FAILED, 2, 0)
    assert "--max-restarts is 2" in state.message


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_container_that_goes_before_its_job_is_over_asks_docker_to_start_it_again(start, tmp_path, number):
    first = start("if [ -e been ]; then exit 0; fi; touch been here; sleep 600")
    await_running(tmp_path)
    first.send_signal(number)
    assert first.wait(timeout=HANG_S) == (128 + signal.SIGTERM if number == signal.SIGTERM else -signal.SIGKILL)
    assert read_state(tmp_path).state == RUNNING
    second = start()
    second.communicate(timeout=HANG_S)
    assert second.returncode == 0
    state = read_state(tmp_path)
    assert (state.state, state.num_preemptions, state.num_errors) == (SUCCEEDED, 1, 0)


def test_a_job_that_is_over_is_not_started_again(start, finish, tmp_path):
    finish("echo x >> starts; exit 1", max_errors=0)
    again = start()
    assert again.wait(timeout=HANG_S) == 0
    assert (tmp_path / "starts").read_text() == "x\n"


def test_the_time_limit_ends_a_start_and_all_that_it_has_started(finish):
    long = f"600.{os.getpid()}"
    code, _, state = finish(f"(trap '' TERM; sleep {long}) & sleep 600", max_hours=1 / 3600)
    assert code == 0
    assert state.state == FAILED
    assert state.message == "stopped after 0.000277778 h (--max-hours); `mrikit jobs resume` goes on"
    assert not is_running(long)


def test_a_cancelled_job_ends(start, tmp_path):
    process = start("touch here; sleep 600")
    await_running(tmp_path)
    (tmp_path / CANCEL_FILE).touch()
    assert process.wait(timeout=HANG_S) == 0
    assert read_state(tmp_path).state == CANCELLED


def test_what_a_job_leaves_running_ends_with_it(finish):
    long = f"601.{os.getpid()}"
    code, said, state = finish(f"sleep {long} & echo done")
    assert (code, said, state.state) == (0, "done\n", SUCCEEDED)
    assert not is_running(long)


def test_a_program_that_is_not_there_is_named(start, tmp_path):
    spec = JobSpec(name="one", command=("tasks",), folder=str(tmp_path), max_errors=5)
    write_order(tmp_path, Order(spec=spec, command=("mrikitt", "tasks"), env={}))
    process = start()
    said, _ = process.communicate(timeout=HANG_S)
    assert process.returncode == 0
    assert said == "cannot be started: mrikitt: No such file or directory\n"
    assert (read_state(tmp_path).state, read_state(tmp_path).exit_code) == (FAILED, 127)


def test_a_folder_without_an_order_is_one_line(start):
    process = start()
    said, _ = process.communicate(timeout=HANG_S)
    assert process.returncode == 1
    assert said.startswith("mrikit: ")
    assert said.count("\n") == 1


def test_how_a_job_ended_is_written_as_soon_as_the_disk_has_room(full_disk, tmp_path):
    folder, ballast = full_disk / "job", full_disk / "ballast"
    command = ("sh", "-c", f"touch {tmp_path}/runs; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done")
    write_order(
        folder, Order(spec=JobSpec(name="one", command=("tasks",), folder=str(folder)), command=command, env={})
    )
    words = [sys.executable, "-P", "-m", "mrikit.launching.docker.first_process", str(folder)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    until(lambda: (state := read_state(folder)) is not None and state.state == RUNNING, process)
    with pytest.raises(OSError, match="No space left"):
        ballast.write_bytes(bytes(2_000_000))
    (tmp_path / "go").touch()
    assert "could not be written: " in process.stdout.readline()
    assert read_state(folder).state == RUNNING
    ballast.unlink()
    assert process.wait() == 0
    process.stdout.close()
    assert read_state(folder).state == SUCCEEDED
