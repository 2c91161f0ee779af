"""The options of `--on`."""

from dataclasses import dataclass
from typing import Annotated

import typer

from mrikit.launching.backends import BACKENDS, rehearsing


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """What `--on` and the options beside it say."""

    on: Annotated[
        str | None,
        typer.Option(help=f"Run it there, detached: {', '.join(BACKENDS)}; what follows is for that."),
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
        typer.Option("--simulate-preemption", help=f"With --on {rehearsing()}: kill it now and then, at random."),
    ] = False
    """Whether it is killed now and then, to see that it survives that."""
    max_cost: Annotated[float | None, typer.Option(help="With --on: refuse what could cost more.")] = None
    """In the currency of the price table."""
    job_name: Annotated[str | None, typer.Option(help="With --on: its name, if not made of what it does.")] = None
    """None for a name made of the command, so that the same job has the same name."""
    resource: Annotated[
        list[str] | None,
        typer.Option(help="With --on: partition=gpu, gres=gpu:a100:4, mail=ADDRESS, image=NAME, ...; repeatable."),
    ] = None
    """`key=value`, for the back end alone."""
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --on: say what would be submitted, and stop.")] = (
        False
    )
    """Whether nothing is submitted."""
