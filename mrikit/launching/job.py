"""Job, its status, and the back end protocol."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mrikit.errors import ConfigError

QUEUED, RUNNING, RESTARTING = "queued", "running", "restarting"
SUCCEEDED, FAILED, CANCELLED, UNKNOWN = "succeeded", "failed", "cancelled", "unknown"
GOING_ON = (QUEUED, RUNNING, RESTARTING)
"""States of a job that may still change by itself."""
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSpec:
    """One job: a command of mrikit, and what it is given. The same words give the same name."""

    name: str
    """1 to 63 lower-case letters, digits and hyphens; what it does and a digest of its command."""
    command: tuple[str, ...]
    """Words after `mrikit`."""
    folder: str
    """Absolute path that relative paths in the command start from."""
    nodes: int = 1
    """Machines."""
    processes_per_node: int = 1
    """Processes of the command on each; one for each GPU."""
    gpus_per_node: int = 0
    """GPUs of each machine."""
    gpu_ids: tuple[str, ...] = ()
    """Which GPUs of this machine it holds, as nvidia-smi counts; empty elsewhere, and before it is submitted."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Environment besides the back end's own; nothing secret."""
    inputs: tuple[str, ...] = ()
    """Places that are read: absolute paths, or az://."""
    outputs: tuple[str, ...] = ()
    """Places that are written."""
    max_hours: float = 24.0
    """It is stopped after so long, each time it is started anew."""
    max_restarts: int = 10
    """Times that it may be started again after it was taken off its machine."""
    max_errors: int = 0
    """Times that it may be started again after it failed."""
    spot: bool = False
    """Whether its machines may be taken away, for less money."""
    simulates_preemption: bool = False
    """Whether the back end takes it off its machine now and then, to see that it survives that."""
    resources: Mapping[str, str] = field(default_factory=dict)
    """What the back end alone understands: a partition, a cluster, a container image."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(f"a job's name is 1 to 63 lower-case letters, digits and hyphens; found '{self.name}'")
        counts = {"--nodes": self.nodes, "--processes": self.processes_per_node}
        for option, count in counts.items():
            if count < 1:
                raise ConfigError(f"{option} {count}: at least 1 is needed")
        for option, count in {
            "--gpus": self.gpus_per_node,
            "--max-restarts": self.max_restarts,
            "--max-errors": self.max_errors,
        }.items():
            if count < 0:
                raise ConfigError(f"{option} {count}: 0 or more is needed")
        if not 0 < self.max_hours < math.inf:
            raise ConfigError(f"--max-hours {self.max_hours:g}: more than 0 is needed, and an end")

    @property
    def max_starts(self) -> int:
        """Times that it may be started in all; each may take all its hours."""
        return 1 + self.max_restarts + self.max_errors

    @property
    def num_processes(self) -> int:
        """Of the command, on all machines."""
        return self.nodes * self.processes_per_node


@dataclass(frozen=True, kw_only=True, slots=True)
class JobStatus:
    """How a job stands."""

    state: str
    """One of the states above."""
    exit_code: int | None = None
    """Of the command's last start; None while nothing has ended, or where nobody knows."""
    num_preemptions: int = 0
    """Times that it was taken off its machine and started again."""
    num_errors: int = 0
    """Times that it failed and was started again."""
    started_at: float | None = None
    """Unix time of its first start."""
    ended_at: float | None = None
    """Unix time of its end."""
    message: str = ""
    """What else is known, on one line."""
    address: str = ""
    """Of the page that shows it in a browser; empty where there is none."""
    is_out_of_memory: bool = False
    """Whether it failed because its machine, or its share of it, had too little memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobPlan:
    """What submitting would do; made without contacting the place where jobs run."""

    where: str
    """In words: `Slurm, partition gpu`."""
    command: tuple[str, ...]
    """What is started on each machine, whole."""
    env: Mapping[str, str]
    """What the command finds in its environment besides."""
    job_file: str
    """The text that the back end is given."""
    hourly_cost: float | None = None
    """Of all machines together; None where nobody asks for money, or no price is known."""
    is_cost_sure: bool = True
    """Whether a job may be refused for it: it is listed today, or the user's own."""
    currency: str = ""
    """Of the cost."""
    runs_on: str = ""
    """What time can be predicted for: `cpu` or `cuda` of this machine, or a GPU of `mrikit.training.GPUS`; empty where
    nobody knows what it will get."""
    notes: tuple[str, ...] = ()
    """What else is worth knowing."""
    missing: str = ""
    """What this machine lacks to submit it, on one line; empty if nothing."""


class Backend(Protocol):
    """A place where jobs run. A handle is what it calls a job: a process group, a container, a number, a name."""

    name: str
    """What `--on` calls it."""

    def plan(self, chain: Sequence[JobSpec]) -> list[JobPlan]:
        """What `submit` would do with each; the back end is not contacted.

        Raises:
            ConfigError: It cannot run such a job.
        """

    def submit(self, chain: Sequence[JobSpec]) -> list[str]:
        """Start jobs, each after the one before has succeeded.

        Returns:
            A handle for each.

        Raises:
            JobError: The back end refuses or cannot be reached; then nothing of the chain is started.
        """

    def status(self, spec: JobSpec, handle: str) -> JobStatus:
        """How a job stands; `unknown` if the back end does not know it any more.

        Raises:
            JobError: The back end cannot be reached.
        """

    def logs(self, spec: JobSpec, handle: str, *, node: int, follow: bool) -> Iterator[str]:
        """What the first process of a machine wrote, start after start, in pieces; until its end with `follow`.

        Raises:
            JobError: There is none yet, or the back end cannot be reached.
        """

    def cancel(self, spec: JobSpec, handle: str) -> None:
        """End a job and see that nothing starts it again; nothing happens to one that is over.

        Raises:
            JobError: The back end cannot be reached.
        """

    def pull(self, spec: JobSpec, to: Path) -> list[Path]:
        """Bring what a job has written so far into a folder here; also while it runs.

        Returns:
            What is there afterwards.
        """

    def find(self) -> list[tuple[JobSpec, str]]:
        """Jobs of mrikit that the back end knows, with their handles, whoever submitted them from whichever machine.

        Raises:
            JobError: The back end cannot be reached.
        """


class ArrayBackend(Backend, Protocol):
    """A back end with a queue that takes many jobs at once."""

    def submit_array(self, specs: Sequence[JobSpec], at_once: int) -> list[str]:
        """Submit jobs that do not wait for each other.

        Args:
            specs: The jobs; they ask for the same machines.
            at_once: Most that run at the same time.

        Returns:
            A handle for each.

        Raises:
            JobError: The back end refuses or cannot be reached; then nothing is started.
        """
