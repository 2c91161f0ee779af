"""Status of a job on Slurm."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mrikit.launching.job import CANCELLED, FAILED, QUEUED, RESTARTING, RUNNING, SUCCEEDED, UNKNOWN, JobSpec, JobStatus
from mrikit.words import counted

STARTS_FILE = "starts.txt"
CANCELLED_FILE = "cancelled"
_START = re.compile(r"start (\d+) (\d+) .*")
_END = re.compile(r"end (\d+) (\d+) (done|error|limit|memory|rehearsal|taken) (\d+) (again|over|-)")
_MORE_MEMORY = "--resource memory=64GB asks for more"
_GONE = {
    "BOOT_FAIL": "its machine did not start",
    "DEADLINE": "Slurm's deadline for it is over",
    "NODE_FAIL": "its machine failed",
    "OUT_OF_MEMORY": f"it needed more memory than it has; {_MORE_MEMORY}",
    "PREEMPTED": "Slurm took it off its machine for good; the partition does not queue such jobs again",
    "TIMEOUT": "it did not end within its time limit",
}
"""States of Slurm after which nothing starts a job again."""
_ERRORS = ("error", "memory")
"""Reasons that are faults of the command."""
_NO_OUTPUT = 53
"""Signal that Slurm reports for a job whose output it cannot open."""
_SHELL_BASE = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class Starts:
    """What the script of a job wrote about its starts."""

    started_at: tuple[int, ...] = ()
    """Unix time of each start."""
    num_errors: int = 0
    """Times that it was started again after an error."""
    reason: str = ""
    """Why the last start ended; empty while it has not."""
    exit_code: int | None = None
    """Of the last end."""
    ended_at: int | None = None
    """Unix time of the last end."""
    is_over: bool = False
    """Whether nothing more follows."""

    @property
    def num_preemptions(self) -> int:
        """Times that it was started again for another reason."""
        return max(len(self.started_at) - 1 - self.num_errors, 0)


def read_starts(folder: Path) -> Starts:
    """What the script wrote into its folder; nothing if it has not begun."""
    try:
        lines = (folder / STARTS_FILE).read_text().splitlines()
    except OSError:
        return Starts()
    begun = [int(match[2]) for line in lines if (match := _START.fullmatch(line))]
    ends = [match for line in lines if (match := _END.fullmatch(line))]
    # A start after an end says that the end was not the last one.
    last = ends[-1] if ends and int(ends[-1][1]) >= len(begun) else None
    repeated = [match for match in ends if match[3] in _ERRORS and match[5] == "again"]
    return Starts(
        started_at=tuple(begun),
        num_errors=len(repeated) - (last in repeated),
        reason=last[3] if last else "",
        exit_code=int(ends[-1][4]) if ends else None,
        ended_at=int(last[2]) if last else None,
        is_over=bool(last and last[5] == "over"),
    )


def parse_job(text: str) -> dict[str, str]:
    """The first value of each field of `scontrol --oneliner show job`; our names have no spaces."""
    found: dict[str, str] = {}
    for name, value in re.findall(r"(\w+)=(\S*)", text):
        found.setdefault(name, value)
    return found


def status_of(
    spec: JobSpec, starts: Starts, job: Mapping[str, str] | None, *, is_cancelled: bool, said: str = ""
) -> JobStatus:
    """How a job stands.

    Args:
        spec: Of the job.
        starts: What its script wrote.
        job: What Slurm says of it: JobState, and perhaps Reason and ExitCode; None if it does not know it any more.
        is_cancelled: Whether somebody cancelled it here.
        said: Last words of its script, or of Slurm about it.
    """
    if starts.is_over:
        state, message = _over(spec, starts)
    elif job is None:
        state, message = _forgotten(starts, is_cancelled=is_cancelled)
    else:
        state, message = _known(starts, job, is_cancelled=is_cancelled, said=said)
    exit_code = starts.exit_code
    if exit_code is None and job is not None and state == FAILED:
        exit_code = _code(job)
    return JobStatus(
        state=state,
        exit_code=exit_code,
        num_preemptions=starts.num_preemptions,
        num_errors=starts.num_errors,
        started_at=float(starts.started_at[0]) if starts.started_at else None,
        ended_at=None if starts.ended_at is None or state in (QUEUED, RESTARTING) else float(starts.ended_at),
        message=message,
        is_out_of_memory=state == FAILED and _is_out_of_memory(starts, job),
    )


def _is_out_of_memory(starts: Starts, job: Mapping[str, str] | None) -> bool:
    """Whether the last start ended for lack of memory, as the script saw it, or Slurm for the script itself."""
    if starts.is_over:
        return starts.reason == "memory"
    return job is not None and job.get("JobState", "").split("+")[0] == "OUT_OF_MEMORY"


def _over(spec: JobSpec, starts: Starts) -> tuple[str, str]:
    if starts.reason == "done":
        return SUCCEEDED, ""
    if starts.reason == "limit":
        times = counted(len(starts.started_at), "time")
        message = f"stopped {times} after {spec.max_hours:g} h (--max-hours), --max-restarts is {spec.max_restarts}"
        return FAILED, f"{message}; `mrikit jobs resume {spec.name}` goes on"
    if starts.reason in _ERRORS:
        bound = (
            f" {counted(starts.num_errors + 1, 'time')}, --max-errors is {spec.max_errors}" if spec.max_errors else ""
        )
        failed = f"failed{bound} (exit code {starts.exit_code})"
        if starts.reason == "memory":
            return FAILED, f"out of memory; {failed}; {_MORE_MEMORY}"
        return FAILED, f"{failed}; `mrikit jobs logs {spec.name}` says why"
    message = (
        f"taken off its machine {counted(starts.num_preemptions + 1, 'time')}, --max-restarts is {spec.max_restarts}"
    )
    return FAILED, f"{message}; `mrikit jobs resume {spec.name}` goes on"


def _forgotten(starts: Starts, *, is_cancelled: bool) -> tuple[str, str]:
    if is_cancelled:
        return CANCELLED, ""
    began = "its script left no end" if starts.started_at else "its script left nothing"
    return UNKNOWN, f"Slurm does not know it any more, and {began}; `mrikit jobs resume` goes on"


def _known(starts: Starts, job: Mapping[str, str], *, is_cancelled: bool, said: str) -> tuple[str, str]:
    state, reason = job.get("JobState", "").split("+")[0], job.get("Reason", "")
    if state == "CANCELLED" or (is_cancelled and state not in ("PENDING", "RUNNING", "COMPLETED")):
        never_began = "the job before it did not succeed" if "DependencyNeverSatisfied" in reason else ""
        return CANCELLED, never_began
    if state == "COMPLETED":
        return SUCCEEDED, ""
    if state == "PENDING":
        waits = "" if reason in ("", "None") else f"it waits: Slurm says {reason}"
        return (RESTARTING if starts.started_at else QUEUED), waits
    if state == "FAILED" and job.get("ExitCode", "").endswith(f":{_NO_OUTPUT}"):
        return FAILED, "Slurm cannot write into its folder; is that on a file system that the machines share?"
    if state in ("FAILED", *_GONE):
        why = f"its script ended with {job.get('ExitCode', 'an unknown code')}: {said or 'no words; is the disk full?'}"
        return FAILED, _GONE.get(state, why)
    is_between = starts.reason and state in ("COMPLETING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT")
    return (RESTARTING if is_between else RUNNING), ""


def _code(job: Mapping[str, str]) -> int | None:
    """The exit code of `1:0`, or 128 and the signal of `0:9`."""
    match = re.fullmatch(r"(\d+):(\d+)", job.get("ExitCode", ""))
    if match is None:
        return None
    return _SHELL_BASE + int(match[2]) if int(match[2]) else int(match[1])
