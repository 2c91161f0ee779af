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
from pathlib import Path
from typing import IO

from mrikit.errors import MrikitError
from mrikit.launching.attempts import Attempts
from mrikit.launching.job import GOING_ON, QUEUED, RUNNING
from mrikit.launching.outcome import Next, num_memory_kills
from mrikit.launching.state import JobState, Order, read_order, read_state

GRACE_S = 20.0
"""For the command, between SIGTERM and SIGKILL; Docker waits longer for this process."""
_TOLD_TO_GO = 128 + signal.SIGTERM
_TAIL_BYTES = 16_384
_MEMORY_EVENTS = (Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control"))
"""Of this container, in the second and the first version of control groups."""


def run(folder: Path) -> int:
    """Start the command as often as it takes; the exit code of this process."""
    order, state = read_order(folder), read_state(folder) or JobState()
    attempts = Attempts(folder, order, state, _Container(order))
    signal.signal(signal.SIGTERM, attempts.leave)
    if state.state not in GOING_ON:
        return 0
    # If it still runs, nobody wrote how that attempt ended: it was killed with its container.
    attempts.run(attempts.after(-signal.SIGKILL) if state.state == RUNNING else Next(state=QUEUED))
    attempts.close()
    return _TOLD_TO_GO if attempts.state.state in GOING_ON else 0


class _Container:
    """This container: what the command says goes through a pipe to Docker's log. See `attempts.Host`.

    Args:
        order: The job.
    """

    grace_s = GRACE_S

    def __init__(self, order: Order) -> None:
        self._order = order
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: IO[bytes] | None = None  # until the command, and all that it started, have closed it
        self._said = b""
        self._num_kills = 0

    def start(self, env: dict[str, str]) -> "subprocess.Popen[bytes]":
        """See `Host`."""
        self._num_kills, self._said = num_memory_kills(_MEMORY_EVENTS), b""
        self._process = subprocess.Popen(  # noqa: S603 - the job's command
            self._order.command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self._pipe = self._process.stdout
        return self._process

    def wait(self, seconds: float) -> None:
        """See `Host`; less if the command says something or ends."""
        if self._pipe is not None:
            self._read(seconds)
        elif self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        else:
            time.sleep(seconds)

    def finish(self) -> str:
        """See `Host`."""
        while self._read(0):
            pass
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None
        return self._said.decode(errors="replace")

    def is_out_of_memory(self, code: int) -> bool:  # noqa: ARG002 - all that is killed here is of this job
        """See `Host`."""
        if num_memory_kills(_MEMORY_EVENTS) <= self._num_kills:
            return False
        self.say("--- a process of the job was killed because the container has no memory left")
        return True

    def explain_failure(self) -> None:
        """See `Host`; all processes write into the one log."""

    def say(self, line: str) -> None:
        """See `Host`."""
        _hand_on(f"{line}\n".encode(errors="backslashreplace"))

    def _read(self, seconds: float) -> bool:
        """Hand on a piece of what the command says; False if there is none in that time, or no more at all."""
        if self._pipe is None or not select.select([self._pipe], [], [], seconds)[0]:
            return False
        piece = os.read(self._pipe.fileno(), 65_536)
        if not piece:
            self._pipe.close()
            self._pipe = None
        _hand_on(piece)
        self._said = (self._said + piece)[-_TAIL_BYTES:]
        return bool(piece)


def _hand_on(piece: bytes) -> None:
    with contextlib.suppress(OSError):  # the disk of Docker's logs may be full
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    try:
        sys.exit(run(Path(sys.argv[1])))
    except MrikitError as error:
        sys.exit(f"mrikit: {error}")
