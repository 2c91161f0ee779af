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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mrikit.errors import MrikitError, StorageError
from mrikit.launching.job import CANCELLED, FAILED, GOING_ON, QUEUED, RESTARTING, RUNNING, SUCCEEDED, JobSpec
from mrikit.launching.local import processes
from mrikit.launching.local.command import grace_s, kill_delays_s
from mrikit.launching.local.logs import log_path, num_logs, tail, tails_of_others
from mrikit.launching.local.outcome import (
    OUT_OF_MEMORY,
    code_from_torchrun,
    memory_counters,
    num_memory_kills,
    what_follows,
)
from mrikit.launching.local.state import (
    CANCEL_FILE,
    JobState,
    Order,
    current_state,
    read_order,
    read_state,
    write_state,
)

_PERIOD_S = 0.25
_LAST_TRIES_S = 60.0
_NOT_STARTED = 127
_REPORT_LINES = 200
_HOUR_S = 3600.0
_LIMIT, _CANCEL, _LEAVING, _REHEARSAL = "limit", "cancel", "leaving", "rehearsal"
"""Why this process ended the command: its time is over, somebody asked, this process has to go, or for practice."""


def main() -> None:
    """Supervise the job of a folder to its end."""
    folder, lock = Path(sys.argv[1]), int(sys.argv[2])
    if os.fork():
        os._exit(0)
    os.set_inheritable(lock, False)
    Supervisor(folder).run()


@dataclass(frozen=True, kw_only=True, slots=True)
class _End:
    """How a start ended."""

    code: int
    """Exit code; negative for a signal."""
    why: str = ""
    """Why this process ended it; empty if it did not."""
    message: str = ""
    """Why it could not even be started."""


