"""`mrikit tasks`: what can be trained."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

_WIDTH = 100


def tasks(
    as_json: Annotated[bool, typer.Option("--json", help="Whole configurations, for a program to read.")] = False,
) -> None:
    """List every task and size: network, weights, batch, epochs."""
    from mrikit.recipes import SIZES, TASKS, recipe
    from mrikit.training import count_weights

    configs = [recipe(task, size) for task in TASKS for size in SIZES]
    if as_json:
        typer.echo(json.dumps([asdict(config) for config in configs], indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("task", "size", "network", "weights", "masks", "loss", "epochs"):
        table.add_column(column, justify="right" if column in ("weights", "epochs") else "left", no_wrap=True)
    for config in configs:
        masks = ", ".join(f"{plan.acceleration:g}x {plan.kind}" for plan in config.data.plans)
        epochs = str(config.training.num_epochs)
        weights = f"{count_weights(config):,}"
        table.add_row(config.task, config.size, config.model, weights, masks, config.training.loss, epochs)
    # A pipe counts as narrow, and rich would cut off what is beyond.
    Console(width=max(Console().width, _WIDTH), highlight=False).print(table)
    for size, purpose in SIZES.items():
        typer.echo(f"{size}: {purpose}")
    typer.echo("next: mrikit train --task knee_multicoil --size tiny --data DATA")
