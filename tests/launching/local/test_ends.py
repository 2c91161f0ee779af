"""Jobs on this machine that are cancelled, left alone, submitted twice, or on a full disk: none runs on unseen."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from local_jobs import (
    BACKEND,
    STUBBORN,
    WAIT,
    finished,
    is_alive,
    job,
    log_of,
    process_of,
    run,
    state_of,
    until_started,
    until_state,
)
from waiting import HANG_S, until

from mrikit.errors import JobError
from mrikit.launching import processes
from mrikit.launching.local import backend
from mrikit.launching.local.backend import LocalBackend
from mrikit.launching.local.lock import current_state
from mrikit.launching.records import job_folder
from mrikit.launching.state import CANCEL_FILE, read_state


def test_a_job_that_waits_can_be_cancelled_alone(here):
    first, second = job(here, WAIT, name="first"), job(here / "second", "", name="second")
    BACKEND.submit([first, second])
    BACKEND.cancel(second, "")
    assert (state_of(first), state_of(second)) == (
        "queued" if not (here / "starts").exists() else "running",
        "cancelled",
    )
    (here / "go").touch()
    assert finished(first).state == "succeeded"


def test_it_survives_the_terminal_that_started_it(here, jobs):
    code = (
        "import os, sys; from pathlib import Path; sys.path.insert(0, 'tests');"
        f"from local_jobs import BACKEND, job, WAIT; BACKEND.submit([job(Path({str(here)!r}), WAIT)]); os.killpg(0, 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], start_new_session=True, check=False, timeout=HANG_S)
    assert done.returncode == -signal.SIGKILL
    spec = job(here, WAIT)
    command, supervisor = until_started(spec), process_of(spec, "supervisor")
    sessions = [os.getsid(process) for process in (command, supervisor)]
    assert len({os.getsid(0), *sessions}) == 3
    assert os.getpgid(command) == command
    assert Path(f"/proc/{command}/fd/0").readlink() == Path(os.devnull)
    (here / "go").touch()
    assert finished(spec).state == "succeeded"


def test_cancel_ends_grandchildren_in_sessions_of_their_own_and_nothing_starts_again(here):
    code = f"""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    Path("child").write_text(str(child.pid))
    os.rename("child", "grandchild")
    {WAIT}
    """
    spec = job(here, code)
    BACKEND.submit([spec])
    grandchild = int(until(lambda: (here / "grandchild").exists() and (here / "grandchild").read_text()))
    supervisor = process_of(spec, "supervisor")
    assert is_alive(grandchild)
    BACKEND.cancel(spec, "")
    status = BACKEND.status(spec, "")
    assert (status.state, status.message) == ("cancelled", "cancelled")
    assert not any(map(is_alive, (grandchild, supervisor)))
    assert not processes.find(job_folder("job"))
    assert (here / "starts").read_text() == "x"
    BACKEND.cancel(spec, "")
    assert BACKEND.status(spec, "") == status


def test_what_a_command_leaves_behind_ends_with_it(here):
    code = """
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    print(child.pid)
    """
    spec = job(here, code)
    assert run(spec)[0].state == "succeeded"
    assert not is_alive(int(log_of(spec).split()[-1]))


def test_a_job_whose_supervisor_is_killed_is_told_to_stop_is_unknown_and_goes_on(here):
    spec = job(here, f"start > 1 and sys.exit()\n{WAIT}")
    BACKEND.submit([spec])
    command, supervisor = until_started(spec), process_of(spec, "supervisor")
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not is_alive(command) and not is_alive(supervisor))
    status = BACKEND.status(spec, "")
    assert status.state == "unknown"
    assert status.message == "its supervisor is gone, killed or with its machine; `mrikit jobs resume` goes on"
    (status,) = run(spec)
    assert (status.state, status.num_preemptions, status.num_errors) == ("succeeded", 1, 0)


def test_a_command_that_outlives_its_supervisor_is_seen_and_never_runs_twice(here):
    code = f"start > 1 and sys.exit()\n{STUBBORN}\nprint('stubborn', flush=True)\n{WAIT}"
    spec = job(here, code, resources={"grace_s": "0.1"})
    BACKEND.submit([spec])
    command = until_started(spec)
    until(lambda: "stubborn" in log_of(spec))
    os.kill(process_of(spec, "supervisor"), signal.SIGKILL)
    until_state(spec, "unknown")
    assert f"it left process {command}, which `mrikit jobs cancel` ends" in BACKEND.status(spec, "").message
    (status,) = run(spec)
    assert status.state == "succeeded"
    assert not is_alive(command)


def test_a_job_without_a_supervisor_can_be_cancelled(here):
    spec = job(here, f"{STUBBORN}\n{WAIT}", resources={"grace_s": "0.1"})
    BACKEND.submit([spec])
    command = until_started(spec)
    os.kill(process_of(spec, "supervisor"), signal.SIGKILL)
    until_state(spec, "unknown")
    BACKEND.cancel(spec, "")
    assert state_of(spec) == "cancelled"
    assert not is_alive(command)


def test_a_supervisor_that_is_told_to_end_stops_its_command_and_the_job_goes_on_later(here):
    code = """
    signal.signal(signal.SIGTERM, lambda *_: (print("kept"), sys.exit(143)))
    print("ready", flush=True)
    start > 1 or [None for _ in iter(lambda: time.sleep(0.01), 1)]
    """
    spec = job(here, code)
    BACKEND.submit([spec])
    until_started(spec)
    until(lambda: "ready" in log_of(spec))
    os.kill(process_of(spec, "supervisor"), signal.SIGTERM)
    until_state(spec, "unknown")
    assert log_of(spec).endswith("kept\n")
    (status,) = run(spec)
    assert (status.state, status.num_preemptions) == ("succeeded", 1)


def test_a_supervisor_that_does_not_answer_is_named(here, monkeypatch):
    monkeypatch.setattr(backend, "_CANCEL_EXTRA_S", 0.2)
    spec = job(here, WAIT, resources={"grace_s": "0.1"})
    BACKEND.submit([spec])
    supervisor = process_of(spec, "supervisor")
    os.kill(supervisor, signal.SIGSTOP)
    with pytest.raises(JobError, match=rf"its supervisor, process {supervisor}, does not answer; .* `kill -9"):
        BACKEND.cancel(spec, "")
    os.kill(supervisor, signal.SIGCONT)
    assert finished(spec).state == "cancelled"


def test_of_two_submits_at_once_one_starts_the_job(here):
    spec, found, both = job(here, WAIT), [], threading.Barrier(2)

    def submit():
        both.wait()
        try:
            found.append(BACKEND.submit([spec])[0])
        except JobError as error:
            found.append(str(error))

    threads = [threading.Thread(target=submit) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    refused = "job job is going on already; see `mrikit jobs status job`"
    assert found.count(refused) == 1
    until_started(spec)
    (here / "go").touch()
    assert finished(spec).state == "succeeded"
    assert (here / "starts").read_text() == "x"


def test_a_chain_with_a_job_that_goes_on_starts_nothing(here):
    going, other = job(here, WAIT, name="going"), job(here / "other", "", name="other")
    BACKEND.submit([going])
    with pytest.raises(JobError, match="job going is going on already"):
        BACKEND.submit([other, going])
    assert not (here / "other" / "starts").exists()
    assert state_of(other) == "unknown"


@pytest.mark.parametrize("is_program", [True, False])
def test_a_command_that_cannot_be_started_is_named(here, is_program):
    spec = job(here, "")
    program = ("/not/there",) if is_program else (sys.executable, "-c")
    if not is_program:
        spec = dataclasses.replace(spec, folder=str(here / "gone"))
    LocalBackend(program).submit([spec])
    status = finished(spec)
    missing = "/not/there" if is_program else here / "gone"
    assert (status.state, status.exit_code) == ("failed", 127)
    assert status.message == f"cannot be started: {missing}: No such file or directory"


def test_a_supervisor_that_cannot_begin_says_why(here, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", str(here))
    with pytest.raises(JobError, match="job job was not started: "):
        BACKEND.submit([job(here, "")])
    monkeypatch.delenv("PYTHONHOME")
    assert run(job(here, ""))[0].state == "succeeded"


def test_a_full_disk_in_the_folder_of_jobs_starts_nothing(here, full_disk, monkeypatch):
    monkeypatch.setenv("MRIKIT_JOBS", str(full_disk / "jobs"))
    with pytest.raises(OSError, match="No space left"):
        (full_disk / "ballast").write_bytes(bytes(2_000_000))
    with pytest.raises(JobError, match=r"nothing was started: .*the disk is full"):
        BACKEND.submit([job(here, "")])
    assert not (here / "starts").exists()


def test_a_disk_that_is_full_while_a_job_runs_loses_neither_the_job_nor_its_state(here, full_disk, monkeypatch):
    monkeypatch.setenv("MRIKIT_JOBS", str(full_disk / "jobs"))
    spec = job(here, WAIT)
    BACKEND.submit([spec])
    command = until_started(spec)
    with pytest.raises(OSError, match="No space left"):
        (full_disk / "ballast").write_bytes(bytes(2_000_000))
    (here / "go").touch()
    until(lambda: not is_alive(command))
    assert state_of(spec) == "running"
    (full_disk / "ballast").unlink()
    assert finished(spec).state == "succeeded"


def test_an_old_request_to_cancel_does_not_end_the_next_submission(here):
    spec = job(here, WAIT)
    BACKEND.submit([spec])
    BACKEND.cancel(spec, "")
    assert (job_folder("job") / CANCEL_FILE).exists()
    (here / "go").touch()
    assert run(spec)[0].state == "succeeded"
    assert current_state(job_folder("job")) == read_state(job_folder("job"))
