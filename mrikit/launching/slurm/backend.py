"""Jobs on a Slurm cluster, by `sbatch`."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mrikit.errors import JobError, StorageError
from mrikit.launching.job import GOING_ON, JobPlan, JobSpec, JobStatus
from mrikit.launching.logs import num_logs, read_logs, tail
from mrikit.launching.records import job_folder, jobs_folder
from mrikit.launching.slurm.commands import ask, missing_program, slurm
from mrikit.launching.slurm.script import (
    ARRAYS,
    MARK,
    Place,
    array_script,
    given_options,
    kill_delays_s,
    script,
    specs_of,
)
from mrikit.launching.slurm.status import CANCELLED_FILE, parse_job, read_starts, status_of
from mrikit.launching.slurm.traits import PYTHON, SLURM
from mrikit.storage import BlobPath, parse_location, pulled

_UNKNOWN = "Invalid job id"
_ASKING_PERIOD_S = 5.0


class SlurmBackend:
    """Slurm, by its own programs: sbatch, scontrol, squeue, scancel. A handle is a job's number, `12` or `12_3`."""

    name = SLURM.name

    def plan(self, chain: Sequence[JobSpec]) -> list[JobPlan]:
        """What `submit` would do with each; contacts nobody."""
        return [_plan(spec) for spec in chain]

    def submit(self, chain: Sequence[JobSpec]) -> list[str]:
        """Queue jobs, each after the one before has succeeded; Slurm cancels what waits for one that fails."""
        texts = [script(spec, _place(spec)) for spec in chain]
        handles: list[str] = []
        try:
            for spec, text in zip(chain, texts, strict=True):
                # Two jobs of one name would write one run folder; Slurm lets the second wait for the first.
                after = ["singleton", *(f"afterok:{handle}" for handle in handles[-1:])]
                handles.append(_submit(spec, text, "--kill-on-invalid-dep=yes", f"--dependency={','.join(after)}"))
        except (JobError, StorageError):
            for handle in handles:
                with contextlib.suppress(JobError):
                    slurm("scancel", handle)
            raise
        return handles

    def submit_array(self, specs: Sequence[JobSpec], at_once: int) -> list[str]:
        """Queue many jobs that do not depend on each other as one array.

        Args:
            specs: Jobs that need the same machines.
            at_once: How many of them at a time.

        Returns:
            A handle for each.

        Raises:
            ConfigError: Slurm cannot run one of them, or they need other machines.
            JobError: Slurm refuses it or cannot be reached; then nothing is started.
        """
        text = array_script(specs, _place(specs[0]), at_once)
        _make_folder(jobs_folder() / ARRAYS)
        number = _submit(specs[0], text)
        return [f"{number}_{index}" for index in range(len(specs))]

    def status(self, spec: JobSpec, handle: str) -> JobStatus:
        """How a job stands, from what its script wrote and from what Slurm says."""
        here = start_folder(spec, handle)
        # Slurm first: what the script wrote after the answer is newer, and is final if it says so.
        job = _ask_for(handle)
        starts = read_starts(here)
        said = tail(job_folder(spec.name) / f"batch-{handle}.txt", 1) or tail(
            jobs_folder() / ARRAYS / f"batch-{handle}.txt", 1
        )
        return status_of(spec, starts, job, is_cancelled=(here / CANCELLED_FILE).exists(), said=said)

    def logs(self, spec: JobSpec, handle: str, *, node: int, follow: bool) -> Iterator[str]:
        """What the first process of a machine wrote, start after start; until its end with `follow`."""
        if not 0 <= node < spec.nodes:
            raise JobError(f"job {spec.name} has {spec.nodes} machines, numbered from 0; there is no {node}")
        here = start_folder(spec, handle)
        folder = here / f"task-{node * spec.processes_per_node}"
        if not follow and not num_logs(folder):
            status = self.status(spec, handle)
            raise JobError(
                f"job {spec.name} has no log yet in {folder}; it is {status.state}. {status.message}".strip()
            )
        return read_logs(folder, self._is_over(spec, handle) if follow else None)

    def cancel(self, spec: JobSpec, handle: str) -> None:
        """End a job; its script asks for no other start, and Slurm cancels what waits for it."""
        mark = start_folder(spec, handle) / CANCELLED_FILE
        job = _ask_for(handle)
        if job is None or status_of(spec, read_starts(mark.parent), job, is_cancelled=False).state not in GOING_ON:
            return
        _make_folder(mark.parent)
        try:
            mark.touch()
        except OSError as error:
            raise StorageError(f"{mark}: cannot be written: {error.strerror}; the job goes on") from error
        try:
            slurm("scancel", handle)
        except JobError:
            mark.unlink(missing_ok=True)
            raise

    def pull(self, spec: JobSpec, to: Path) -> list[Path]:  # noqa: ARG002 - nothing is brought there
        """What a job has written so far; only what is in Azure is brought, because the cluster's disks are here."""
        paths = []
        for output in spec.outputs:
            location = parse_location(output)
            path = pulled(location) if isinstance(location, BlobPath) else location
            paths += [path] if path.exists() else []
        return paths

    def find(self) -> list[tuple[JobSpec, str]]:
        """Our jobs of this user in the queue, the newest of each name; whoever reads them is on the same cluster."""
        listed = slurm("squeue", "--me", "--array", "--states=all", "--noheader", "--format=%i|%k")
        handles = [line.split("|")[0] for line in listed.splitlines() if line.endswith(f"|{MARK}")]
        found: dict[str, tuple[JobSpec, str]] = {}
        scripts: dict[str, list[JobSpec]] = {}
        for handle in sorted(handles, key=_number, reverse=True):
            job, _, index = handle.partition("_")
            if job not in scripts:
                # It may leave the queue at any moment.
                text = ask("scontrol", "write", "batch_script", job, "-", unless=_UNKNOWN)
                scripts[job] = specs_of(text or "")
            if int(index or 0) < len(scripts[job]):
                spec = scripts[job][int(index or 0)]
                found.setdefault(spec.name, (spec, handle))
        return list(found.values())

    def _is_over(self, spec: JobSpec, handle: str) -> Callable[[], bool]:
        """A question that may be asked often: what the script wrote is looked at each time, Slurm is asked rarely."""
        asked_at = float("-inf")

        def is_over() -> bool:
            nonlocal asked_at
            now = time.monotonic()
            if now - asked_at < _ASKING_PERIOD_S and not read_starts(start_folder(spec, handle)).is_over:
                return False
            asked_at = now
            return self.status(spec, handle).state not in GOING_ON

        return is_over


