"""Detached jobs on this machine, under a supervisor."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from mrikit.errors import JobError, StorageError
from mrikit.launching import processes
from mrikit.launching.job import CANCELLED, GOING_ON, UNKNOWN, JobPlan, JobSpec, JobStatus
from mrikit.launching.local.command import PROGRAM, grace_s, inherited, plan_of
from mrikit.launching.local.lock import current_state, is_locked, take_lock
from mrikit.launching.local.traits import LOCAL
from mrikit.launching.logs import num_logs, read_logs, tail
from mrikit.launching.records import job_folder, jobs_folder
from mrikit.launching.state import (
    CANCEL_FILE,
    ORDER_FILE,
    JobState,
    Order,
    read_order,
    read_state,
    write_order,
    write_state,
)

SUPERVISOR_LOG = "supervisor.txt"
_LOCK_WAIT_S = 1.0
_CONFIRM_S = 30.0
_CANCEL_EXTRA_S = 30.0
_PERIOD_S = 0.02


class LocalBackend:
    """Jobs on this machine, in the folders of their records.

    Args:
        program: What stands before the words of a command.
    """

    name = LOCAL.name

    def __init__(self, program: tuple[str, ...] = PROGRAM) -> None:
        self._program = program

    def plan(self, chain: Sequence[JobSpec]) -> list[JobPlan]:
        """See `Backend`."""
        return [plan_of(spec, job_folder(spec.name), self._program) for spec in chain]

    def submit(self, chain: Sequence[JobSpec]) -> list[str]:
        """See `Backend`; a handle is the id and the start of a supervisor."""
        plans = self.plan(chain)
        locks: dict[str, int] = {}
        handles: dict[str, str] = {}
        after = ""
        try:
            for spec in chain:
                locks[spec.name] = _take(spec)
            for spec, plan in zip(chain, plans, strict=True):
                known = read_state(job_folder(spec.name)) or JobState()
                handles[spec.name] = ""
                _spawn(Order(spec=spec, command=plan.command, env=plan.env, after=after), locks[spec.name])
                os.close(locks.pop(spec.name))  # the supervisor holds it now
                handles[spec.name] = _confirmed(spec, known.supervisor)
                after = str(job_folder(spec.name))
        except (JobError, StorageError, OSError) as error:
            while locks:
                os.close(locks.popitem()[1])
            for spec in chain:
                if spec.name in handles:
                    self.cancel(spec, "")
            if isinstance(error, JobError):
                raise
            raise JobError(f"nothing was started: {error}") from error
        return [handles[spec.name] for spec in chain]

    def status(self, spec: JobSpec, handle: str) -> JobStatus:  # noqa: ARG002 - the folder knows
        """See `Backend`."""
        folder = job_folder(spec.name)
        state = current_state(folder)
        if state is None:
            return JobStatus(state=UNKNOWN, message=f"{folder} has no state of it; was it deleted?")
        left = processes.find(folder) if state.state == UNKNOWN else []
        if left:
            state = replace(
                state, message=f"{state.message}; it left process {left[0]}, which `mrikit jobs cancel` ends"
            )
        return state.status()

    def logs(self, spec: JobSpec, handle: str, *, node: int, follow: bool) -> Iterator[str]:  # noqa: ARG002
        """See `Backend`."""
        folder = job_folder(spec.name)
        if node:
            raise JobError(f"job {spec.name} runs on one machine; found --node {node}, there is only 0")
        if not follow and not num_logs(folder):
            state = current_state(folder)
            raise JobError(f"job {spec.name} has no log yet; it is {UNKNOWN if state is None else state.state}")

        def is_over() -> bool:
            state = current_state(folder)
            return state is None or state.state not in GOING_ON

        return read_logs(folder, is_over if follow else None)

    def cancel(self, spec: JobSpec, handle: str) -> None:  # noqa: ARG002
        """See `Backend`."""
        folder = job_folder(spec.name)
        if read_state(folder) is None:
            return
        # A supervisor reads the file and lets the lock go; where there is none, its work is done here.
        try:
            if is_locked(folder):
                (folder / CANCEL_FILE).touch()
        except OSError as error:
            raise JobError(f"job {spec.name} cannot be cancelled: {error.filename}: {error.strerror}") from error
        lock = take_lock(folder, wait_s=grace_s(spec) + _CANCEL_EXTRA_S)
        if lock is None:
            state = read_state(folder) or JobState()
            process = state.supervisor.partition("-")[0]
            raise JobError(
                f"job {spec.name} does not end: its supervisor, process {process}, does not answer; end that with "
                f"`kill -9 {process}` and cancel again"
            )
        try:
            processes.end(folder, grace_s=grace_s(spec))
            state = read_state(folder) or JobState()
            if state.state in GOING_ON:
                ended = {"state": CANCELLED, "ended_at": time.time(), "message": "cancelled", "command": ""}
                write_state(folder, replace(state, **ended))  # type: ignore[arg-type]
        finally:
            os.close(lock)

    def pull(self, spec: JobSpec, to: Path) -> list[Path]:  # noqa: ARG002 - it is here already
        """See `Backend`; nothing is brought, because everything is here."""
        return [path for path in map(Path, spec.outputs) if path.exists()]

    def find(self) -> list[tuple[JobSpec, str]]:
        """See `Backend`; those of this user on this machine."""
        found = []
        for path in sorted(jobs_folder().glob(f"*/{ORDER_FILE}")):
            state = read_state(path.parent)
            if state is not None:
                found.append((read_order(path.parent).spec, state.supervisor))
        return found


def _take(spec: JobSpec) -> int:
    lock = take_lock(job_folder(spec.name), wait_s=_LOCK_WAIT_S)
    if lock is None:
        raise JobError(f"job {spec.name} is going on already; see `mrikit jobs status {spec.name}`")
    return lock


def _spawn(order: Order, lock: int) -> None:
    """Start the supervisor of a job; it takes the lock over."""
    folder = job_folder(order.spec.name)
    (folder / CANCEL_FILE).unlink(missing_ok=True)
    write_order(folder, order)
    words = [sys.executable, "-P", "-m", "mrikit.launching.local.supervisor", str(folder), str(lock)]
    with (folder / SUPERVISOR_LOG).open("wb") as log:
        subprocess.run(  # noqa: S603 - our own program
            words,
            cwd="/",
            env=inherited(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(lock,),
            check=False,
        )


def _confirmed(spec: JobSpec, before: str) -> str:
    """Wait until the supervisor says that it has taken over; its handle."""
    folder = job_folder(spec.name)
    until = time.monotonic() + _CONFIRM_S
    while time.monotonic() < until:
        is_alive = is_locked(folder)
        state = read_state(folder)
        if state is not None and state.supervisor != before:
            return state.supervisor
        if not is_alive:
            said = tail(folder / SUPERVISOR_LOG, 1)
            raise JobError(f"job {spec.name} was not started: {said or 'its supervisor ended without a word'}")
        time.sleep(_PERIOD_S)
    raise JobError(f"job {spec.name}: its supervisor does not take over; see {folder / SUPERVISOR_LOG}")
