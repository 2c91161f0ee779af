"""`mrikit jobs`: what was submitted, how it stands, what it says, and what it has written."""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from mrikit.commands.first_steps import show_first_steps
from mrikit.commands.output import results_console
from mrikit.errors import MrikitError
from mrikit.launching.backends import open_backend
from mrikit.launching.job import FAILED, SUCCEEDED, UNKNOWN, JobStatus
from mrikit.launching.records import JobRecord, load_record, load_records, new_record, require_record, save_record
from mrikit.words import in_time

app = typer.Typer(
    name="jobs",
    help="Jobs that were submitted with --on: the same words on every back end.",
    rich_markup_mode=None,
)
show_first_steps(
    app,
    "mrikit train --task knee_acc8 --on local      submits one",
    "mrikit jobs list                              what there is, and how it stands",
    "mrikit jobs logs knee-acc8 --follow           what it says",
)
Name = Annotated[str, typer.Argument(help="Name of a job, or its beginning.")]


@app.command("list")
def list_jobs(
    on: Annotated[
        str | None, typer.Option(help="Also ask this back end for jobs that other machines have submitted.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the jobs of this machine, the newest first, with their states."""
    if on is not None:
        _remember(on)
    rows = [_facts(record, _status(record)) for record in load_records()]
    if as_json:
        typer.echo(json.dumps({"jobs": rows}))
        return
    if not rows:
        typer.echo("no job was submitted from this machine; next: mrikit train ... --on local")
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="")
    for column in ("job", "on", "state", "submitted", "preempted", "errors"):
        table.add_column(column, no_wrap=True)
    for row in rows:
        submitted = datetime.fromtimestamp(row["submitted_at"]).strftime("%Y-%m-%d %H:%M")
        cells = (row["name"], row["on"], row["state"], submitted, str(row["num_preemptions"]), str(row["num_errors"]))
        table.add_row(*map(Text, cells))
    results_console().print(table)


@app.command()
def status(name: Name, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Say how a job stands."""
    record = require_record(name)
    facts = _facts(record, open_backend(record.backend).status(record.spec, record.handle))
    if as_json:
        typer.echo(json.dumps(facts))
        return
    typer.echo(f"{facts['name']} on {facts['on']}: {_in_words(facts)}")
    for line in (facts["message"], facts["address"]):
        if line:
            typer.echo(line)


@app.command()
def logs(
    name: Name,
    is_followed: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
    node: Annotated[int, typer.Option(min=0, help="Of which machine; 0 is the one that talks.")] = 0,
) -> None:
    """Print what a job has written, start after start."""
    record = require_record(name)
    for piece in open_backend(record.backend).logs(record.spec, record.handle, node=node, follow=is_followed):
        typer.echo(piece, nl=False)


@app.command()
def cancel(name: Name) -> None:
    """End a job, and see that nothing starts it again; what it has written stays."""
    record = require_record(name)
    backend = open_backend(record.backend)
    backend.cancel(record.spec, record.handle)
    found = backend.status(record.spec, record.handle).state
    if found in (SUCCEEDED, FAILED):
        typer.echo(f"{record.spec.name} has {found} already")
    else:
        typer.echo(f"{record.spec.name} is cancelled; next: mrikit jobs resume {record.spec.name}")


@app.command()
def pull(
    name: Name,
    to: Annotated[Path, typer.Option(help="Folder to bring it to.")] = Path(),
) -> None:
    """Bring what a job has written so far to this machine; also while it runs."""
    record = require_record(name)
    paths = open_backend(record.backend).pull(record.spec, to)
    for path in paths:
        typer.echo(str(path))
    if not paths:
        typer.echo("it has written nothing yet")


@app.command()
def resume(name: Name) -> None:
    """Start a job again that failed or was cancelled; it goes on where it was."""
    from mrikit.launching.submit import resubmit

    renewed = resubmit(require_record(name))
    typer.echo(f"submitted {renewed.spec.name} as {renewed.handle}")
    typer.echo(f"next: mrikit jobs logs {renewed.spec.name} --follow")


def _remember(on: str) -> None:
    """Keep a record of each job that a back end knows and this machine does not."""
    backend = open_backend(on)
    for spec, handle in backend.find():
        if load_record(spec.name) is None:
            save_record(new_record(spec, backend.name, handle))


def _status(record: JobRecord) -> JobStatus:
    """How a job stands; `unknown`, with the reason, where its back end cannot be asked."""
    try:
        return open_backend(record.backend).status(record.spec, record.handle)
    except MrikitError as error:
        return JobStatus(state=UNKNOWN, message=str(error))


def _facts(record: JobRecord, found: JobStatus) -> dict[str, Any]:
    return {
        "name": record.spec.name,
        "on": record.backend,
        "handle": record.handle,
        "earlier_handles": list(record.earlier),
        "state": found.state,
        "exit_code": found.exit_code,
        "num_preemptions": found.num_preemptions,
        "num_errors": found.num_errors,
        "submitted_at": record.submitted_at,
        "started_at": found.started_at,
        "ended_at": found.ended_at,
        "message": found.message,
        "address": found.address,
        "command": list(record.spec.command),
    }


def _in_words(facts: dict[str, Any]) -> str:
    words = [facts["state"]]
    if facts["started_at"]:
        words.append(f"for {in_time((facts['ended_at'] or time.time()) - facts['started_at'])}")
    if facts["num_preemptions"]:
        words.append(f"preempted {facts['num_preemptions']} times")
    if facts["num_errors"]:
        words.append(f"failed and started again {facts['num_errors']} times")
    if facts["exit_code"]:
        words.append(f"exit code {facts['exit_code']}")
    return ", ".join(words)
