"""Start and restart loop of a job's command.

The back ends that start a command again themselves follow this one course. What differs between them, such as where the
output goes, is a `Host`.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from mrikit.errors import StorageError
from mrikit.launching import processes
from mrikit.launching.job import CANCELLED, FAILED, QUEUED, RESTARTING, RUNNING
from mrikit.launching.outcome import OUT_OF_MEMORY, Next, code_from_torchrun, what_follows
from mrikit.launching.state import CANCEL_FILE, JobState, Order, write_state

PERIOD_S = 0.25
"""Between two looks at what somebody may want."""
_LAST_TRIES_S = 60.0
_NOT_STARTED = 127
_HOUR_S = 3600.0
_LIMIT, _CANCEL, _LEAVING, _REHEARSAL = "limit", "cancel", "leaving", "rehearsal"
"""Why this process ended the command: its time is over, somebody asked, this process has to go, or for practice."""


class Host(Protocol):
    """Where the command runs."""

    grace_s: float
    """From SIGTERM to SIGKILL."""

    def start(self, env: dict[str, str]) -> "subprocess.Popen[bytes]":
        """Start the command in a process group of its own.

        Raises:
            OSError: It cannot be started.
        """

    def wait(self, seconds: float) -> None:
        """Let time pass, or less if something happens; hand on what the command says."""

    def finish(self) -> str:
        """Hand on the rest of what the command said; the end of it."""

    def is_out_of_memory(self, code: int) -> bool:
        """Whether the command ended with this code because the system killed one of its processes."""

    def explain_failure(self) -> None:
        """Add to the log what may say why the command failed."""

    def say(self, line: str) -> None:
        """Add a line to the log."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _End:
    """How an attempt ended."""

    code: int
    """Exit code; negative for a signal."""
    why: str = ""
    """Why this process ended it; empty if it did not."""
    message: str = ""
    """Why it could not even be started."""


class Attempts:
    """All attempts at one job.

    Args:
        folder: Of the job; the state is written there, and the wish to cancel comes from there.
        order: The job.
        state: What is known so far.
        host: Where it runs.
        kill_delays_s: Seconds from the start of each coming attempt to a kill for practice.
    """

    def __init__(
        self, folder: Path, order: Order, state: JobState, host: Host, kill_delays_s: Sequence[float] = ()
    ) -> None:
        self.state = state
        self._folder, self._order, self._spec, self._host = folder, order, order.spec, host
        self._delays = list(kill_delays_s)
        self.is_leaving = False
        """Whether this process has to go before the job is over."""
        self._is_saved = True

    def leave(self, *_where: object) -> None:
        """Ask for an early end, from a signal handler; the job stays unfinished."""
        self.is_leaving = True

    def run(self, following: Next = Next(state=QUEUED)) -> None:  # noqa: B008 - frozen
        """Start the command as often as it takes; returns when the job is over or somebody wants it to end.

        Args:
            following: What follows from the attempts before.
        """
        while following.state in (QUEUED, RESTARTING):
            if following.state == RESTARTING:
                self._host.say(f"--- {following.message}")
            self.pause(following.wait_s)
            if self.is_stopped():
                break
            end = self._attempt()
            if end.why == _LEAVING:
                break
            following = self._after(end)

    def after(self, code: int, *, message: str = "", note: str = "") -> Next:
        """Write what follows from the exit code of an attempt.

        Args:
            code: Exit code; negative for a signal.
            message: Why there is no other attempt, whatever the code.
            note: More on why there is another one.
        """
        counts = {"num_preemptions": self.state.num_preemptions, "num_errors": self.state.num_errors}
        following = Next(state=FAILED, message=message) if message else what_follows(self._spec, code, **counts)
        if following.state == RESTARTING:
            following = replace(following, message=following.message + note)
            counts["num_preemptions" if following.is_preemption else "num_errors"] += 1
            self.save(state=RESTARTING, exit_code=code, message=following.message, command="", **counts)
            return following
        if following.state == FAILED and not message:
            self._host.explain_failure()
        self._end_job(following.state, following.message, exit_code=code)
        return following

    def is_stopped(self) -> bool:
        """Whether somebody wants this job to end while nothing runs; then it is written."""
        why = self._asked()
        if why == _CANCEL:
            self._end_job(CANCELLED, "cancelled")
        return bool(why)

    def pause(self, seconds: float) -> None:
        """Until the time is over, or somebody wants this job to end."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._asked():
            self._sleep(min(PERIOD_S, left))

    def save(self, **changes: Any) -> None:  # noqa: ANN401 - fields of JobState
        """Change the state, and write it; on a full disk it is written later."""
        self.state = replace(self.state, **changes)
        self._is_saved = False
        try:
            write_state(self._folder, self.state)
            self._is_saved = True
        except StorageError as error:
            self._host.say(f"--- how the job stands could not be written: {error}")

    def close(self) -> None:
        """Try for a minute to write what could not be written."""
        until = time.monotonic() + _LAST_TRIES_S
        while not self._is_saved and time.monotonic() < until:
            self._sleep(PERIOD_S)

    def _attempt(self) -> _End:
        """Start the command and stay with it to its end."""
        # Before the command runs, so that what kills both is known for a preemption.
        self.save(state=RUNNING, started_at=self.state.started_at or time.time())
        try:
            process = self._host.start({**os.environ, **self._order.env, processes.MARK: str(self._folder)})
        except OSError as error:
            message = f"cannot be started: {error.filename}: {error.strerror}"
            self._host.say(message)
            return _End(code=_NOT_STARTED, message=message)
        self.save(command=f"{process.pid}-{processes.started_at(process.pid)}")
        why = self._stay_with(process)
        code = process.wait()
        said = self._host.finish()
        processes.end(self._folder)  # nothing that it started stays
        if self._spec.num_processes > 1:
            code = code_from_torchrun(code, said)
        if code and not why and self._host.is_out_of_memory(code):
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
                self._end(process)
                return why
            self._sleep(min(PERIOD_S, limit - now, (kill or limit) - now))
        return ""

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        """Let the command keep what it has, then end it and all that it has started."""
        processes.send(processes.find(self._folder), signal.SIGTERM)
        until = time.monotonic() + self._host.grace_s
        while process.poll() is None and (left := until - time.monotonic()) > 0:
            self._sleep(min(PERIOD_S, left))
        processes.end(self._folder, group=process.pid)

    def _after(self, end: _End) -> Next:
        if end.why == _CANCEL:
            self._end_job(CANCELLED, "cancelled", exit_code=end.code)
            return Next(state=CANCELLED)
        if end.why == _LIMIT and end.code:
            message = f"stopped after {self._spec.max_hours:g} h (--max-hours); `mrikit jobs resume` goes on"
            return self.after(end.code, message=message)
        note = " by --simulate-preemption" if end.why == _REHEARSAL else ""
        return self.after(end.code, message=end.message, note=note)

    def _end_job(self, state: str, message: str, **facts: Any) -> None:  # noqa: ANN401 - fields of JobState
        self.save(state=state, message=message, ended_at=time.time(), command="", **facts)

    def _asked(self) -> str:
        """Whether somebody wants this job to end, or this process."""
        if (self._folder / CANCEL_FILE).exists():
            return _CANCEL
        return _LEAVING if self.is_leaving else ""

    def _sleep(self, seconds: float) -> None:
        if not self._is_saved:
            with contextlib.suppress(StorageError):
                write_state(self._folder, self.state)
                self._is_saved = True
        self._host.wait(max(0.0, seconds))