def start_folder(spec: JobSpec, handle: str) -> Path:
    """The folder of one submission of a job: its starts and their logs."""
    return job_folder(spec.name) / f"slurm-{handle}"


def _plan(spec: JobSpec) -> JobPlan:
    text = script(spec, _place(spec))
    options = given_options(spec)
    notes = [f"state and logs are kept in {job_folder(spec.name)}, which the machines of the cluster have to share"]
    if "cpus" not in spec.resources:
        notes.append("each process has one core; --resource cpus=8 gives it more")
    if spec.simulates_preemption:
        notes.append(f"its first starts are killed after {', '.join(f'{delay:g} s' for delay in kill_delays_s(spec))}")
    if spec.spot:
        notes.append(
            "--spot: which jobs are taken off their machines the partition or qos decides; name one that is cheap"
        )
    where = ", ".join(f"{name} {value}" for name, value in options.items() if name in ("partition", "account", "qos"))
    place = _place(spec)
    return JobPlan(
        where=f"Slurm, {where or 'default partition'}",
        command=("srun", place.python, "-P", "-m", "mrikit", *spec.command),
        env=dict(spec.env),
        job_file=text,
        notes=tuple(notes),
        missing=missing_program(),
    )


def _place(spec: JobSpec) -> Place:
    return Place(python=spec.resources.get(PYTHON, sys.executable), jobs=jobs_folder())


def _submit(spec: JobSpec, text: str, *words: str) -> str:
    """Hand a script to Slurm; the number of the job."""
    _make_folder(job_folder(spec.name))
    # Variables are stronger than the script: a default of the site must not replace what is asked for here.
    asked = {"SBATCH_" + name.upper().replace("-", "_") for name in given_options(spec)}
    asked |= {"SBATCH_TIMELIMIT", "SBATCH_SIGNAL", "SBATCH_NO_REQUEUE", "SBATCH_OPEN_MODE", "SBATCH_JOB_NAME"}
    environment = {name: value for name, value in os.environ.items() if name not in asked}
    printed = slurm("sbatch", "--parsable", *words, text=text, environment=environment)
    return printed.strip().split(";")[0]


def _ask_for(handle: str) -> dict[str, str] | None:
    """What Slurm says of a job; None if it has forgotten it."""
    shown = ask("scontrol", "--oneliner", "show", "job", handle, unless=_UNKNOWN)
    if shown is not None:
        return parse_job(shown)
    try:
        line = slurm(
            "sacct", f"--jobs={handle}", "--allocations", "--noheader", "--parsable2", "--format=State,ExitCode"
        )
    except JobError:  # many clusters keep no accounts
        return None
    state, _, code = line.strip().partition("|")
    return {"JobState": state.split()[0], "ExitCode": code} if state else None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be made: {error.strerror}; set MRIKIT_JOBS to another folder") from error


def _number(handle: str) -> tuple[int, int]:
    job, _, index = handle.partition("_")
    return int(job), int(index or 0)
