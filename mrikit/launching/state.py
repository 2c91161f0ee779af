"""State and order of a job, as files."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from mrikit.errors import JobError, StorageError
from mrikit.launching.job import FAILED, QUEUED, JobSpec, JobStatus
from mrikit.launching.outcome import OUT_OF_MEMORY
from mrikit.launching.records import spec_from_json, spec_to_json
from mrikit.storage.local import read_json, write_json

STATE_FILE, ORDER_FILE, CANCEL_FILE = "state.json", "local.json", "cancel"


@dataclass(frozen=True, kw_only=True, slots=True)
class JobState:
    """What the supervisor of a job knows of it."""

    state: str = QUEUED
    """As in `JobStatus`."""
    exit_code: int | None = None
    """Of the last start that has ended."""
    num_preemptions: int = 0
    """Times that it was started again after a preemption."""
    num_errors: int = 0
    """Times that it was started again after an error."""
    started_at: float | None = None
    """Unix time of the first start."""
    ended_at: float | None = None
    """Unix time of the end."""
    message: str = ""
    """What else is known."""
    supervisor: str = ""
    """Process id and start of the supervisor."""
    command: str = ""
    """Process id and start of the command, while it runs."""

    def status(self) -> JobStatus:
        """What everybody may know."""
        known = {one.name for one in fields(JobStatus)}
        said = {name: value for name, value in asdict(self).items() if name in known}
        return JobStatus(**said, is_out_of_memory=self.state == FAILED and self.exit_code == OUT_OF_MEMORY)


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What a supervisor is to do."""

    spec: JobSpec
    """The job."""
    command: tuple[str, ...]
    """What is started, whole."""
    env: Mapping[str, str]
    """Its environment besides what it inherits."""
    after: str = ""
    """Folder of the job that has to succeed first; empty for none."""


def write_order(folder: Path, order: Order) -> None:
    """Write what the supervisor of this folder is to do."""
    plain = {"spec": spec_to_json(order.spec), "command": order.command, "env": dict(order.env), "after": order.after}
    write_json(folder / ORDER_FILE, plain)


def read_order(folder: Path) -> Order:
    """What the supervisor of this folder is to do.

    Raises:
        JobError: The file is damaged.
    """
    try:
        found = read_json(folder / ORDER_FILE)
        plain = {**found, "spec": spec_from_json(found["spec"]), "command": tuple(found["command"])}
        return Order(**plain)
    except (KeyError, TypeError, StorageError) as error:
        raise JobError(f"{folder / ORDER_FILE}: not the order of a job ({error}); delete its folder") from error


def write_state(folder: Path, state: JobState) -> None:
    """Write how a job stands, whole or not at all."""
    write_json(folder / STATE_FILE, asdict(state))


def read_state(folder: Path) -> JobState | None:
    """What the supervisor of a job wrote last; None if there never was one.

    Raises:
        JobError: The file is damaged.
    """
    path = folder / STATE_FILE
    if not path.exists():
        return None
    try:
        return JobState(**read_json(path))
    except (TypeError, StorageError) as error:
        raise JobError(f"{path}: not the state of a job ({error}); delete its folder") from error
