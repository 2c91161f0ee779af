"""Processes of a local job, found by mark.

A process group is not enough: torchrun gives each of its processes a session of its own, and they outlive it.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

MARK = "MRIKIT_JOB_FOLDER"
"""Variable in the environment of all processes of a job: its folder."""
_PROC = Path("/proc")
_PR_SET_PDEATHSIG = 1
_PERIOD_S = 0.05
_STARTED = 19
"""Place of a process's start in what follows its name in /proc/PID/stat."""


def started_at(process: int) -> str:
    """When a process started, as the system counts: with its id it is one process for ever; empty if it is gone."""
    with contextlib.suppress(OSError, IndexError):
        # The name, in parentheses, may hold anything.
        state, *fields = (_PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
        return "" if state in "ZX" else fields[_STARTED - 1]
    return ""


def find(folder: Path) -> list[int]:
    """Ids of the processes of a job, without this one; none where the system does not tell (no /proc)."""
    mark = os.fsencode(f"{MARK}={folder}")
    found = []
    for path in _PROC.glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # gone, or somebody else's
            if mark in path.read_bytes().split(b"\0") and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
    return found


def end(folder: Path, *, group: int | None = None, grace_s: float = 0.0) -> bool:
    """End all processes of a job, and wait until they are gone.

    Args:
        folder: Of the job.
        group: The process group of its command, if it is known.
        grace_s: How long they may take to keep what they have, after SIGTERM; 0 for SIGKILL at once.

    Returns:
        Whether there was any.
    """
    found = find(folder)
    had_any = bool(found)
    if grace_s > 0:
        send(found, signal.SIGTERM)
        until = time.monotonic() + grace_s
        while (found := find(folder)) and time.monotonic() < until:
            time.sleep(_PERIOD_S)
    if group is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    while found := find(folder):  # one that was just being started is found the next time
        send(found, signal.SIGKILL)
        time.sleep(_PERIOD_S)
    return had_any


def send(processes: list[int], number: int) -> None:
    """Send a signal to those that are still there."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def ends_with_its_parent() -> Callable[[], None] | None:
    """What a child does before it becomes another program, so that it is told to stop when its parent is killed."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)

    def ask() -> None:
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return ask
