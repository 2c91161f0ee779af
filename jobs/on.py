"""`--on`: the same command, run somewhere else. Written once, for every command that it makes sense for."""

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, replace
from typing import Any

import typer

from mrikit.launching.options import Chosen

_ASKED = ("gpu", "price_per_hour")
"""Options that only a dry run answers."""
_NOT_OF_COMMANDS = (*(one.name for one in fields(Chosen)), *_ASKED)


Natural = Callable[[typer.Context, Mapping[str, Any]], dict[str, Any]]
"""From the options of a command as they were read: those that nobody gave, and what to take for them; `on` too."""
Submit = Callable[[typer.Context, Mapping[str, Any], Chosen], Any]
"""Submits a command from its options as they were read; returns the jobs that would be."""


def submit_as_given(context: typer.Context, given: Mapping[str, Any], chosen: Chosen) -> Any:  # noqa: ANN401 - jobs with their plans
    """Submit a command with the words that it was given."""
    from mrikit.launching.submit import submit_command

    return submit_command(words_of(context, leaving_out=_NOT_OF_COMMANDS), given, chosen)


def elsewhere(
    command: Callable[..., None],
    natural: Natural = lambda _context, _given: {},
    submit: Submit = submit_as_given,
) -> Callable[..., None]:
    """The same command with `--on` and what belongs to it; without `--on` it runs here as ever.

    Args:
        command: Its options and arguments; one called `context` is typer's.
        natural: Called before the words of the command are recorded, so that a job elsewhere does not choose again.
        submit: What `--on` does.
    """
    signature = inspect.signature(command, eval_str=True)
    takes_context = "context" in signature.parameters
    own = inspect.signature(Chosen, eval_str=True).parameters
    options = [one for name, one in signature.parameters.items() if name != "context"]
    added = [one for name, one in own.items() if name not in signature.parameters]

    @functools.wraps(command)
    def run(context: typer.Context, **given: Any) -> None:  # noqa: ANN401 - whatever the command takes
        chosen = Chosen(**{name: given[name] for name in own})
        for one in added:
            value = given.pop(one.name)
            if chosen.on is None and value not in (one.default, None):
                raise typer.BadParameter(f"--{one.name.replace('_', '-')} is for a job elsewhere; give --on too")
        taken = natural(context, given)
        chosen = replace(chosen, on=taken.pop("on", chosen.on))
        given |= taken
        context.params.update(taken)
        if chosen.on is None:
            command(**({"context": context} if takes_context else {}), **given)
            return
        planned = submit(context, given, chosen)
        if chosen.dry_run and command.__name__ == "train":
            from mrikit.commands.training_plan import show_jobs

            show_jobs(planned, given)

    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*options, *added)]
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


def _path(context: typer.Context) -> list[str]:
    """The command's own words: `data`, `unpack`."""
    names: list[str] = []
    here: Any = context
    while here.parent is not None:
        names.insert(0, here.info_name)
        here = here.parent
    return names
