"""Outcome of one start: success, error or preemption.

The back ends that start a command again themselves count alike: what is killed from outside is no fault of the command
and has a bound of its own. What is killed for lack of memory would be again: that is an error.
"""

import contextlib
import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mrikit.launching.job import FAILED, RESTARTING, SUCCEEDED, JobSpec

_TAKEN_AWAY = (signal.SIGKILL, signal.SIGTERM)
"""Signals that say that somebody wants the machine back."""
OUT_OF_MEMORY = 12
"""Stands for the exit code of what was killed for lack of memory; the system's own number for that."""
_SHELL_BASE = 128
_MOST_WAIT_S = 60.0
_ROOT_CAUSE = re.compile(r"^Root Cause.*?exitcode\s*: (-?\d+) \(pid", re.MULTILINE | re.DOTALL)
_KILLED = re.compile(r"exitcode\s*: -9 \(pid")
_LAUNCHER_SIGNAL = re.compile(r"SignalException: Process \d+ got signal: (\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Next:
    """What follows after the end of a start."""

    state: str
    """succeeded, failed or restarting."""
    is_preemption: bool = False
    """Whether it was taken off its machine."""
    wait_s: float = 0.0
    """Before it is started again: longer after each error, because what is wrong may pass."""
    message: str = ""
    """Why."""


def is_preemption(code: int) -> bool:
    """Whether an exit code is that of a command that was killed from outside; shells write signals as 128 and more."""
    return code in {sign * number + base for number in _TAKEN_AWAY for sign, base in ((-1, 0), (1, _SHELL_BASE))}


def memory_counters(groups: Path = Path("/proc/self/cgroup")) -> tuple[Path, ...]:
    """Files in which the system counts what it kills in the control group of a process, for lack of memory.

    Args:
        groups: Says what the groups of the process are, in lines of `number:controllers:/path`.

    Returns:
        Empty where the system has no such groups.
    """
    files: list[Path] = []
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return ()
    for number, controllers, path in (line.split(":", 2) for line in lines):
        if number == "0":
            files.append(Path("/sys/fs/cgroup", path[1:], "memory.events"))
        elif "memory" in controllers.split(","):
            files.append(Path("/sys/fs/cgroup/memory", path[1:], "memory.oom_control"))
    return tuple(files)


def num_memory_kills(counters: Sequence[Path]) -> int:
    """Processes that were killed so far for lack of memory.

    Args:
        counters: Files that may count them; the first that can be read does.
    """
    for path in counters:
        with contextlib.suppress(OSError):
            lines = path.read_text().splitlines()
            return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    return 0


def what_follows(spec: JobSpec, code: int, *, num_preemptions: int, num_errors: int) -> Next:
    """Whether a job is done, is started again, or has failed.

    Args:
        spec: Of the job.
        code: Exit code of the start that has just ended; negative for a signal.
        num_preemptions: Times that it was started again after a preemption so far.
        num_errors: Times that it was started again after an error so far.
    """
    if code == 0:
        return Next(state=SUCCEEDED)
    if is_preemption(code):
        why = f"taken off its machine ({in_words(code)})"
        if num_preemptions < spec.max_restarts:
            return Next(state=RESTARTING, is_preemption=True, message=f"started again after it was {why}")
        count = f"{num_preemptions + 1} times, --max-restarts is {spec.max_restarts}"
        return Next(state=FAILED, is_preemption=True, message=f"{why}, {count}; `mrikit jobs resume` goes on")
    memory = "out of memory; " if code == OUT_OF_MEMORY else ""
    if num_errors < spec.max_errors:
        message = f"{memory}started again after an error ({in_words(code)})"
        return Next(state=RESTARTING, wait_s=min(2.0**num_errors, _MOST_WAIT_S), message=message)
    bound = f" {num_errors + 1} times, --max-errors is {spec.max_errors}" if spec.max_errors else ""
    return Next(
        state=FAILED, message=f"{memory}failed{bound} ({in_words(code)}); `mrikit jobs logs {spec.name}` says why"
    )


def in_words(code: int) -> str:
    """An exit code as people say it: `exit code 1`, `SIGKILL`."""
    number = -code if code < 0 else code - _SHELL_BASE
    if code < 0 or number in _TAKEN_AWAY:
        return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return f"exit code {code}"


def code_from_torchrun(code: int, said: str) -> int:
    """The exit code of the process that failed first, from what torchrun says; torchrun's own is 1 whatever happened.

    Args:
        code: Of torchrun.
        said: The end of what it wrote.
    """
    if code != 1:
        return code
    if _KILLED.search(said):  # the others fail because of that one, and may be noticed before it
        return -signal.SIGKILL
    told, cause = _LAUNCHER_SIGNAL.search(said), _ROOT_CAUSE.search(said)
    if told is not None:
        return -int(told[1])
    return code if cause is None else int(cause[1])