class Supervisor:
    """One job: its order, its state, and whoever wakes this process.

    Args:
        folder: Of the job.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._order: Order = read_order(folder)
        self._spec: JobSpec = self._order.spec
        self._is_saved = True
        self._is_leaving = False
        before = read_state(folder) or JobState()
        is_taken_up = before.state in GOING_ON and before.started_at is not None
        # The one before died with its supervisor: that was a preemption. All else begins to count anew.
        kept: dict[str, Any] = (
            {
                "num_preemptions": before.num_preemptions + 1,
                "num_errors": before.num_errors,
                "started_at": before.started_at,
            }
            if is_taken_up
            else {}
        )
        me = f"{os.getpid()}-{processes.started_at(os.getpid())}"
        self._state = JobState(supervisor=me, **kept)
        self._delays = kill_delays_s(self._spec, num_logs(folder))

    def run(self) -> None:
        """Wait for the job before, start the command as often as it takes, and write what came of it."""
        self._wake = _wake_ups(self._leave)
        self._save(state=QUEUED)
        processes.end(self._folder, grace_s=grace_s(self._spec))
        if self._wait_for_the_one_before():
            while not self._start_once():
                pass
        if self._is_leaving:
            self._save(message="its supervisor was told to end; `mrikit jobs resume` goes on", command="")
        until = time.monotonic() + _LAST_TRIES_S
        while not self._is_saved and time.monotonic() < until:
            self._sleep(_PERIOD_S)

    def _wait_for_the_one_before(self) -> bool:
        """Whether there was none or it has succeeded; this job is over otherwise."""
        while self._order.after:
            before = current_state(Path(self._order.after))
            state = "not there any more" if before is None else before.state
            if self._is_stopped():
                return False
            if state == SUCCEEDED:
                break
            if state not in GOING_ON:
                name = Path(self._order.after).name
                message = f"not started: {name}, which comes before it, is {state}"
                self._save(state=FAILED, ended_at=time.time(), message=message)
                return False
            self._sleep(_PERIOD_S)
        return True

    def _start_once(self) -> bool:
        """Start the command and stay with it to its end; whether the job is over."""
        number = num_logs(self._folder)
        end = self._run_command(number)
        processes.end(self._folder)  # nothing that it started stays
        ended: dict[str, Any] = {"exit_code": end.code, "ended_at": time.time(), "command": ""}
        if end.why == _LEAVING:
            return True
        if end.why == _CANCEL:
            self._save(state=CANCELLED, message="cancelled", **ended)
            return True
        if end.why == _LIMIT and end.code:
            message = f"stopped after {self._spec.max_hours:g} h (--max-hours); `mrikit jobs resume` goes on"
            self._save(state=FAILED, message=message, **ended)
            return True
        counts = {"num_preemptions": self._state.num_preemptions, "num_errors": self._state.num_errors}
        following = what_follows(self._spec, end.code, **counts)
        if following.state == FAILED:
            tails_of_others(self._folder, number)
        if following.state != RESTARTING:
            self._save(state=following.state, message=end.message or following.message, **ended)
            return True
        counts["num_preemptions" if following.is_preemption else "num_errors"] += 1
        message = following.message + (" by --simulate-preemption" if end.why == _REHEARSAL else "")
        self._save(state=RESTARTING, exit_code=end.code, message=message, command="", **counts)
        self._pause(following.wait_s)
        return self._is_stopped()

    def _run_command(self, number: int) -> _End:
        """One start of the command, and why it ended."""
        path = log_path(self._folder, number)
        counters = memory_counters()
        num_kills = num_memory_kills(counters)
        try:
            with path.open("ab") as log:
                if number:
                    with contextlib.suppress(OSError):  # the disk may be full
                        log.write(f"--- {self._state.message or 'started again by hand'}\n".encode())
                        log.flush()
                process = subprocess.Popen(  # noqa: S603 - what the user asked for
                    self._order.command,
                    cwd=self._spec.folder,
                    env={**os.environ, **self._order.env, processes.MARK: str(self._folder)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=processes.ends_with_its_parent(),  # noqa: PLW1509 - there is one thread here
                )
        except OSError as error:
            return _End(code=_NOT_STARTED, message=f"cannot be started: {error.filename}: {error.strerror}")
        command = f"{process.pid}-{processes.started_at(process.pid)}"
        began = self._state.started_at or time.time()
        self._save(state=RUNNING, started_at=began, command=command)
        why = self._stay_with(process)
        code = process.wait()
        if self._spec.processes_per_node > 1:
            code = code_from_torchrun(code, tail(path, _REPORT_LINES))
        if code == -signal.SIGKILL and not why and num_memory_kills(counters) > num_kills:
            code = OUT_OF_MEMORY
        return _End(code=code, why=why)

    def _stay_with(self, process: "subprocess.Popen[bytes]") -> str:
        """Until the command ends; why this process ended it, if it did."""
        limit = time.monotonic() + self._spec.max_hours * _HOUR_S
        kill = time.monotonic() + self._delays.pop(0) if self._delays else None
        while process.poll() is None:
            now = time.monotonic()
            why = self._asked() or (_LIMIT if now >= limit else "")
            if not why and kill is not None and now >= kill:
                processes.end(self._folder, group=process.pid)
                return _REHEARSAL
            if why:
                processes.end(self._folder, group=process.pid, grace_s=grace_s(self._spec))
                return why
            self._sleep(min(_PERIOD_S, limit - now, (kill or limit) - now))
        return ""

    def _asked(self) -> str:
        """Whether somebody wants this job to end, or this process."""
        if (self._folder / CANCEL_FILE).exists():
            return _CANCEL
        return _LEAVING if self._is_leaving else ""

    def _is_stopped(self) -> bool:
        """Whether somebody wants this job to end while nothing runs; then it is written."""
        why = self._asked()
        if why == _CANCEL:
            self._save(state=CANCELLED, ended_at=time.time(), message="cancelled")
        return bool(why)

    def _save(self, **changes: Any) -> None:  # noqa: ANN401 - fields of JobState
        """Change the state, and write it; on a full disk it is written later."""
        self._state = replace(self._state, **changes)
        self._is_saved = False
        self._try_to_save()

    def _try_to_save(self) -> None:
        with contextlib.suppress(StorageError):
            write_state(self._folder, self._state)
            self._is_saved = True

    def _pause(self, seconds: float) -> None:
        """Until the time is over, or somebody wants this job to end."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._asked():
            self._sleep(min(_PERIOD_S, left))

    def _sleep(self, seconds: float) -> None:
        """Until a child ends, a signal comes, or the time is over."""
        if not self._is_saved:
            self._try_to_save()
        if select.select([self._wake], [], [], max(0.0, seconds))[0]:
            os.read(self._wake, 512)

    def _leave(self, *_where: object) -> None:
        self._is_leaving = True


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
