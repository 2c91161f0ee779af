"""Lock that a job's supervisor holds."""

from dataclasses import replace
from pathlib import Path

from mrikit.launching.job import GOING_ON, UNKNOWN
from mrikit.launching.state import JobState, read_state
from mrikit.storage.lock import is_held, take

LOCK_FILE = "lock"


def current_state(folder: Path) -> JobState | None:
    """How a job stands now: `unknown` if its supervisor is gone without a word."""
    is_alive = is_locked(folder)  # before the state: a supervisor writes the last one while it holds the lock
    state = read_state(folder)
    if state is None or state.state not in GOING_ON or is_alive or is_locked(folder):
        return state
    message = "its supervisor is gone, killed or with its machine; `mrikit jobs resume` goes on"
    return replace(state, state=UNKNOWN, message=message)


def take_lock(folder: Path, *, wait_s: float = 0.0) -> int | None:
    """The lock of a job, as a file descriptor that holds it until it is closed everywhere; None if another has it.

    Args:
        folder: Of the job; it is made.
        wait_s: Whoever only asks whether it is free holds it for a moment.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return take(folder / LOCK_FILE, wait_s=wait_s)


def is_locked(folder: Path) -> bool:
    """Whether somebody holds the lock of a job."""
    return is_held(folder / LOCK_FILE)
