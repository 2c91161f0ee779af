"""PID 1 of a job's container: start, restart, stop.

    python -P -m mrikit.launching.docker.first_process FOLDER

FOLDER lies outside the container and outlives it: the order comes from there, and how the job stands is written there.
Docker starts a container again that ends with another code than 0. So this process ends with 0 once the job is over,
however it went, and with another code if it is told to go before: what Docker starts again was a preemption.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from mrikit.errors import MrikitError, StorageError
from mrikit.launching.job import CANCELLED, FAILED, GOING_ON, QUEUED, RESTARTING, RUNNING
from mrikit.launching.local import processes
from mrikit.launching.local.outcome import OUT_OF_MEMORY, Next, code_from_torchrun, num_memory_kills, what_follows
from mrikit.launching.local.state import CANCEL_FILE, JobState, read_order, read_state, write_state

GRACE_S = 20.0
"""For the command, between SIGTERM and SIGKILL; Docker waits longer for this process."""
_TOLD_TO_GO = 128 + signal.SIGTERM
_NOT_STARTED = 127
_PERIOD_S = 0.25
_TAIL_BYTES = 16_384
_HOUR_S = 3600.0
_MEMORY_EVENTS = (Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control"))
"""Of this container, in the second and the first version of control groups."""


class ContainerJob:
    """One job in its container: its order, its state, and whether it is told to go.

    Args:
        folder: Where the order lies.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._order = read_order(folder)
        self._spec = self._order.spec
        self._state = read_state(folder) or JobState()
        self._is_leaving = False

    def run(self) -> int:
        """Start the command as often as it takes; the exit code of this process."""
        signal.signal(signal.SIGTERM, self._leave)
        if self._state.state not in GOING_ON:
            return 0
        following = Next(state=QUEUED)
        if self._state.state == RUNNING:  # nobody wrote how that start ended: it was killed with its container
            following = self._follow(-signal.SIGKILL)
        while following.state in (QUEUED, RESTARTING):
            if following.state == RESTARTING:
                _say(f"--- {following.message}")
            self._wait(following.wait_s)
            if self._is_cancelled() or self._is_leaving:
                break
            code, why = self._start()
            if self._is_cancelled() or self._is_leaving:
                break
            following = self._give_up(code, why) if why else self._follow(code)
        if self._is_cancelled() and self._state.state in GOING_ON:
            self._save(state=CANCELLED, ended_at=time.time(), message="cancelled")
        return _TOLD_TO_GO if self._state.state in GOING_ON else 0

    def _start(self) -> tuple[int, str]:
        """One start of the command: its exit code, and why this process ended it, if it did or knows better."""
        self._save(state=RUNNING, started_at=self._state.started_at or time.time(), message="")
        num_kills = num_memory_kills(_MEMORY_EVENTS)
        environment = {**os.environ, **self._order.env, processes.MARK: str(self._folder)}
        try:
            process = subprocess.Popen(  # noqa: S603 - the job's command
                self._order.command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            message = f"cannot be started: {error.filename}: {error.strerror}"
            _say(message)
            return _NOT_STARTED, message
        is_late, said = self._stay_with(process)
        processes.end(self._folder)  # nothing that it started stays
        code = process.wait()
        if is_late and code:
            return code, f"stopped after {self._spec.max_hours:g} h (--max-hours)"
        if self._spec.num_processes > 1:
            code = code_from_torchrun(code, said)
        if code and num_memory_kills(_MEMORY_EVENTS) > num_kills:
            _say("--- a process of the job was killed because the container has no memory left")
            code = OUT_OF_MEMORY
        return code, ""

    def _stay_with(self, process: "subprocess.Popen[bytes]") -> tuple[bool, str]:
        """Hand on what the command says until it ends; whether its time was over, and the last that it said."""
        assert process.stdout is not None
        limit = time.monotonic() + self._spec.max_hours * _HOUR_S
        source, said = process.stdout.fileno(), b""
        while True:
            is_ended = process.poll() is not None
            is_late = time.monotonic() >= limit
            if not is_ended and (is_late or self._is_leaving or self._is_cancelled()):
                processes.send(processes.find(self._folder), signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(GRACE_S)
                processes.end(self._folder, group=process.pid)
                continue
            if select.select([source], [], [], 0 if is_ended else _PERIOD_S)[0]:
                if piece := os.read(source, 65_536):
                    _hand_on(piece)
                    said = (said + piece)[-_TAIL_BYTES:]
                    continue
                process.wait()
            elif not is_ended:
                continue
            return is_late, said.decode(errors="replace")

    def _follow(self, code: int) -> Next:
        """What follows after a start has ended with a code, written down."""
        counts = {"num_preemptions": self._state.num_preemptions, "num_errors": self._state.num_errors}
        following = what_follows(self._spec, code, **counts)
        changes: dict[str, Any] = {"state": following.state, "exit_code": code, "message": following.message}
        if following.state == RESTARTING:
            kind = "num_preemptions" if following.is_preemption else "num_errors"
            changes[kind] = counts[kind] + 1
        else:
            changes["ended_at"] = time.time()
        self._save(**changes)
        return following

    def _give_up(self, code: int, message: str) -> Next:
        """A job that is not started again, whatever its bounds are."""
        self._save(state=FAILED, exit_code=code, ended_at=time.time(), message=message)
        return Next(state=FAILED)

    def _save(self, **changes: Any) -> None:  # noqa: ANN401 - fields of JobState
        """Change the state and write it; where it cannot be written, the log says so and the job goes on."""
        self._state = replace(self._state, **changes)
        try:
            write_state(self._folder, self._state)
        except StorageError as error:
            _say(f"--- how the job stands could not be written: {error}")

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._is_leaving and not self._is_cancelled():
            time.sleep(_PERIOD_S)

    def _is_cancelled(self) -> bool:
        return (self._folder / CANCEL_FILE).exists()

    def _leave(self, *_where: object) -> None:
        self._is_leaving = True


def _say(line: str) -> None:
    _hand_on(f"{line}\n".encode())


def _hand_on(piece: bytes) -> None:
    with contextlib.suppress(OSError):  # the disk of Docker's logs may be full
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    try:
        sys.exit(ContainerJob(Path(sys.argv[1])).run())
    except MrikitError as error:
        sys.exit(f"mrikit: {error}")
