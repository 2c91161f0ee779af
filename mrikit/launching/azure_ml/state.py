"""State of a job in Azure ML."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mrikit.launching.azure_ml.client import Found
from mrikit.launching.azure_ml.errors import plain
from mrikit.launching.azure_ml.runs import RunHistory, unix_time
from mrikit.launching.job import CANCELLED, FAILED, GOING_ON, QUEUED, RUNNING, SUCCEEDED, UNKNOWN, JobStatus

_STATES = {
    "NotStarted": QUEUED,
    "Starting": QUEUED,
    "Provisioning": QUEUED,
    "Preparing": QUEUED,
    "Queued": QUEUED,
    "Scheduled": QUEUED,
    "Running": RUNNING,
    "Finalizing": RUNNING,
    "NotResponding": RUNNING,
    "Paused": RUNNING,
    "CancelRequested": RUNNING,
    "Completed": SUCCEEDED,
    "Finished": SUCCEEDED,
    "Failed": FAILED,
    "Canceled": CANCELLED,
}
_IS_TAKEN_AWAY = re.compile(r"pre-?empt|evict|low.?priority node", re.IGNORECASE)
"""In the code or the message of an error; Azure ML documents no list of codes."""
_EXIT_CODE = re.compile(r"(?:exit(?:ed)?(?: with)?(?: status)? code|status code)\D{0,3}(-?\d+)", re.IGNORECASE)


def run_state(job: Found, runs: RunHistory, *, has_steps: bool) -> JobStatus:
    """How a start of a job stands. `num_preemptions` is 1 where it ended because its machine was taken away.

    Args:
        job: As the workspace tells of it.
        runs: Asked for times, errors and exit codes of what has begun.
        has_steps: Whether it is a pipeline, which fails as one of its steps does.

    Raises:
        JobError: The run history cannot be asked.
    """
    state = _STATES.get(job.status, UNKNOWN)
    if state in (QUEUED, UNKNOWN):
        return JobStatus(state=state, message=f"Azure ML says {job.status}")
    whole = _status(state, job.status, runs.details(job.name))
    if state == FAILED and has_steps:
        failed = [one for one in runs.steps(job.name).values() if one.get("status") == "Failed"]
        for one in failed:
            step = _status(FAILED, "Failed", runs.details(str(one.get("runId"))))
            whole = replace(whole, message=step.message, exit_code=step.exit_code, num_preemptions=step.num_preemptions)
    return whole


def step_state(step: Mapping[str, Any] | None, whole: JobStatus, runs: RunHistory) -> JobStatus:
    """How one job of a pipeline stands; one that was not started waits, or will never start.

    Raises:
        JobError: The run history cannot be asked.
    """
    if step is None:
        if whole.state in GOING_ON:
            return JobStatus(state=QUEUED, message="it waits for the job before it")
        return JobStatus(state=CANCELLED, message=f"the pipeline is over before it began: {whole.message}".rstrip(": "))
    status = str(step.get("status"))
    state = _STATES.get(status, UNKNOWN)
    return _status(state, status, {} if state == QUEUED else runs.details(str(step.get("runId"))))


def _status(state: str, status: str, details: Mapping[str, Any]) -> JobStatus:
    found = details.get("error") or {}
    error = found.get("error", found) if isinstance(found, Mapping) else {}
    code, words = str(error.get("code") or ""), str(error.get("message") or "")
    exit_code = _EXIT_CODE.search(words)
    # A message with an exit code is the command's own, which may speak of evictions of whatever kind.
    said = code if exit_code else f"{code} {words}"
    is_taken_away = state == FAILED and _IS_TAKEN_AWAY.search(said) is not None
    own = sum(
        int(value)
        for key, value in (details.get("properties") or {}).items()
        if "preempt" in key.lower() and str(value).isdigit()
    )
    message = plain(f"{code}: {words}".strip(": ")) if code or words else f"Azure ML says {status}"
    return JobStatus(
        state=state,
        exit_code=int(exit_code.group(1)) if exit_code else 0 if state == SUCCEEDED else None,
        num_preemptions=own + is_taken_away,
        started_at=unix_time(details.get("startTimeUtc")),
        ended_at=unix_time(details.get("endTimeUtc")),
        message=message,
    )
