"""Plan, price check and submission of a command."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer

from mrikit.errors import ConfigError, JobError
from mrikit.launching.backends import open_backend, rehearsing, traits_of
from mrikit.launching.chain import job_chain
from mrikit.launching.job import GOING_ON, SUCCEEDED, Backend, JobPlan, JobSpec
from mrikit.launching.options import Chosen
from mrikit.launching.own_gpus import GpusTakenError, with_gpus
from mrikit.launching.records import JobRecord, load_record, new_record, save_record, submitting
from mrikit.words import counted


def submit_command(
    words: Sequence[str],
    params: Mapping[str, Any],
    chosen: Chosen,
    *,
    prepare: Callable[[], None] = lambda: None,
) -> list[tuple[JobSpec, JobPlan]]:
    """Show what a command would do elsewhere, and submit it unless that is all that is asked for.

    Args:
        words: The command after `mrikit`, without the options of `--on`.
        params: Its options as they were read.
        chosen: The options of `--on`.
        prepare: Called just before something is submitted.

    Returns:
        The jobs of the command, each with what its back end would do.

    Raises:
        ConfigError: It makes no sense there.
        JobError: It costs too much, or the back end refuses it.
    """
    if chosen.simulate_preemption and not traits_of(chosen.on or "").rehearses_preemption:
        raise ConfigError(f"--simulate-preemption is for --on {rehearsing()}, found --on {chosen.on}")
    backend = open_backend(chosen.on or "")
    chain = _with_gpus_now(backend, job_chain(words, params, chosen))
    plans = backend.plan(chain)
    _require_affordable(chain, plans, chosen.max_cost)
    missing = next((plan.missing for plan in plans if plan.missing), "")
    if missing and not chosen.dry_run:
        raise JobError(missing)
    _show(chain, plans)
    if missing:
        typer.echo(f"it cannot be submitted from here: {missing}", err=True)
    if chosen.dry_run:
        return list(zip(chain, plans, strict=True))
    with submitting():
        rest = _not_done(backend, chain)
        if rest:
            prepare()
        for record in submit_jobs(backend, rest):
            typer.echo(f"submitted {record.spec.name} as {record.handle}")
    typer.echo(f"next: mrikit jobs logs {chain[0].name} --follow")
    return list(zip(chain, plans, strict=True))


def resubmit(record: JobRecord) -> JobRecord:
    """Start a job again that is over: what it had done it keeps.

    Raises:
        JobError: It goes on, or is done, or the back end refuses it.
    """
    if "/" in record.handle:
        raise JobError(f"job {record.spec.name} is a step of a pipeline; give its whole command again")
    backend = open_backend(record.backend)
    with submitting():
        record = load_record(record.spec.name) or record  # another terminal may have resumed it
        state = backend.status(record.spec, record.handle).state
        if state in (*GOING_ON, SUCCEEDED):
            raise JobError(f"job {record.spec.name} is {state}; only a job that failed or was cancelled is resumed")
        (renewed,) = submit_jobs(backend, [record.spec])
    return renewed


def submit_jobs(backend: Backend, chain: Sequence[JobSpec]) -> list[JobRecord]:
    """Submit jobs, with GPUs of their own where they run on this machine, and record them; inside `submitting`.

    Raises:
        JobError: Too few GPUs are free, or the back end refuses.
    """
    chain = with_gpus(backend.name, chain)
    handles = backend.submit(chain) if chain else []
    records = [new_record(spec, backend.name, handle) for spec, handle in zip(chain, handles, strict=True)]
    for record in records:
        save_record(record)
    return records


def _with_gpus_now(backend: Backend, chain: Sequence[JobSpec]) -> Sequence[JobSpec]:
    """A chain with the GPUs that it would take at this moment; without, and said, where too few are free."""
    try:
        return with_gpus(backend.name, chain)
    except GpusTakenError as error:
        typer.echo(f"not now: {error}", err=True)
        return chain


def _require_affordable(chain: Sequence[JobSpec], plans: Sequence[JobPlan], max_cost: float | None) -> None:
    if max_cost is None:
        return
    hourly = [plan.hourly_cost for plan in plans]
    if any(cost is None for cost in hourly):
        raise ConfigError(
            "--max-cost: no price of these machines is known; set MRIKIT_PRICES to a price table that has it, in the "
            "form of mrikit/estate/prices.toml, or leave --max-cost out"
        )
    most = sum((cost or 0) * spec.max_hours * spec.max_starts for cost, spec in zip(hourly, chain, strict=True))
    if most <= max_cost:
        return
    cost = f"this could cost {most:,.2f} {plans[0].currency} with all its starts, more than --max-cost {max_cost:g}"
    if not all(plan.is_cost_sure for plan in plans):
        typer.echo(f"warning: {cost}, by a price table that may be out of date, so the job goes on", err=True)
        return
    raise JobError(f"{cost}; take fewer nodes, --max-hours or --max-restarts")


def _show(chain: Sequence[JobSpec], plans: Sequence[JobPlan]) -> None:
    """What would happen: where, what, for how long, for how much, and the text that the back end is given."""
    for spec, plan in zip(chain, plans, strict=True):
        typer.echo(f"job {spec.name}: {plan.where}")
        machines = counted(spec.nodes, "node")
        which = f" ({', '.join(spec.gpu_ids)})" if spec.gpu_ids else ""
        gpus = f" with {counted(spec.gpus_per_node, 'GPU')}{which}" if spec.gpus_per_node else ""
        processes = "1 process" if spec.num_processes == 1 else f"{spec.num_processes} processes"
        typer.echo(f"machines: {machines}{gpus}, {processes}")
        typer.echo(f"command: {shlex.join(plan.command)}")
        for name, value in plan.env.items():
            typer.echo(f"environment: {name}={value}")
        cost = ""
        if plan.hourly_cost is not None:
            once = plan.hourly_cost * spec.max_hours
            cost = f" at most {once:,.2f} {plan.currency}, {once * spec.max_starts:,.2f} if all are needed"
        again = f"{spec.max_restarts} starts after a preemption, {spec.max_errors} after an error"
        typer.echo(f"bounds: {again}; a start is {spec.max_hours:g} h{cost}")
        for note in plan.notes:
            typer.echo(note, err=True)
        typer.echo(plan.job_file.rstrip())


def _not_done(backend: Backend, chain: Sequence[JobSpec]) -> list[JobSpec]:
    """The jobs of a chain that have to be submitted; says so of the others."""
    states = {spec.name: _state(backend, spec) for spec in chain}
    rest = list(chain)
    while rest and states[rest[0].name] == SUCCEEDED:
        typer.echo(f"job {rest.pop(0).name} is done; with another --job-name it runs again")
    going = [spec.name for spec in rest if states[spec.name] in GOING_ON]
    if going:
        typer.echo(f"{', '.join(going)} going on already; nothing is submitted again")
        return []
    return rest


def _state(backend: Backend, spec: JobSpec) -> str:
    """The state of the job of this name, whoever submitted it; empty if nobody did."""
    record = load_record(spec.name)
    if record is not None:
        _require_same(record, spec, backend)
    if record is None or record.backend != backend.name:
        handle = next((handle for other, handle in backend.find() if other.name == spec.name), None)
        if handle is None:
            return ""
        record = new_record(spec, backend.name, handle)
        save_record(record)
    return backend.status(spec, record.handle).state


def _require_same(record: JobRecord, spec: JobSpec, backend: Backend) -> None:
    """A name that says what a command is belongs to one; `--job-name`, and another back end, may mix them up."""
    if record.spec.command != spec.command:
        raise JobError(
            f"a job {spec.name} was submitted as `{shlex.join(('mrikit', *record.spec.command))}`; give this command "
            f"another --job-name"
        )
    if record.backend != backend.name:
        other = open_backend(record.backend).status(record.spec, record.handle)
        if other.state in GOING_ON:
            raise JobError(
                f"job {spec.name} is {other.state} on {record.backend}, and two would write the same; wait for it, or "
                f"`mrikit jobs cancel {spec.name}`"
            )
