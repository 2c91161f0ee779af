"""`--on`: the same command, run somewhere else. Written once, for every command that it makes sense for."""

import functools
import hashlib
import inspect
import itertools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from mrikit.storage import BlobPath

_WRITTEN = ("out", "to", "index_file")
"""Options that name a place which is written; every other place is read."""
_WRITTEN_TOO = {("evaluate",): ("recon",), ("data", "index"): ("data",)}
"""Commands that write beside what they read: scores, an index."""
_ASKED = ("gpu", "price_per_hour")
"""Options that only a dry run answers."""
_READ_AS_TEXT = ("boxes",)
"""Options that take a path or a word."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """What `--on` and the options beside it say."""

    on: Annotated[
        str | None,
        typer.Option(help="Run it there, detached: local, docker, slurm or azure; what follows is for that."),
    ] = None
    """Name of the back end; None to run here."""
    nodes: Annotated[int, typer.Option(help="With --on: machines.")] = 1
    """How many."""
    gpus: Annotated[
        int | None,
        typer.Option(
            help="With --on: GPUs of each machine, a process for each; by default none, on azure for train and "
            "reconstruct those that it has."
        ),
    ] = None
    """Of each machine; None for the default of the back end."""
    processes: Annotated[
        int | None, typer.Option(help="With --on: processes on each machine, if not one for each GPU.")
    ] = None
    """On each machine; None for one for each GPU, or one."""
    spot: Annotated[bool, typer.Option("--spot", help="With --on: machines that may be taken away, for less.")] = False
    """Whether machines may be taken away."""
    max_hours: Annotated[float, typer.Option(help="With --on: it is stopped after so long.")] = 24.0
    """Of each start."""
    max_restarts: Annotated[int, typer.Option(help="With --on: starts after its machine was taken away.")] = 10
    """After preemptions."""
    max_errors: Annotated[int, typer.Option(help="With --on: starts after it failed.")] = 0
    """After failures."""
    simulate_preemption: Annotated[
        bool,
        typer.Option("--simulate-preemption", help="With --on local or slurm: kill it now and then, at random."),
    ] = False
    """Whether it is killed now and then, to see that it survives that."""
    max_cost: Annotated[float | None, typer.Option(help="With --on: refuse what could cost more.")] = None
    """In the currency of the price table."""
    job_name: Annotated[str | None, typer.Option(help="With --on: its name, if not made of what it does.")] = None
    """None for a name made of the command, so that the same job has the same name."""
    resource: Annotated[
        list[str] | None, typer.Option(help="With --on: partition=gpu, cluster=gpu, image=NAME, ...; repeatable.")
    ] = None
    """`key=value`, for the back end alone."""
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --on: say what would be submitted, and stop.")] = (
        False
    )
    """Whether nothing is submitted."""


def elsewhere(command: Callable[..., None]) -> Callable[..., None]:
    """The same command with `--on` and what belongs to it; without `--on` it runs here as ever."""
    signature = inspect.signature(command, eval_str=True)
    own = {one.name: one for one in inspect.signature(Chosen, eval_str=True).parameters.values()}
    added = [one for name, one in own.items() if name not in signature.parameters]

    @functools.wraps(command)
    def run(context: typer.Context, **given: Any) -> None:  # noqa: ANN401 - whatever the command takes
        chosen = Chosen(**{name: given[name] for name in own})
        for one in added:
            value = given.pop(one.name)
            if chosen.on is None and value not in (one.default, None):
                raise typer.BadParameter(f"--{one.name.replace('_', '-')} is for a job elsewhere; give --on too")
        if chosen.on is None:
            command(**given)
            return
        from jobs.submit import submit_command

        submit_command(words_of(context, leaving_out=(*own, *_ASKED)), given, chosen)

    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*signature.parameters.values(), *added)]
    first = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    run.__signature__ = signature.replace(parameters=[first, *parameters])  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in (first, *parameters)}
    return run


def words_of(context: typer.Context, leaving_out: Collection[str]) -> tuple[str, ...]:
    """The command in the order of its help, its arguments first, and without what is as by default."""
    options, arguments = list[str](), list[str]()
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.name in leaving_out or value is None or value == parameter.get_default(context):
            continue
        values = value if isinstance(value, list | tuple) else [value]
        if parameter.param_type_name == "argument":
            arguments += [str(one) for one in values]
        elif isinstance(value, bool):
            options.append(parameter.opts[0] if value else parameter.secondary_opts[0])
        else:
            options += [word for one in values for word in (parameter.opts[0], str(one))]
    if any(one.startswith("-") for one in arguments):  # after "--" nothing is an option
        return (*_path(context), *options, "--", *arguments)
    return (*_path(context), *arguments, *options)


def places(words: Sequence[str], params: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The places that a command reads and those that it writes, as absolute paths or az://."""
    reads: list[str] = []
    writes: list[str] = []
    written = (*_WRITTEN, *_WRITTEN_TOO.get(tuple(words[:1]), ()), *_WRITTEN_TOO.get(tuple(words[:2]), ()))
    for name, value in params.items():
        for one in value if isinstance(value, list | tuple) else [value]:
            if name in _READ_AS_TEXT and isinstance(one, str) and one != "stored":
                one = Path(one)
            if isinstance(one, Path | BlobPath):
                text = str(one) if isinstance(one, BlobPath) else str(one.absolute())
                (writes if name in written else reads).append(text)
    return tuple(dict.fromkeys(reads)), tuple(dict.fromkeys(writes))


def digest(words: Sequence[str], folder: str) -> str:
    """8 hexadecimal digits of a command, whatever the order of its options, and the folder of its relative paths."""
    starts = [index for index, word in enumerate(words) if word.startswith("--")]
    options = [list(words[start:end]) for start, end in itertools.pairwise([*starts, len(words)])]
    plain = json.dumps([list(words[: starts[0]] if starts else words), sorted(options), folder])
    return hashlib.sha256(plain.encode()).hexdigest()[:8]


def _path(context: typer.Context) -> list[str]:
    """The command's own words: `data`, `unpack`."""
    names: list[str] = []
    here: Any = context
    while here.parent is not None:
        names.insert(0, here.info_name)
        here = here.parent
    return names
