"""`mrikit doctor`: what is missing on this machine and in Azure, in order, and what mends it."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mrikit.commands.output import messages_console
from mrikit.words import counted

if TYPE_CHECKING:
    from mrikit.estate.diagnosis import Diagnosis
    from mrikit.estate.examine import Examination

_STATE_WIDTH = len("missing")


def doctor(
    stack: Annotated[
        str | None,
        typer.Option(
            help="A stack or its file, whose clusters quota is looked for; before the first `pulumi up`, or instead of "
            "the linked estate's."
        ),
    ] = None,
    is_container: Annotated[
        bool,
        typer.Option("--container", help="Only what a job would find where this runs: user, driver, GPUs, InfiniBand."),
    ] = False,
    is_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what is missing on this machine and in Azure, in order, with the command that mends it.

    Azure is asked where an estate is linked, a stack is given or AZURE_SUBSCRIPTION_ID is set; nothing is changed
    there. Exits with 1 if anything is missing; warnings, and what could not be asked, are shown and counted.
    """
    from mrikit.estate.diagnosis import MISSING
    from mrikit.estate.examine import Examination, examine

    if is_container:
        from mrikit.estate.container import container_diagnoses

        found = Examination(machine=container_diagnoses(), azure=())
    else:
        with messages_console().status("looking at this machine and Azure"):
            found = examine(stack)
    num_missing = sum(one.state == MISSING for one in found.diagnoses)
    if is_json:
        facts = {"findings": [asdict(one) for one in found.diagnoses], "num_missing": num_missing, "next": found.next}
        typer.echo(json.dumps(facts))
    else:
        _print(found, is_container=is_container)
    if num_missing:
        raise typer.Exit(1)


def _print(found: "Examination", *, is_container: bool) -> None:
    """What was found here, what in Azure, and the sums."""
    from mrikit.estate.diagnosis import MISSING

    width = max(len(one.subject) for one in found.diagnoses)
    typer.echo("this machine")
    _print_lines(found.machine, width)
    if is_container:
        typer.echo(_sums(found))
        return
    typer.echo("Azure")
    if found.azure:
        _print_lines(found.azure, width)
    elif any(one.state == MISSING for one in found.machine):
        typer.echo("  no estate is linked; nothing was asked")
    else:
        typer.echo("  no estate is linked; everything above is enough to work on this machine")
    typer.echo(f"{_sums(found)}; next: {found.next}" if found.next else _sums(found))


def _print_lines(diagnoses: Sequence["Diagnosis"], width: int) -> None:
    """What mends a thing stands below it, whole and alone, to be copied."""
    for one in diagnoses:
        typer.echo(f"  {one.state:<{_STATE_WIDTH}}  {one.subject:<{width}}  {one.what}")
        if one.remedy:
            typer.echo(f"  {'':<{_STATE_WIDTH}}  {'':<{width}}  -> {one.remedy}")


def _sums(found: "Examination") -> str:
    counts = Counter(one.state for one in found.diagnoses)
    words = {state: f"{counts[state]} {state}" for state in ("missing", "unknown", "ok")}
    words["warning"] = counted(counts["warning"], "warning")
    return ", ".join(words[state] for state in ("missing", "warning", "unknown", "ok") if counts[state])
