"""`mrikit sweep`: one training many times with other settings, on any back end, and the best by validation."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from mrikit.commands.output import messages_console, results_console
from mrikit.commands.places import Location, results_of
from mrikit.config import parse_assignments
from mrikit.errors import ConfigError
from mrikit.launching.backends import BACKENDS, open_backend, traits_of
from mrikit.launching.job import CANCELLED, FAILED, GOING_ON, SUCCEEDED, UNKNOWN, ArrayBackend, Backend, JobSpec
from mrikit.launching.own_gpus import GpusTakenError
from mrikit.launching.records import load_record, new_record, save_record, submitting
from mrikit.launching.submit import submit_jobs
from mrikit.launching.sweep_file import Member, Sweep, read_sweep
from mrikit.storage import BlobPath, parse_location
from mrikit.words import counted, in_shell

if TYPE_CHECKING:
    from mrikit.report.training import TrainingRun

_NEW = "new"
_WITH_MEMORY = " or ".join(one.name for one in BACKENDS.values() if "memory" in one.resources)
_RETRIED = (FAILED, CANCELLED, UNKNOWN)
"""States of members that `--retry-failed` starts again; unknown is what a lost machine leaves."""
_SECONDS_BETWEEN_LOOKS = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One member as the table shows it."""

    member: Member
    spec: JobSpec
    state: str
    """Of its job; `new` before it is submitted."""
    score: float | None
    """The best validation so far."""
    higher_is_better: bool
    """Direction of the score."""
    epoch: float | None
    """Of that."""
    message: str
    """What its back end says of it."""


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
    memory: Annotated[
        str | None, typer.Option(help=f"With --retry-failed on {_WITH_MEMORY}: memory of each, such as 64GB.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Name the members, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Train every member of a sweep that was not trained yet, and show all by task and best validation score.

    The same command again goes on, and shows what is new. Members are found by the records of their jobs. On this
    machine and in Docker it waits for them; Ctrl-C leaves those that run. Slurm and Azure ML have queues of their own:
    there it submits and shows.
    """
    from mrikit.launching.options import Chosen

    if memory is not None and not is_retry:
        raise ConfigError("--memory is for --retry-failed; give that too, or --resource memory=...")
    found = read_sweep(file)
    given = parse_assignments([*(resource or []), *([f"memory={memory}"] if memory else [])])
    chosen = Chosen(on=on, gpus=gpus, spot=spot, max_hours=max_hours, resource=[f"{k}={v}" for k, v in given.items()])
    members = {member.name: (member, _spec(found, member, chosen)) for member in found.members()}
    backend = open_backend(on)
    specs = [spec for _, spec in members.values()]
    plans = [backend.plan([spec])[0] for spec in specs]
    cost = sum((plan.hourly_cost or 0) * spec.max_hours for plan, spec in zip(plans, specs, strict=True))
    bound = f", at most {cost:,.2f} {plans[0].currency} for one start of each" if cost else ""
    messages_console().print(f"{found.name}: {counted(len(specs), 'member')} on {plans[0].where}{bound}")
    if dry_run:
        has_tasks = len(found.task) > 1
        for member, spec in members.values():
            typer.echo(f"{spec.name}: {', '.join(filter(None, (member.task if has_tasks else '', _settings(member))))}")
        return
    if traits_of(on).has_queue:
        _submit(backend, specs, at_once or 1, is_retry=is_retry)
    else:
        _run(backend, specs, at_once or (len(specs) if gpus else 1), is_retry=is_retry)
    _print([_row(backend, *pair) for pair in members.values()], on, as_json=as_json)


def _spec(found: Sweep, member: Member, chosen: Any) -> JobSpec:  # noqa: ANN401 - the options of `--on`
    """The job of a member: its training, into a folder of its own below the sweep's."""
    from mrikit.launching.chain import job_chain

    out = traits_of(chosen.on).default_runs / found.name / member.name
    words = ["train", "--task", member.task, "--data", found.data, "--size", found.size, "--out", str(out)]
    words += ["--stage", str(found.stage)] if found.stage else []
    settings = [f"{key}={value}" for key, value in member.settings.items()]
    words += [word for one in settings for word in ("--set", one)]
    data: Location = parse_location(found.data)
    params: dict[str, Any] = {"task": member.task, "size": found.size, "stage": found.stage or None}
    params |= {"data": data, "out": out, "settings": settings}
    (spec, *more) = job_chain(words, params, chosen, is_one=True)
    assert not more
    return replace(spec, name=member.name)


def _waiting(backend: Backend, specs: Sequence[JobSpec], *, is_retry: bool) -> list[JobSpec]:
    """Members to submit: those that are new, and with `is_retry` those that are over without success."""
    again = _RETRIED if is_retry else ()
    return [spec for spec in specs if _state(backend, spec) in (_NEW, *again)]


def _state(backend: Backend, spec: JobSpec) -> str:
    record = load_record(spec.name)
    if record is None:
        return _NEW
    if record.backend != backend.name:
        raise ConfigError(f"member {spec.name} was submitted with --on {record.backend}; go on there")
    return backend.status(record.spec, record.handle).state


def _submit(backend: Backend, specs: Sequence[JobSpec], at_once: int, *, is_retry: bool) -> None:
    """Submit those that still wait, as one array where the back end has such a thing."""
    has_arrays = traits_of(backend.name).has_arrays
    with submitting():
        waiting = _waiting(backend, specs, is_retry=is_retry)
        if has_arrays and len(waiting) > 1:
            handles = cast("ArrayBackend", backend).submit_array(waiting, at_once)
            for spec, handle in zip(waiting, handles, strict=True):
                save_record(new_record(spec, backend.name, handle))
            return
        for spec in waiting:
            submit_jobs(backend, [spec])


def _run(backend: Backend, specs: Sequence[JobSpec], at_once: int, *, is_retry: bool) -> None:
    """Keep so many going, as far as there are GPUs for them, until all are over."""
    waiting = _waiting(backend, specs, is_retry=is_retry)
    is_told = False
    messages, told = messages_console(), {spec.name for spec in specs if _state(backend, spec) not in (_NEW, *GOING_ON)}
    told -= {spec.name for spec in waiting}
    while True:
        states = {spec.name: _state(backend, spec) for spec in specs}
        started = {spec.name for spec in waiting}
        for name, state in states.items():
            if name not in told and name not in started and state not in (_NEW, *GOING_ON):
                told.add(name)
                messages.print(f"{name}: {state} ({len(told)} of {len(specs)})")
        free = at_once - sum(state in GOING_ON for state in states.values())
        try:
            for _ in waiting[: max(free, 0)]:
                _submit(backend, waiting[:1], 1, is_retry=is_retry)
                del waiting[0]
        except GpusTakenError as error:
            if not is_told:
                messages.print(f"{counted(len(waiting), 'member')} wait: {error}")
            is_told = True
        if not waiting and not any(_state(backend, spec) in GOING_ON for spec in specs):
            return
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _row(backend: Backend, member: Member, spec: JobSpec) -> Row:
    record = load_record(spec.name)
    status = backend.status(record.spec, record.handle) if record else None
    best = _best(spec)
    return Row(
        member=member,
        spec=spec,
        state=status.state if status else _NEW,
        score=best.best[1] if best and best.best else None,
        higher_is_better=best is None or best.score.higher_is_better,
        epoch=best.best[0] if best and best.best else None,
        message=status.message if status else "",
    )


def _best(spec: JobSpec) -> "TrainingRun | None":
    """The run of a member that was validated; its last stage, where it has several."""
    from mrikit.report.training import find_training_runs
    from mrikit.storage import pulled

    (out,) = spec.outputs
    place = parse_location(out)
    folder = pulled(place, results_of) if isinstance(place, BlobPath) else place
    runs = find_training_runs(folder) if folder.exists() else []
    return next((run for run in reversed(runs) if run.best), None)


def _print(rows: Sequence[Row], on: str, *, as_json: bool) -> None:
    """Task by task, as the file has them; of each the best first, those without a score last."""
    tasks = list(dict.fromkeys(row.member.task for row in rows))
    ranked = sorted(rows, key=lambda row: (tasks.index(row.member.task), _rank(row)))
    if as_json:
        typer.echo(json.dumps({"members": [_facts(row) for row in ranked]}))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="")
    has_tasks = len(tasks) > 1
    for column in ("member", *(["task"] if has_tasks else []), "state", "score", "epoch", "settings"):
        table.add_column(column, justify="right" if column in ("score", "epoch") else "left", overflow="fold")
    for row in ranked:
        score, epoch = ("" if value is None else f"{value:.4g}" for value in (row.score, row.epoch))
        of_task = [row.member.task] if has_tasks else []
        table.add_row(*map(Text, (row.spec.name, *of_task, row.state, score, epoch, _settings(row.member))))
    console = results_console()
    console.print(table)
    failed = [row for row in ranked if row.state in _RETRIED]
    for row in failed:
        console.print(f"{row.spec.name} {row.state}{': ' if row.message else ''}{row.message}")
    if failed:
        more = ", and --memory 64GB where memory was the reason" if "memory" in traits_of(on).resources else ""
        console.print(f"next: the same command with --retry-failed{more}")
    elif all(row.state == SUCCEEDED for row in ranked):
        for task in tasks:
            best = next(row for row in ranked if row.member.task == task)
            if best.score is not None:
                of = f" of {task}" if has_tasks else ""
                console.print(f"best{of}: {best.spec.name}; next: {in_shell('report', best.spec.outputs[0])}")


def _rank(row: Row) -> tuple[bool, float, str]:
    score = row.score or 0.0
    return row.score is None, -score if row.higher_is_better else score, row.spec.name


def _facts(row: Row) -> dict[str, Any]:
    return {
        "name": row.spec.name,
        "task": row.member.task,
        "state": row.state,
        "score": row.score,
        "epoch": row.epoch,
        "settings": dict(row.member.settings),
        "out": row.spec.outputs[0],
        "message": row.message,
    }


def _settings(member: Member) -> str:
    return ", ".join(f"{key}={value}" for key, value in member.settings.items())
