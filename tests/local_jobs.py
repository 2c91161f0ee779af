"""Jobs on this machine whose command is a few lines of Python, and an end for all that a test has left running."""

import contextlib
import signal
import sys
import textwrap
from pathlib import Path

from waiting import until

from mrikit.errors import JobError
from mrikit.launching import processes
from mrikit.launching.job import GOING_ON, JobSpec
from mrikit.launching.local.backend import LocalBackend
from mrikit.launching.records import job_folder, jobs_folder
from mrikit.launching.state import read_state

BACKEND = LocalBackend((sys.executable, "-c"))
COUNT = """
import os, signal, subprocess, sys, time
from pathlib import Path
with open("starts", "a") as file:
    file.write("x")
start = os.path.getsize("starts")
print("start", start, flush=True)
"""
"""The lines before a command: `start` is 1 for the first time that it is started."""
WAIT = "while not Path('go').exists(): time.sleep(0.01)"
"""A line that lasts until a test says `go`."""
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


def job(folder, code, **facts):
    """A job that runs some Python in a folder, in which it counts its starts."""
    folder.mkdir(parents=True, exist_ok=True)
    return JobSpec(**{"name": "job", "command": (COUNT + textwrap.dedent(code),), "folder": str(folder)} | facts)


def state_of(spec):
    return BACKEND.status(spec, "").state


def until_state(spec, state):
    return until(lambda: state_of(spec) == state)


def finished(spec):
    """How a job stands when it is over."""
    until(lambda: state_of(spec) not in GOING_ON)
    return BACKEND.status(spec, "")


def run(*chain):
    """Submit jobs and wait for their ends."""
    BACKEND.submit(chain)
    return [finished(spec) for spec in chain]


def until_started(spec, number=1):
    """Wait until its command counts so many starts; its process id."""
    path = Path(spec.folder) / "starts"
    until(lambda: path.exists() and path.stat().st_size >= number)
    return until(lambda: process_of(spec, "command"))


def process_of(spec, which):
    """The process id of `command` or `supervisor`."""
    text = getattr(read_state(job_folder(spec.name)), which).partition("-")[0]
    return int(text) if text else 0


def log_of(spec):
    return "".join(BACKEND.logs(spec, "", node=0, follow=False))


def is_alive(process):
    return processes.started_at(process) != ""


def home(tmp_path, monkeypatch):
    """A fixture's body: a folder for jobs, of which nothing lives on."""
    monkeypatch.setenv("MRIKIT_JOBS", str(tmp_path / "jobs"))
    folder = jobs_folder()
    yield folder
    for path in folder.glob("*/state.json"):
        with contextlib.suppress(JobError):  # a test has damaged it
            process, started = read_state(path.parent).supervisor.split("-")
            if processes.started_at(int(process)) == started:
                processes.send([int(process)], signal.SIGKILL)
        processes.end(path.parent)
