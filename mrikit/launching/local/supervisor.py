"""Supervisor of a local job: start, restart, stop.

    python -m mrikit.launching.local.supervisor JOB_FOLDER LOCK

LOCK is the file descriptor of the job's lock, which is held as long as this process lives. It leaves whoever started it
at once, so that it survives the terminal; what it knows it writes into the job's folder.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from mrikit.errors import MrikitError
from mrikit.launching import processes
from mrikit.launching.attempts import PERIOD_S, Attempts
from mrikit.launching.job import FAILED, GOING_ON, QUEUED, SUCCEEDED
from mrikit.launching.local.command import grace_s, kill_delays_s
from mrikit.launching.local.lock import current_state
from mrikit.launching.logs import log_path, num_logs, tail, tails_of_others
from mrikit.launching.outcome import memory_counters, num_memory_kills
from mrikit.launching.state import JobState, Order, read_order, read_state

_REPORT_LINES = 200


def main() -> None:
    """Supervise the job of a folder to its end."""
    folder, lock = Path(sys.argv[1]), int(sys.argv[2])
    if os.fork():
        os._exit(0)
    os.set_inheritable(lock, False)
    supervise(folder)


def supervise(folder: Path) -> None:
    """Wait for the job before, start the command as often as it takes, and write what came of it."""
    order = read_order(folder)
    host = _Machine(folder, order)
    delays = kill_delays_s(order.spec, num_logs(folder))
    attempts = Attempts(folder, order, _state_before(folder), host, delays)
    host.wake = _wake_ups(attempts.leave)
    attempts.save(state=QUEUED)
    processes.end(folder, grace_s=host.grace_s)
    if not order.after or _has_succeeded(Path(order.after), attempts):
        if num_logs(folder):
            host.say("--- started again by hand")
        attempts.run()
    if attempts.is_leaving and attempts.state.state in GOING_ON:
        attempts.save(message="its supervisor was told to end; `mrikit jobs resume` goes on", command="")
    attempts.close()


def _state_before(folder: Path) -> JobState:
    """What counts of an earlier submission: all of it if its supervisor died, which was a preemption."""
    me = f"{os.getpid()}-{processes.started_at(os.getpid())}"
    before = read_state(folder)
    if before is None or before.state not in GOING_ON or before.started_at is None:
        return JobState(supervisor=me)
    return JobState(
        supervisor=me,
        num_preemptions=before.num_preemptions + 1,
        num_errors=before.num_errors,
        started_at=before.started_at,
    )


def _has_succeeded(folder: Path, attempts: Attempts) -> bool:
    """Wait for the job before; this job is over if it did not succeed."""
    while not attempts.is_stopped():
        before = current_state(folder)
        state = "not there any more" if before is None else before.state
        if state == SUCCEEDED:
            return True
        if state not in GOING_ON:
            message = f"not started: {folder.name}, which comes before it, is {state}"
            attempts.save(state=FAILED, ended_at=time.time(), message=message)
            return False
        attempts.pause(PERIOD_S)
    return False


class _Machine:
    """This machine: each attempt has a log file, and a pipe wakes this process. See `attempts.Host`.

    Args:
        folder: Of the job.
        order: The job.
    """

    def __init__(self, folder: Path, order: Order) -> None:
        self.grace_s = grace_s(order.spec)
        self.wake: int | None = None
        self._folder, self._order = folder, order
        self._number = num_logs(folder)
        self._counters = memory_counters()
        self._num_kills = 0

    def start(self, env: dict[str, str]) -> "subprocess.Popen[bytes]":
        """See `Host`."""
        self._num_kills = num_memory_kills(self._counters)
        with log_path(self._folder, self._number).open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - what the user asked for
                self._order.command,
                cwd=self._order.spec.folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=processes.ends_with_its_parent(),  # noqa: PLW1509 - there is one thread here
            )

    def wait(self, seconds: float) -> None:
        """See `Host`; less if a child ends or a signal comes."""
        assert self.wake is not None, "it is set before anything waits"
        if select.select([self.wake], [], [], seconds)[0]:
            os.read(self.wake, 512)

    def finish(self) -> str:
        """See `Host`."""
        self._number += 1
        return tail(log_path(self._folder, self._number - 1), _REPORT_LINES)

    def is_out_of_memory(self, code: int) -> bool:
        """See `Host`; others in the same control group may be killed too, so the code has to fit."""
        return code == -signal.SIGKILL and num_memory_kills(self._counters) > self._num_kills

    def explain_failure(self) -> None:
        """See `Host`; torchrun keeps what the other processes say apart."""
        tails_of_others(self._folder, self._number - 1)

    def say(self, line: str) -> None:
        """See `Host`; before an attempt the line begins its log."""
        path = log_path(self._folder, self._number)
        with contextlib.suppress(OSError), path.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"{line}\n")


def _wake_ups(leave: Callable[..., None]) -> int:
    """What can be read as soon as a child ends or somebody tells this process to go."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_where: None)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return reading


if __name__ == "__main__":
    try:
        main()
    except MrikitError as error:
        sys.exit(f"mrikit: {error}")
