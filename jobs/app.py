"""The command line: `mrikit ...`. One file per command; heavy imports happen inside the commands."""

import io
import os
import signal
import sys
import warnings
from typing import Annotated

import typer
from rich.console import Console

from mrikit import __version__
from mrikit.commands import data, image, infra, jobs, masks, sweep, weights
from mrikit.commands.acquire import acquire
from mrikit.commands.demo import demo
from mrikit.commands.doctor import doctor
from mrikit.commands.evaluate import evaluate
from mrikit.commands.export import export
from mrikit.commands.first_steps import show_steps
from mrikit.commands.natural import natural_method
from mrikit.commands.on import elsewhere
from mrikit.commands.once import once
from mrikit.commands.reconstruct import reconstruct
from mrikit.commands.report import report
from mrikit.commands.score_card import score_card
from mrikit.commands.simulate import simulate
from mrikit.commands.tasks import tasks
from mrikit.commands.train import train
from mrikit.errors import MrikitError
from mrikit.launch import adopt_launch
from mrikit.storage import shown

app = typer.Typer(
    name="mrikit",
    help="From raw MRI k-space to a scored reconstruction.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


_FIRST_STEPS = (
    "mrikit demo                                     simulates, trains, reconstructs, scores: minutes on a laptop",
    "mrikit reconstruct                              reconstructs what lies in data/, by the best weights in runs/",
    "mrikit train --task knee_acc8 --dry-run         what a training would take; without --dry-run it begins",
)


@app.callback()
def options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """From raw MRI k-space to a scored reconstruction."""
    if version:
        typer.echo(f"mrikit {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        show_steps(context, _FIRST_STEPS)


for command in (elsewhere(demo), simulate, tasks, elsewhere(train)):
    app.command()(command)
app.command()(elsewhere(reconstruct, natural=natural_method))
for command in (elsewhere(acquire), elsewhere(evaluate), score_card, report, export, doctor):
    app.command()(command)
app.add_typer(sweep.app)
app.add_typer(data.app)
app.add_typer(weights.app)
app.add_typer(masks.app)
app.add_typer(infra.app)
app.add_typer(jobs.app)
app.add_typer(image.app)
once(app)


def main() -> None:
    """Run the command line: one line on stderr and exit 1 for what a user can mend, 130 for Ctrl-C."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)
    warnings.formatwarning = _one_line
    signal.signal(signal.SIGINT, _interrupt)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # names of files go out as they came in, also if no UTF-8
    try:
        adopt_launch(os.environ)
        app()
    except MrikitError as error:
        errors.print(f"mrikit: {error}")
        sys.exit(1)
    except _Interrupted:
        errors.print("mrikit: interrupted; finished files are kept, the same command goes on from here")
        sys.exit(130)
    except BrokenPipeError:
        # `mrikit ... | head` closes our output; say nothing more, and let the interpreter flush into nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


class _Interrupted(BaseException):
    """Ctrl-C; typer would swallow a KeyboardInterrupt and say nothing."""


def _interrupt(*_where: object) -> None:
    raise _Interrupted


def _one_line(message: Warning | str, *_where: object, **_line: object) -> str:
    """A warning without the place in our code that found it; what is a copy of an az:// prefix is called by that."""
    return f"warning: {shown(message)}\n"


if __name__ == "__main__":
    main()
