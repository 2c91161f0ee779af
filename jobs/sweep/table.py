"""Members of a sweep as a table."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from mrikit.commands.output import results_console
from mrikit.commands.sweep.members import ENDED_BADLY
from mrikit.launching.backends import traits_of
from mrikit.words import in_shell

if TYPE_CHECKING:
    from rich.console import Console

    from mrikit.report.sweep.runs import SweepRun


def print_members(runs: Sequence["SweepRun"], on: str, *, as_json: bool) -> None:
    """Task by task, as the file has them; of each the best first, those without a score last."""
    tasks = list(dict.fromkeys(run.task for run in runs))
    ranked = sorted(runs, key=lambda run: (tasks.index(run.task), _rank(run)))
    if as_json:
        typer.echo(json.dumps({"members": [_facts(run) for run in ranked]}))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="")
    has_tasks = len(tasks) > 1
    for column in ("member", *(["task"] if has_tasks else []), "state", "score", "epoch", "settings"):
        table.add_column(column, justify="right" if column in ("score", "epoch") else "left", overflow="fold")
    for run in ranked:
        score, epoch = ("" if value is None else f"{value:.4g}" for value in (run.best, run.epoch))
        of_task = [run.task] if has_tasks else []
        table.add_row(*map(Text, (run.name, *of_task, run.state, score, epoch, in_words(run.settings))))
    console = results_console()
    console.print(table)
    failed = [run for run in ranked if run.state in ENDED_BADLY]
    if failed:
        _print_failed(console, failed, on)
    elif all(run.is_done for run in ranked):
        for task in tasks:
            best = next(run for run in ranked if run.task == task)
            if best.best is not None:
                of = f" of {task}" if has_tasks else ""
                console.print(f"best{of}: {best.name}; next: {in_shell('report', best.out)}")


def in_words(settings: Mapping[str, str]) -> str:
    """`a=1, b=2`."""
    return ", ".join(f"{key}={value}" for key, value in settings.items())


def _print_failed(console: "Console", failed: Sequence["SweepRun"], on: str) -> None:
    """What failed and why, and how it is tried again."""
    for run in failed:
        console.print(f"{run.name} {run.state}{': ' if run.message else ''}{run.message}")
    starved, others = ([run for run in failed if run.is_out_of_memory is is_it] for is_it in (True, False))
    if starved and "memory" in traits_of(on).resources:
        console.print(f"next: the same command with --retry-out-of-memory gives {len(starved)} of them twice as much")
    elif starved:
        console.print("next: the same command with --retry-failed and fewer --at-once, as memory was the reason")
        return
    if others:
        console.print("next: the same command with --retry-failed")


def _rank(run: "SweepRun") -> tuple[bool, float, str]:
    best = run.best or 0.0
    return run.best is None, -best if run.score.higher_is_better else best, run.name


def _facts(run: "SweepRun") -> dict[str, Any]:
    return {
        "name": run.name,
        "task": run.task,
        "state": run.state,
        "score": run.best,
        "epoch": run.epoch,
        "settings": dict(run.settings),
        "out": run.out,
        "message": run.message,
    }
