"""Jobs on the estate's Azure ML clusters.

What a handle calls `NAME` is a job and all its later starts, which Azure ML calls `NAME_1`, `NAME_2`, ...: a name there
is never given twice. Nobody watches a job while this machine is off, so that asking for its state is what starts it
again: a job that lost its machine, or failed with `--max-errors` to spare, goes on when somebody looks.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from mrikit.errors import JobError
from mrikit.estate.listed import with_listed
from mrikit.estate.prices import NodePrice, Prices, load_prices
from mrikit.launching.azure_ml.client import Found, Workspace
from mrikit.launching.azure_ml.environments import ENVIRONMENT, image_of, pinned
from mrikit.launching.azure_ml.job import job_text, read_job, root_name, step_cluster, step_environment
from mrikit.launching.azure_ml.logs import OVER, follow_run, process_log
from mrikit.launching.azure_ml.pull import pull_outputs
from mrikit.launching.azure_ml.runs import RunHistory, studio_address
from mrikit.launching.azure_ml.state import run_state, step_state
from mrikit.launching.azure_ml.tags import CANCELLED, Starts, chain_of, starts_of
from mrikit.launching.azure_ml.traits import AZURE
from mrikit.launching.job import CANCELLED as IS_CANCELLED
from mrikit.launching.job import FAILED, GOING_ON, RESTARTING, UNKNOWN, JobPlan, JobSpec, JobStatus
from mrikit.storage.estate import Estate, require_estate

_MAX_STARTS = 1000


class AzureBackend:
    """Jobs in the Azure ML workspace of the linked estate.

    Args:
        poll_s: Seconds between two looks at a log that is followed.
        retry_wait_s: Wait after the second failure of a question.
    """

    name = AZURE.name

    def __init__(self, *, poll_s: float = 5.0, retry_wait_s: float = 0.8) -> None:
        self._poll_s, self._retry_wait_s = poll_s, retry_wait_s
        self._opened: tuple[Workspace, RunHistory] | None = None

    def plan(self, chain: Sequence[JobSpec]) -> list[JobPlan]:
        """See `Backend`."""
        estate, prices = require_estate(), load_prices()
        name = root_name(chain)
        text = job_text(chain, estate, prices, name, Starts())
        read_job(text)
        plans = []
        for index, spec in enumerate(chain):
            cluster = step_cluster(spec, estate, prices)
            # The table alone chooses the cluster, so that a network or none makes no other job of the same command.
            price = with_listed(prices, estate.location, [cluster.sku]).node_price(cluster.sku, cluster.priority)
            plans.append(
                JobPlan(
                    where=f"Azure ML, workspace {estate.workspace_name}, cluster {cluster.name} "
                    f"({cluster.sku}, {cluster.priority})",
                    command=("mrikit", *spec.command),
                    env=step_environment(spec, estate, cluster.sku),
                    job_file=text if index == 0 else f"# a step of the pipeline {name} above",
                    hourly_cost=price.hour * spec.nodes if price else None,
                    is_cost_sure=price is not None and price.is_sure,
                    currency=prices.currency,
                    runs_on=_gpu(spec, prices, cluster.sku),
                    notes=_notes(spec, cluster.priority, price, prices.currency),
                )
            )
        return plans

    def submit(self, chain: Sequence[JobSpec]) -> list[str]:
        """See `Backend`; only what failed or was cancelled is submitted again."""
        root = root_name(chain)
        latest, number = self._latest(root)
        if latest is None:
            self._create(chain, root, Starts())
        else:
            _require_same(chain, latest)
            if self._whole_state(chain, latest).state in (FAILED, IS_CANCELLED):
                self._create(chain, _start_name(root, number + 1), starts_of(latest.tags))
        return [root] if len(chain) == 1 else [f"{root}/{spec.name}" for spec in chain]

    def status(self, spec: JobSpec, handle: str) -> JobStatus:
        """See `Backend`; starts a job again that was taken off its machine, as often as its spec allows."""
        root, step = _parts(handle)
        latest, number = self._latest(root)
        if latest is None:
            return JobStatus(state=UNKNOWN, message=f"Azure ML knows no job {root}")
        chain, starts = _chain(latest), starts_of(latest.tags)
        whole = self._whole_state(chain, latest)
        if whole.state == FAILED:
            again = _next_starts(spec, whole, starts)
            if CANCELLED in latest.tags:
                whole = replace(whole, state=IS_CANCELLED)
            elif again is not None:
                self._create(chain, _start_name(root, number + 1), again)
                why = whole.message or "it failed"
                return JobStatus(
                    state=RESTARTING,
                    address=studio_address(self._workspace.estate, _start_name(root, number + 1)),
                    num_preemptions=again.preemptions,
                    num_errors=again.errors,
                    message=f"started again as {_start_name(root, number + 1)}: {why}",
                )
        run = latest.name
        if step:
            found = self._runs.steps(latest.name).get(step)
            whole = step_state(found, whole, self._runs)
            run = str((found or {}).get("runId", run))
        return replace(
            whole,
            address=studio_address(self._workspace.estate, run),
            num_preemptions=whole.num_preemptions + starts.preemptions,
            num_errors=whole.num_errors + starts.errors,
        )

    def logs(self, spec: JobSpec, handle: str, *, node: int, follow: bool) -> Iterator[str]:
        """See `Backend`."""
        if node >= spec.nodes:
            raise JobError(f"--node {node}: job {spec.name} has {spec.nodes} nodes, counted from 0")
        root, step = _parts(handle)
        process, number, has_told = node * spec.processes_per_node, 0, False
        while (start := self._workspace.job(_start_name(root, number))) is not None:
            is_last = self._workspace.job(_start_name(root, number + 1)) is None
            for piece in follow_run(
                self._runs,
                self._run_name(start, step, waits=follow and is_last),
                process_log(process, spec.num_processes),
                is_over=partial(self._is_over, start.name),
                poll_s=self._poll_s,
                is_followed=follow and is_last,
            ):
                has_told = True
                yield piece
            if follow and is_last:
                self.status(spec, handle)  # starts it again where that is due
            number += 1
        if not has_told:
            state = self.status(spec, handle).state
            raise JobError(f"job {spec.name} has written nothing yet; it is {state}")

    def cancel(self, spec: JobSpec, handle: str) -> None:  # noqa: ARG002 - the handle tells
        """See `Backend`; of a pipeline, all its jobs."""
        root, _ = _parts(handle)
        latest, _ = self._latest(root)
        if latest is None:
            return
        state = self._whole_state(_chain(latest), latest).state
        if state in (*GOING_ON, UNKNOWN):
            # First: a job that loses its machine before it is cancelled must not be started again.
            self._workspace.forbid(latest.name)
            self._workspace.cancel(latest.name)
        elif state == FAILED and CANCELLED not in latest.tags:
            self._workspace.forbid(latest.name)

    def pull(self, spec: JobSpec, to: Path) -> list[Path]:
        """See `Backend`; it reads the containers, whatever Azure ML says."""
        return pull_outputs(spec, to)

    def find(self) -> list[tuple[JobSpec, str]]:
        """See `Backend`."""
        found: dict[str, tuple[JobSpec, str]] = {}
        for job in self._workspace.jobs():
            try:
                chain = chain_of(job.tags)
            except JobError:  # the tags of jobs are anybody's to change
                continue
            root = root_name(chain)
            for spec in chain:
                found.setdefault(spec.name, (spec, root if len(chain) == 1 else f"{root}/{spec.name}"))
        return list(found.values())

    @property
    def _workspace(self) -> Workspace:
        return self._open()[0]

    @property
    def _runs(self) -> RunHistory:
        return self._open()[1]

    def _open(self) -> tuple[Workspace, RunHistory]:
        if self._opened is None:
            workspace = Workspace(require_estate(), retry_wait_s=self._retry_wait_s)
            runs = RunHistory(workspace.estate, workspace.discovery_url, retry_wait_s=self._retry_wait_s)
            self._opened = (workspace, runs)
        return self._opened

    def _latest(self, root: str) -> tuple[Found | None, int]:
        """The last start of a job, and its number."""
        latest: Found | None = None
        for number in range(_MAX_STARTS):
            found = self._workspace.job(_start_name(root, number))
            if found is None:
                return latest, number - 1
            latest = found
        raise JobError(f"job {root} was started {_MAX_STARTS} times; give it another name with --job-name")

    def _create(self, chain: Sequence[JobSpec], name: str, starts: Starts) -> None:
        estate: Estate = self._workspace.estate
        text = job_text(pinned(chain, self._workspace), estate, load_prices(), name, starts)
        self._workspace.create(name, lambda: read_job(text))

    def _whole_state(self, chain: Sequence[JobSpec], job: Found) -> JobStatus:
        return run_state(job, self._runs, has_steps=len(chain) > 1)

    def _run_name(self, job: Found, step: str, *, waits: bool) -> str:
        """What the run history calls a job, or a step of a pipeline; empty for a step that was not started."""
        if not step:
            return job.name
        while not (run := str(self._runs.steps(job.name).get(step, {}).get("runId", ""))):
            if not waits or self._is_over(job.name):
                return ""
            time.sleep(self._poll_s)
        return run

    def _is_over(self, name: str) -> bool:
        found = self._workspace.job(name)
        return found is None or found.status in OVER


def _parts(handle: str) -> tuple[str, str]:
    root, _, step = handle.partition("/")
    return root, step


def _start_name(root: str, number: int) -> str:
    """Names of jobs of mrikit have no underscores."""
    return f"{root}_{number}" if number else root


def _chain(found: Found) -> list[JobSpec]:
    try:
        return chain_of(found.tags)
    except JobError as error:
        raise JobError(f"job {found.name} in Azure ML: {error}; take another --job-name") from error


def _require_same(chain: Sequence[JobSpec], found: Found) -> None:
    """A name that says what a command is cannot belong to another one, but `--job-name` can.

    Raises:
        JobError: It is another one.
    """
    theirs = [spec.command for spec in _chain(found)]
    if theirs != [spec.command for spec in chain]:
        raise JobError(f"Azure ML has a job {found.name} with another command; give this one another --job-name")


def _next_starts(spec: JobSpec, state: JobStatus, starts: Starts) -> Starts | None:
    """The count with one start more; None where the spec allows none."""
    if state.num_preemptions:
        return replace(starts, preemptions=starts.preemptions + 1) if starts.preemptions < spec.max_restarts else None
    return replace(starts, errors=starts.errors + 1) if starts.errors < spec.max_errors else None


def _gpu(spec: JobSpec, prices: Prices, sku: str) -> str:
    """The GPU of a size; empty where the table lacks it or the job has none."""
    return prices.machines[sku].gpu if spec.gpus_per_node and sku in prices.machines else ""


def _notes(spec: JobSpec, priority: str, price: NodePrice | None, currency: str) -> tuple[str, ...]:
    known = f"{price.hour:.2f} {currency} an hour and node ({price.source})" if price else "not known"
    image = spec.resources.get(ENVIRONMENT, f"the one of {image_of(spec)} that was pushed last")
    notes = [f"container image: {image}"]
    notes.append(f"price: {known}; a node costs from its allocation on, until it was idle for a while")
    if priority == "LowPriority":
        notes.append("its machines may be taken away; `mrikit jobs status` then starts it again where it was")
    if not any(place.startswith("az://runs") for place in spec.outputs):
        notes.append("it writes to no place in az://runs; what it writes elsewhere on its machine is lost")
    return tuple(notes)
