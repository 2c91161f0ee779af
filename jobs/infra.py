"""`mrikit infra`: a project for the estate, what its program would declare, and which estate commands work with."""

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mrikit.commands.first_steps import show_first_steps
from mrikit.commands.output import messages_console, results_console
from mrikit.words import counted

app = typer.Typer(
    name="infra",
    help="The estate in Azure: what `pulumi up` would make, and what your commands work with.",
    rich_markup_mode=None,
)
show_first_steps(
    app,
    "mrikit infra plan                      what an estate would be, and cost, without an account",
    "mrikit infra init estate               a folder for `pulumi up`, which makes it",
    "mrikit infra link                      has your commands work with it",
)

EXAMPLE = "example"
"""Name of the stack whose settings come with the program."""
_POLICIES = "--policy-pack infra/policies"


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
) -> None:
    """Write a project for `pulumi up`: program, requirements, policies, and example settings.

    A folder of its own keeps your settings under version control, and whoever deploys with you works with the same.
    """
    from mrikit.estate.new_project import write_project

    typer.echo(f"{folder}: {', '.join(write_project(folder))}")
    typer.echo(f"next: cd {shlex.quote(str(folder))}, then mrikit infra plan; infra/README.md is the runbook")


@app.command()
def plan(
    stack: Annotated[str, typer.Option(help="Name of a stack, or the path of its file.")] = EXAMPLE,
    data_tb: Annotated[float, typer.Option(min=0, help="Terabytes of data that the costs count with.")] = 1.0,
    prices: Annotated[
        Path | None, typer.Option(help="A price table of your own, in the form of mrikit/estate/prices.toml.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with every resource and its inputs.")] = False,
) -> None:
    """Show what `pulumi up` would declare, without an account and without Pulumi's command line.

    Runs the program with a stand-in for Azure: resources by component, identities and their rights, ways in from the
    network, monthly costs, and the rules that must hold. Exits with 1 if one does not.
    """
    from mrikit.estate.costs import cluster_facts
    from mrikit.estate.declared import program_folder, record_program
    from mrikit.estate.listed import with_listed, with_listed_services
    from mrikit.estate.preview import plan_facts
    from mrikit.estate.prices import load_prices
    from mrikit.estate.stack_file import read_stack

    table = load_prices(prices)
    program = program_folder()
    chosen = read_stack(stack, program.parent)
    record = record_program(chosen.config, chosen.stack, program)
    sizes = {cluster_facts(one)[0] for one in record.of("machinelearningservices:Compute")}
    region = record.outputs["location"]
    facts = plan_facts(record, with_listed_services(with_listed(table, region, sizes), region), data_tb)
    facts["next"] = _next(chosen.stack, program)
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        _print(facts)
    if facts["broken"]:
        raise typer.Exit(1)


@app.command()
def link(
    outputs: Annotated[
        Path | None,
        typer.Argument(
            help="What `pulumi stack output --json` printed; - for standard input; asks Pulumi if left out."
        ),
    ] = None,
    stack: Annotated[
        str | None, typer.Option(help="The stack that Pulumi is asked for; the selected one by default.")
    ] = None,
) -> None:
    """Store the outputs of a deployed stack where `az://`, `--engine datafactory` and `--on azure` find them."""
    from mrikit.errors import ConfigError
    from mrikit.storage.estate import read_estate, save_estate

    if outputs is not None and stack is not None:
        raise ConfigError("--stack asks Pulumi; leave it out where a file is given")
    text, where = _outputs(outputs, stack)
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{where}: not JSON ({error.msg}); `pulumi stack output --json` prints it") from None
    try:
        estate = read_estate(found)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}; is it a stack of this program?") from None
    file = save_estate(estate)
    typer.echo(f"{file}: {estate.resource_group} in {estate.location}, {estate.blob_endpoint}")
    typer.echo("next: mrikit doctor")


def _next(stack: str, program: Path) -> str:
    """What a reader of a plan does next, from a first look to `pulumi up`."""
    if not Path.cwd().is_relative_to(program.parent):
        return "mrikit infra init estate, a folder for your settings"
    if stack.startswith(EXAMPLE):
        return f"cp Pulumi.{stack}.yaml Pulumi.dev.yaml, write your settings into it, mrikit infra plan --stack dev"
    name = shlex.quote(stack)
    return f"pulumi stack init {name} (infra/README.md, 3), then pulumi up --stack {name} {_POLICIES}"


def _outputs(file: Path | None, stack: str | None) -> tuple[str, str]:
    """The text, and where it is from."""
    from mrikit.errors import StorageError

    if file is None:
        return _ask_pulumi(stack), "pulumi stack output"
    if str(file) == "-":
        return sys.stdin.read(), "standard input"
    try:
        return file.read_text(), str(file)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text"
        raise StorageError(f"{file}: {reason}; `pulumi stack output --json > {file}` writes it") from None


def _ask_pulumi(stack: str | None) -> str:
    from mrikit.errors import JobError
    from mrikit.estate.declared import program_folder

    command = ["pulumi", "stack", "output", "--json", *(["--stack", stack] if stack else [])]
    try:
        done = subprocess.run(  # noqa: S603 - its words are ours, and a stack's name
            command, cwd=program_folder().parent, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError as error:
        raise JobError(
            "Pulumi's command line is not on the PATH; install it, or give a file: `mrikit infra link outputs.json`"
        ) from error
    if done.returncode:
        words = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise JobError(f"`{shlex.join(command)}` fails: {words}")
    return done.stdout


def _print(facts: dict[str, Any]) -> None:
    """The facts for people."""
    console, messages = results_console(), messages_console()
    messages.print("no account was contacted, nothing was made; names end in other digits for your subscription")
    console.print(f"stack {facts['stack']}: {counted(facts['num_resources'], 'resource')} in {facts['location']}")
    _table(
        ("component", "resources", "needs"),
        [(one["name"], _kinds(one["kinds"]), ", ".join(one["needs"])) for one in facts["components"]],
    )
    _table(("who", "may", "on"), [(row["who"], row["role"], row["what"]) for row in facts["rights"]])
    _table(("what", "is reached from"), [(row["what"], row["from"]) for row in facts["ways_in"]])
    costs = facts["costs"]
    rows = [(one["what"], f"{one['idle']:,.0f}", f"{one['full']:,.0f}", one["source"]) for one in costs["lines"]]
    rows.append(("in all", f"{costs['idle']:,.0f}", f"{costs['full']:,.0f}", ""))
    _table((f"{costs['currency']} a month", "idle", "every node, always", "price"), rows, right=(1, 2))
    console.print(f"without traffic and requests; prices of the table are for {costs['region']}, yours will differ")
    for sku in costs["unknown"]:
        console.print(f"no price of {sku} is known; add it to a table and give --prices")
    for rule, lines in facts["broken"].items():
        for line in lines:
            console.print(f"BROKEN: {rule}: {line}")
    held = facts["num_rules"] - len(facts["broken"])
    console.print(f"rules: {held} of {facts['num_rules']} hold")
    if not facts["broken"]:
        console.print(f"next: {facts['next']}")


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: tuple[int, ...] = ()) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console = results_console()
    console.print()
    console.print(table)


def _kinds(kinds: dict[str, int]) -> str:
    return ", ".join(kind if number == 1 else f"{number} {kind}" for kind, number in kinds.items())
