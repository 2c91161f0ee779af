"""Records of jobs submitted from this machine."""

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mrikit.config import build_config
from mrikit.errors import ConfigError, JobError
from mrikit.launching.job import JobSpec
from mrikit.storage.local import read_json, write_json
from mrikit.storage.lock import alone

JOBS = "MRIKIT_JOBS"
RECORD_FILE = "job.json"
_LOCK_FILE = "submit.lock"


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRecord:
    """One job that was submitted."""

    spec: JobSpec
    """What it is."""
    backend: str
    """Where it runs, as `--on` calls it."""
    handle: str
    """What the back end calls it."""
    submitted_at: float
    """Unix time."""
    earlier: tuple[str, ...] = ()
    """Handles of submissions of the same job before this one."""


def jobs_folder() -> Path:
    """Where jobs are kept: `MRIKIT_JOBS`, else `mrikit/jobs` below `XDG_STATE_HOME` or `~/.local/state`.

    Raises:
        ConfigError: Nobody says where, and there is no home.
    """
    named = os.environ.get(JOBS)
    if named:
        return Path(named).absolute()
    base = os.environ.get("XDG_STATE_HOME")
    if base:
        return Path(base) / "mrikit" / "jobs"
    try:
        return Path.home() / ".local" / "state" / "mrikit" / "jobs"
    except RuntimeError as error:
        raise ConfigError(f"there is no home folder to keep jobs in; set {JOBS} to a folder") from error


def job_folder(name: str) -> Path:
    """The folder of one job: its record, and its script and logs where the back end has none of its own."""
    return jobs_folder() / name


@contextlib.contextmanager
def submitting() -> Iterator[None]:
    """Let one command look at the jobs and submit some; another waits, and then finds them submitted.

    Raises:
        StorageError: The folder of jobs cannot be written.
    """
    with alone(jobs_folder() / _LOCK_FILE, f"set {JOBS} to another folder"):
        yield


def save_record(record: JobRecord) -> Path:
    """Write a record, whole or not at all."""
    path = job_folder(record.spec.name) / RECORD_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(record))
    return path


def new_record(spec: JobSpec, backend: str, handle: str) -> JobRecord:
    """The record of a job that has just been submitted; what an earlier one of it was called is kept."""
    before = load_record(spec.name)
    earlier = (*before.earlier, before.handle) if before and before.handle != handle else ()
    return JobRecord(spec=spec, backend=backend, handle=handle, submitted_at=time.time(), earlier=earlier)


def load_record(name: str) -> JobRecord | None:
    """The record of a job; None if this machine has none.

    Raises:
        JobError: Its file is damaged.
    """
    path = job_folder(name) / RECORD_FILE
    return _read(path) if path.exists() else None


def require_record(name: str) -> JobRecord:
    """The record of a job, by its name or by the beginning of it that no other one has.

    Raises:
        JobError: There is none, or several begin so.
    """
    record = load_record(name)
    if record is not None:
        return record
    names = [one.spec.name for one in load_records()]
    fitting = [one for one in names if one.startswith(name)]
    if len(fitting) == 1:
        return require_record(fitting[0])
    if fitting:
        raise JobError(f"several jobs begin with '{name}': {', '.join(fitting)}; write more of the name")
    there = f"there are {', '.join(names)}" if names else "none was submitted from this machine"
    raise JobError(f"no job is called '{name}'; {there}; `mrikit jobs list --on BACKEND` looks for others")


def load_records() -> list[JobRecord]:
    """All records of this machine, the newest first.

    Raises:
        JobError: A file is damaged.
    """
    records = [_read(path) for path in sorted(jobs_folder().glob(f"*/{RECORD_FILE}"))]
    return sorted(records, key=lambda record: -record.submitted_at)


def spec_to_json(spec: JobSpec) -> str:
    """A spec as text that a back end can keep as a label."""
    plain = asdict(spec)
    if not spec.gpu_ids:  # elsewhere it means nothing, and labels are short
        del plain["gpu_ids"]
    return json.dumps(plain, sort_keys=True)


def spec_from_json(text: str) -> JobSpec:
    """The spec of a label.

    Raises:
        JobError: It is none.
    """
    try:
        return _spec(json.loads(text))
    except (ValueError, TypeError, ConfigError) as error:
        raise JobError(f"not the record of a job ({error})") from error


def _read(path: Path) -> JobRecord:
    found = read_json(path)
    try:
        plain = {**found, "spec": _spec(found["spec"]), "earlier": tuple(found["earlier"])}
        return JobRecord(**plain)
    except (ConfigError, KeyError, TypeError, AttributeError) as error:
        raise JobError(f"{path}: not the record of a job ({error}); delete its folder") from error


def _spec(found: Mapping[str, Any]) -> JobSpec:
    known = {one.name for one in fields(JobSpec)}
    return build_config(JobSpec, {key: value for key, value in found.items() if key in known}, "job")
