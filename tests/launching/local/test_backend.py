"""Jobs on this machine from their start to their end, again after a kill or an error, in real processes."""

import os
import signal
import subprocess
import sys

import pytest
from local_jobs import (
    BACKEND,
    WAIT,
    finished,
    job,
    log_of,
    run,
    state_of,
    until_started,
)

from mrikit.errors import JobError
from mrikit.launching.job import JobSpec
from mrikit.launching.local.backend import LocalBackend
from mrikit.launching.outcome import memory_counters, num_memory_kills
from mrikit.launching.records import job_folder, spec_to_json

SHELL = ("sh", "-c")
"""It starts within milliseconds, so that a job has begun before a short time is over."""


def in_a_shell(folder, script, **facts):
    folder.mkdir()
    return JobSpec(name="job", command=(script,), folder=str(folder), **facts)


def test_a_job_goes_from_queued_over_running_to_succeeded(here):
    first = job(here, WAIT, name="first")
    second = job(here / "second", "print('second')", name="second")
    handles = BACKEND.submit([first, second])
    assert len(set(handles)) == 2
    until_started(first)
    assert (state_of(first), state_of(second)) == ("running", "queued")
    assert BACKEND.status(first, handles[0]).exit_code is None
    (here / "go").touch()
    before, after = finished(first), finished(second)
    assert (before.state, after.state) == ("succeeded", "succeeded")
    assert (before.exit_code, before.num_preemptions, before.num_errors, before.message) == (0, 0, 0, "")
    assert before.started_at < before.ended_at <= after.started_at < after.ended_at
    assert log_of(second) == "start 1\nsecond\n"


def test_a_job_after_one_that_failed_is_not_started_and_says_so(here):
    first, second = job(here, "sys.exit(1)", name="first"), job(here / "second", "", name="second")
    assert [status.state for status in run(first, second)] == ["failed", "failed"]
    assert BACKEND.status(second, "").message == "not started: first, which comes before it, is failed"
    with pytest.raises(JobError, match="job second has no log yet; it is failed"):
        BACKEND.logs(second, "", node=0, follow=False)


def test_sigterm_from_outside_is_a_preemption_too(here):
    spec = job(here, f"start > 1 or [None for _ in iter(lambda: time.sleep(0.01), 1)]\n{WAIT}")
    BACKEND.submit([spec])
    os.kill(until_started(spec), signal.SIGTERM)
    until_started(spec, 2)
    (here / "go").touch()
    status = finished(spec)
    assert (status.state, status.num_preemptions, status.num_errors) == ("succeeded", 1, 0)


def test_preemptions_and_errors_are_counted_apart(here):
    code = "start == 1 and os.kill(0, signal.SIGKILL); sys.exit(1 if start == 2 else 0)"
    (status,) = run(job(here, code, max_errors=1))
    assert (status.state, status.num_preemptions, status.num_errors) == ("succeeded", 1, 1)
    assert "--- started again after an error (exit code 1)\nstart 3" in log_of(job(here, code))


def test_an_error_is_not_tried_again_unless_asked_for(here):
    (status,) = run(job(here, "sys.exit(3)"))
    assert (status.state, status.exit_code, status.num_errors) == ("failed", 3, 0)
    assert status.message == "failed (exit code 3); `mrikit jobs logs job` says why"


def test_a_job_that_is_taken_away_too_often_fails_and_can_be_submitted_again(here):
    spec = job(here, "start < 4 and os.kill(0, signal.SIGKILL)", max_restarts=1)
    (status,) = run(spec)
    assert (status.state, status.exit_code, status.num_preemptions) == ("failed", -9, 1)
    assert status.message == (
        "taken off its machine (SIGKILL), 2 times, --max-restarts is 1; `mrikit jobs resume` goes on"
    )
    (status,) = run(spec)
    assert (status.state, status.num_preemptions) == ("succeeded", 1)
    assert "--- started again by hand\nstart 3" in log_of(spec)


def test_what_is_killed_for_lack_of_memory_has_failed_and_was_not_taken_away(here, little_memory):
    spec = job(here, "start == 2 and bytearray(2**28); os.kill(0, signal.SIGKILL)", max_errors=0)
    submit = "LocalBackend((sys.executable, '-c')).submit([spec_from_json(sys.stdin.read())])"
    imports = (
        "import sys; from mrikit.launching.local.backend import LocalBackend; "
        "from mrikit.launching.records import spec_from_json"
    )
    shell = f'echo $$ > {little_memory}; exec "$0" -c "{imports}; {submit}"'
    subprocess.run(["sh", "-c", shell, sys.executable], input=spec_to_json(spec), text=True, check=True)
    status = finished(spec)
    assert (status.state, status.exit_code, status.num_preemptions) == ("failed", 12, 1)
    assert status.message == "out of memory; failed (exit code 12); `mrikit jobs logs job` says why"


def test_kills_are_counted_in_the_group_of_a_process_by_either_version(tmp_path):
    (tmp_path / "cgroup").write_text("12:memory,cpu:/user/one\n1:name=systemd:/\n0::/user.slice\n")
    assert [str(path) for path in memory_counters(tmp_path / "cgroup")] == [
        "/sys/fs/cgroup/memory/user/one/memory.oom_control",
        "/sys/fs/cgroup/user.slice/memory.events",
    ]
    assert memory_counters(tmp_path / "none") == ()
    assert num_memory_kills(()) == 0


def test_a_job_is_stopped_when_its_time_is_over_and_keeps_what_it_has(here):
    keeps = 'trap "echo kept; exit 143" TERM; echo started; sleep 600 & wait'
    spec = in_a_shell(here, keeps, max_hours=1 / 3600)
    LocalBackend(SHELL).submit([spec])
    status = finished(spec)
    assert (status.state, status.exit_code, status.num_preemptions) == ("failed", 143, 0)
    assert status.message.startswith("stopped after 0.000277778 h (--max-hours)")
    assert log_of(spec) == "started\nkept\n"


def test_a_job_that_does_not_want_to_stop_is_killed_after_its_grace(here):
    spec = in_a_shell(here, "trap '' TERM; sleep 600", max_hours=1 / 3600, resources={"grace_s": "0.3"})
    LocalBackend(SHELL).submit([spec])
    status = finished(spec)
    assert (status.state, status.exit_code) == ("failed", -9)


def test_practice_kills_it_as_often_as_it_may_be_started_again_and_then_lets_it_finish(here):
    # A start may be killed before it can count itself.
    code = f"len(list(Path({str(job_folder('job'))!r}).glob('log-*'))) > 2 or time.sleep(600)"
    settings = {"resources": {"kill_within_s": "0.8"}, "simulates_preemption": True, "max_restarts": 2}
    (status,) = run(job(here, code, **settings))
    assert (status.state, status.num_preemptions) == ("succeeded", 2)
    assert log_of(job(here, code)).count("(SIGKILL) by --simulate-preemption\n") == 2
