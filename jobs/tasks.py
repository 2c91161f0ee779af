"""`mrikit tasks`: what can be trained."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from mrikit.commands.training_kinds import is_policy

if TYPE_CHECKING:
    from mrikit.recipes.tasks import AnyRunConfig
    from mrikit.training import RunConfig

_WIDTH = 130
_RIGHT = ("stages", "stage", "weights", "rate", "epochs")


def tasks(
    task: Annotated[str | None, typer.Option(help="Only this task, with a line for each stage.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Whole configurations, for a program to read.")] = False,
) -> None:
    """List every task and size: network, weights, masks, loss, rate, epochs; or the stages of one task."""
    from mrikit.errors import ConfigError
    from mrikit.recipes import SIZES, TASKS, recipes

    if task is not None and task not in TASKS:
        raise ConfigError(f"no task is called {task!r}; there are {', '.join(TASKS)}")
    wanted = [task] if task else list(TASKS)
    groups = [recipes(name, size) for name in wanted for size in TASKS[name].sizes]
    if as_json:
        typer.echo(json.dumps([asdict(config) for configs in groups for config in configs], indent=2))
        return
    if task:
        _show([_stage(config) for configs in groups for config in configs])
    else:
        _show([_whole(configs) for configs in groups])
    for size, purpose in SIZES.items():
        typer.echo(f"{size}: {purpose}")
    typer.echo(f"next: mrikit train --task {task or 'knee_acc8'} --size tiny --data DATA")


def _whole(configs: Sequence["AnyRunConfig"]) -> dict[str, str]:
    """A task and size in one line."""
    from mrikit.training import count_weights

    networks = [config for config in configs if not is_policy(config)]
    first, last = networks[0], networks[-1]
    kinds = dict.fromkeys(config.data.mask_kind for config in networks)
    return {
        "task": first.task,
        "size": first.size,
        "stages": str(len(configs)),
        "network": first.model,
        "weights": f"{count_weights(first):,}",
        "masks": f"{_factors(first)} {', '.join(kinds)}",
        "loss": first.training.loss,
        "rate": f"{first.training.max_lr:g}",
        "epochs": str(last.training.first_epoch + last.training.num_epochs),
    }


def _stage(config: "AnyRunConfig") -> dict[str, str]:
    """A stage in one line."""
    if is_policy(config):
        return {
            "task": config.task,
            "size": config.size,
            "stage": str(config.stage),
            "masks": f"chosen by {config.policy}",
            "augmented": "no",
            "rate": f"{config.learning.max_lr:.3g}",
            "epochs": f"{config.learning.num_steps:,} lines",
            "cosine to": "-",
        }
    epoch = config.training.first_epoch
    return {
        "task": config.task,
        "size": config.size,
        "stage": str(config.stage or 1),
        "masks": f"{_factors(config)} {config.data.mask_kind}",
        "augmented": "yes" if config.augment.strength else "no",
        "rate": f"{config.training.max_lr:.3g}",
        "epochs": f"{epoch + 1}-{epoch + config.training.num_epochs}",
        "cosine to": str(epoch + (config.training.schedule_epochs or config.training.num_epochs)),
    }


def _factors(config: "RunConfig") -> str:
    return ", ".join(f"{plan.acceleration:g}x" for plan in config.data.plans)


def _show(rows: Sequence[dict[str, str]]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in rows[0]:
        table.add_column(column, justify="right" if column in _RIGHT else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row.values())
    # A pipe counts as narrow, and rich would cut off what is beyond.
    Console(width=max(Console().width, _WIDTH), highlight=False).print(table)
