"""`mrikit sweep FILE`: every member trained once, on any back end, and the best by validation."""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast

import typer

from mrikit.commands.output import messages_console
from mrikit.commands.sweep.expected import show_expected
from mrikit.commands.sweep.members import Again, member_spec, state_of, to_start
from mrikit.commands.sweep.table import in_words, print_members
from mrikit.config import parse_assignments
from mrikit.errors import ConfigError
from mrikit.launching.backends import BACKENDS, open_backend, traits_of
from mrikit.launching.job import GOING_ON, ArrayBackend, Backend, JobSpec, JobStatus
from mrikit.launching.own_gpus import GpusTakenError
from mrikit.launching.records import load_record, new_record, save_record, submitting
from mrikit.launching.submit import submit_jobs
from mrikit.launching.sweep_file import NEW, read_sweep
from mrikit.words import counted

_WITH_MEMORY = " or ".join(one.name for one in BACKENDS.values() if "memory" in one.resources)
_SECONDS_BETWEEN_LOOKS = 2.0
_THREADS = "OMP_NUM_THREADS"


def sweep(
    file: Annotated[Path, typer.Argument(help="A TOML file: tasks, data, and settings with their values.")],
    on: Annotated[str, typer.Option(help=f"Where members run: {', '.join(BACKENDS)}.")] = "local",
    at_once: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Members at the same time: by default one, with --gpus here as many as have free GPUs; on azure as "
            "many as the cluster has nodes for.",
        ),
    ] = None,
    gpus: Annotated[
        int | None, typer.Option(help="GPUs of each member; by default none, on azure those of a machine.")
    ] = None,
    spot: Annotated[bool, typer.Option("--spot", help="Machines that may be taken away, for less.")] = False,
    max_hours: Annotated[float, typer.Option(help="A member is stopped after so long.")] = 24.0,
    resource: Annotated[
        list[str] | None, typer.Option(help="partition=gpu, cluster=gpu, image=NAME, ...; repeatable.")
    ] = None,
    is_retry: Annotated[
        bool, typer.Option("--retry-failed", help="Start members again that failed or were cancelled.")
    ] = False,
    is_memory_retry: Annotated[
        bool,
        typer.Option(
            "--retry-out-of-memory",
            help=f"On {_WITH_MEMORY}: start members again that ran out of memory, each with twice what it had.",
        ),
    ] = False,
    memory: Annotated[
        str | None, typer.Option(help=f"With either on {_WITH_MEMORY}: memory of each, such as 64GB.")
    ] = None,
    gpu: Annotated[
        str, typer.Option(help="With --dry-run: time on a GPU that is not here, as `mrikit train --help` names them.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Name the members, say how long all of them train, and stop.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Train every member of a sweep that was not trained yet, and show all by task and best validation score.

    The same command again goes on, and shows what is new. Members are found by the records of their jobs. On this
    machine and in Docker it waits for them; Ctrl-C leaves those that run. Slurm and Azure ML have queues of their own:
    there it submits and shows.
    """
    from mrikit.forecast import known_gpu
    from mrikit.launching.options import Chosen
    from mrikit.launching.sweep_runs import read_run

    if memory is not None and not (is_retry or is_memory_retry):
        raise ConfigError("--memory is for --retry-failed; give that too, or --resource memory=...")
    if gpu and not dry_run:
        raise ConfigError("--gpu is for what --dry-run tells; give that too; GPUs of each member are --gpus")
    again = Again(is_failed=is_retry, is_out_of_memory=is_memory_retry, memory=memory or "")
    if is_memory_retry and "memory" not in traits_of(on).resources:
        raise ConfigError(
            f"--retry-out-of-memory is for --on {_WITH_MEMORY}; --on {on} gives each member what there is: take fewer "
            f"--at-once, with --retry-failed"
        )
    found = read_sweep(file)
    given = parse_assignments(resource or []) | ({"memory": memory} if memory else {})
    chosen = Chosen(on=on, gpus=gpus, spot=spot, max_hours=max_hours, resource=[f"{k}={v}" for k, v in given.items()])
    members = {member.name: (member, member_spec(found, member, chosen)) for member in found.members()}
    backend = open_backend(on)
    specs = [spec for _, spec in members.values()]
    plans = [backend.plan([spec])[0] for spec in specs]
    cost = sum((plan.hourly_cost or 0) * spec.max_hours for plan, spec in zip(plans, specs, strict=True))
    bound = f", at most {cost:,.2f} {plans[0].currency} for one start of each" if cost else ""
    messages_console().print(f"{found.name}: {counted(len(specs), 'member')} on {plans[0].where}{bound}")
    if dry_run:
        for member, spec in members.values():
            words = [member.task] if len(found.task) > 1 else []
            typer.echo(f"{spec.name}: {', '.join([*words, in_words(member.settings)])}")
        runs_on = known_gpu(gpu) or plans[0].runs_on
        show_expected(found, [member for member, _ in members.values()], runs_on, specs[0].num_processes)
        return
    if traits_of(on).has_queue:
        _submit(backend, specs, at_once or 1, again)
    else:
        most = at_once or (len(specs) if gpus else 1)
        _run(backend, [_with_threads(spec, most) for spec in specs], most, again)
    runs = []
    for member, spec in members.values():
        record = load_record(spec.name)
        status = backend.status(record.spec, record.handle) if record else JobStatus(state=NEW)
        runs.append(read_run(member, spec.outputs, status))
    print_members(runs, on, as_json=as_json)


def _with_threads(spec: JobSpec, at_once: int) -> JobSpec:
    """A member with its share of the processor's cores: threads that outnumber them wait for each other."""
    if at_once == 1 or spec.gpus_per_node or _THREADS in os.environ:
        return spec
    share = len(os.sched_getaffinity(0)) // (at_once * spec.processes_per_node)
    return replace(spec, env={_THREADS: str(max(1, share)), **spec.env})


def _submit(backend: Backend, specs: Sequence[JobSpec], at_once: int, again: Again) -> None:
    """Submit those that still wait, as arrays where the back end has such a thing."""
    has_arrays = traits_of(backend.name).has_arrays
    with submitting():
        waiting = to_start(backend, specs, again)
        # An array asks for the same machines for all, and members that ran out of memory ask for more.
        alike: dict[str, list[JobSpec]] = {}
        for spec in waiting:
            alike.setdefault(str(sorted(spec.resources.items())), []).append(spec)
        for group in alike.values():
            if has_arrays and len(group) > 1:
                handles = cast("ArrayBackend", backend).submit_array(group, at_once)
                for spec, handle in zip(group, handles, strict=True):
                    save_record(new_record(spec, backend.name, handle))
                continue
            for spec in group:
                submit_jobs(backend, [spec])


def _run(backend: Backend, specs: Sequence[JobSpec], at_once: int, again: Again) -> None:
    """Keep so many going, as far as there are GPUs for them, until all are over."""
    waiting = to_start(backend, specs, again)
    is_told = False
    messages, told = (
        messages_console(),
        {spec.name for spec in specs if state_of(backend, spec) not in (NEW, *GOING_ON)},
    )
    told -= {spec.name for spec in waiting}
    while True:
        states = {spec.name: state_of(backend, spec) for spec in specs}
        started = {spec.name for spec in waiting}
        for name, state in states.items():
            if name not in told and name not in started and state not in (NEW, *GOING_ON):
                told.add(name)
                messages.print(f"{name}: {state} ({len(told)} of {len(specs)})")
        free = at_once - sum(state in GOING_ON for state in states.values())
        try:
            for _ in waiting[: max(free, 0)]:
                _submit(backend, waiting[:1], 1, again)
                del waiting[0]
        except GpusTakenError as error:
            if not is_told:
                messages.print(f"{counted(len(waiting), 'member')} wait: {error}")
            is_told = True
        if not waiting and not any(state_of(backend, spec) in GOING_ON for spec in specs):
            return
        time.sleep(_SECONDS_BETWEEN_LOOKS)
