"""Every way of an estate, tried once."""

import secrets
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

from mrikit.estate.arm import Arm
from mrikit.estate.first_day.blob import blob_trip
from mrikit.estate.first_day.control import Control
from mrikit.estate.first_day.copy import CopyTrip
from mrikit.estate.first_day.job import JobPatience, JobTrip, StartJob
from mrikit.estate.first_day.later import later_steps, to_try
from mrikit.estate.first_day.roles_wait import RolesWait
from mrikit.estate.first_day.secret import SecretTrip
from mrikit.estate.first_day.step import Outcome, Step, run_steps
from mrikit.estate.first_day.tidy import Tidy
from mrikit.storage.estate import Estate, EstateCluster
from mrikit.transfer.datafactory import DataFactorySettings
from mrikit.transfer.link import Link

_WRITTEN = ("datasets", "runs")


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstDay:
    """What is tried, and how long each thing may take."""

    estate: Estate
    """The linked one."""
    clusters: tuple[tuple[EstateCluster, bool], ...]
    """Where a job runs, and whether with a GPU."""
    source: Link
    """A small file that anybody may read."""
    roles_wait_s: float = 600.0
    """Until a refusal for lack of a role counts."""
    look_s: float = 15.0
    """Between two tries."""
    job: JobPatience = field(default_factory=JobPatience)
    """How a job is waited for."""
    copy: DataFactorySettings = field(default_factory=lambda: DataFactorySettings(num_runs=1, interval_s=5.0))
    """How the copy is followed."""


def try_estate(day: FirstDay, arm: Arm, start: StartJob, say: Callable[[str], None]) -> Generator[Outcome, None, None]:
    """Try everything, in order; nothing is left behind, also where it is interrupted.

    Args:
        day: What is tried.
        arm: The control plane.
        start: Submits a job.
        say: Called with one line where something takes long.
    """
    tidy, nonce = Tidy(), secrets.token_hex(4)
    control = Control(arm, day.estate)
    steps = [*_steps(day, control, nonce, tidy, start, say)]
    wait = RolesWait(day.roles_wait_s, day.look_s, say)
    is_over = False
    try:
        yield from run_steps(steps, wait)
        is_over = True
    finally:
        if not is_over:
            tidy()
    last = [Step(name="nothing left behind", place="tidy", act=tidy), *later_steps(day.estate, control)]
    yield from run_steps(last, RolesWait(0.0, 0.0, say))
    yield from to_try(day.estate)


def step_names(day: FirstDay) -> list[str]:
    """What `try_estate` tries before its second half, for a plan."""
    names = [f"blob in {container}" for container in _WRITTEN] + ["secret", "workspace", "Data Factory", "copy"]
    return names + [f"job on {cluster.name}" for cluster, _ in day.clusters]


def _steps(
    day: FirstDay, control: Control, nonce: str, tidy: Tidy, start: StartJob, say: Callable[[str], None]
) -> Iterator[Step]:
    copy = CopyTrip(day.estate, day.source, nonce, tidy, day.copy, say)
    secret = SecretTrip(day.estate, nonce, tidy)
    for container in _WRITTEN:
        yield Step(name=f"blob in {container}", place="blob", act=blob_trip(container, nonce, tidy))
    yield Step(name="secret", place="vault", act=secret.act)
    yield Step(name="workspace", place="workspace", act=control.workspace)
    yield Step(name="Data Factory", place="factory", act=control.factory)
    # A factory or a workspace that looks wrong is tried all the same: what its services then answer says more.
    yield Step(name="copy", place="copy", act=copy.act)
    yield Step(name="progress of the copy", place="progress", act=copy.progress, after=("copy",))
    for cluster, has_gpu in day.clusters:
        trip = JobTrip(
            cluster,
            has_gpu=has_gpu,
            nonce=nonce,
            start=start,
            control=control,
            secret=secret,
            tidy=tidy,
            patience=day.job,
            say=say,
        )
        yield from _job_steps(trip, cluster.name, has_gpu=has_gpu)


def _job_steps(trip: JobTrip, cluster: str, *, has_gpu: bool) -> Iterator[Step]:
    submitted, job, blob = f"submission to {cluster}", f"job on {cluster}", f"blob from {cluster}"
    yield Step(name=submitted, place="job", act=trip.submit)
    yield Step(name=job, place="job", act=trip.wait, after=(submitted,), is_repeatable=False)
    yield Step(name=blob, place="blob", act=trip.blob, after=(job,))
    yield Step(name=f"vault from {cluster}", place="node vault", act=trip.vault, after=("secret", blob))
    yield Step(name=f"MLflow from {cluster}", place="mlflow", act=trip.mlflow, after=(blob,), is_repeatable=False)
    yield Step(name=f"log of {cluster}", place="log", act=trip.log, after=(job,))
    if has_gpu:
        yield Step(name=f"GPU of {cluster}", place="gpu", act=trip.gpu, after=(blob,))
        yield Step(name=f"InfiniBand of {cluster}", place="infiniband", act=trip.infiniband, after=(blob,))
