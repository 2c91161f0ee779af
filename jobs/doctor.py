"""`mrikit doctor`: what is missing on this machine and in Azure, in order, and what mends it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
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
    out: Annotated[str | None, typer.Option(help="With --container: keep it there as JSON, such as az://.")] = None,
    secret: Annotated[
        str,
        typer.Option(help="With --container: read links from this secret, https://NAME.vault.azure.net/secrets/NAME."),
    ] = "",
    is_run: Annotated[
        bool,
        typer.Option(
            "--run",
            help="Try every way of the linked estate once: blobs, a secret, a copy, a job, its log. Takes 10 to 20 "
            "minutes, mostly for the job's machine, and some cents.",
        ),
    ] = False,
    gpu: Annotated[bool, typer.Option("--gpu", help="With --run: a job on a cluster with GPUs too.")] = False,
    source: Annotated[
        str | None, typer.Option(help="With --run: a public file of about 1 MB, for the Data Factory to copy.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="With --run: write what was found there, without secrets; .json for JSON, else text."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --run: say what would be tried, and stop.")] = False,
) -> None:
    """Say what is missing on this machine and in Azure, in order, with the command that mends it.

    Azure is asked where an estate is linked, a stack is given or AZURE_SUBSCRIPTION_ID is set; without --run nothing is
    changed there. Exits with 1 if anything is missing or fails; warnings, and what could not be asked, are shown and
    counted.
    """
    _require_together("--run", is_run, {"--gpu": gpu, "--source": source, "--report": report, "--dry-run": dry_run})
    _require_together("--container", is_container, {"--out": out, "--secret": secret})
    if is_run and (stack is not None or is_container):
        raise typer.BadParameter("--run tries the linked estate; leave out --stack and --container")
    from mrikit.estate.examine import Examination, examine

    if is_container:
        from mrikit.estate.first_day.container import look_around

        found = Examination(machine=look_around(secret), azure=())
        if out is not None:
            _tell(found, is_json=is_json, is_container=True)
            _keep(found, out)
            return
    else:
        with messages_console().status("looking at this machine and Azure"):
            found = examine(stack)
    if is_run:
        from mrikit.commands.doctor_run import try_linked_estate

        if not is_json:
            _print(found, is_container=False)
        try_linked_estate(found, has_gpu=gpu, source=source, report=report, is_json=is_json, is_dry=dry_run)
        return
    _tell(found, is_json=is_json, is_container=is_container)
    if _num_missing(found):
        raise typer.Exit(1)


def _require_together(option: str, is_given: bool, others: Mapping[str, object]) -> None:
    for name, value in others.items():
        if value and not is_given:
            raise typer.BadParameter(f"{name} is for {option}; give that too")


def _num_missing(found: "Examination") -> int:
    from mrikit.estate.diagnosis import MISSING

    return sum(one.state == MISSING for one in found.diagnoses)


def _as_json(found: "Examination") -> str:
    findings = [asdict(one) for one in found.diagnoses]
    return json.dumps({"findings": findings, "num_missing": _num_missing(found), "next": found.next})


def _tell(found: "Examination", *, is_json: bool, is_container: bool) -> None:
    if is_json:
        typer.echo(_as_json(found))
    else:
        _print(found, is_container=is_container)


def _keep(found: "Examination", out: str) -> None:
    """Write findings, whatever they are: a job that could tell what is missing has done its work.

    Raises:
        StorageError: They cannot be written.
    """
    from mrikit.estate.first_day.container import roles_wait
    from mrikit.storage import parse_location, write_bytes

    place = parse_location(out)
    # Before it is tried, so that the log of a job that fails here says about what.
    typer.echo(f"writing {place}")
    roles_wait().call(lambda: write_bytes(place, _as_json(found).encode()), str(place))


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
