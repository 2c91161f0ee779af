"""What `mrikit train` would do: its extent, memory, time and cost; and the settings that fit into a memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from jobs.places import Location
from jobs.training_run import num_processes

if TYPE_CHECKING:
    from mrikit.training import RunConfig


def show_plan(
    configs: Sequence["RunConfig"],
    data: Location,
    validation_data: Location | None,
    folders: Sequence[Path],
    device: str,
    gpu: str,
    price_per_hour: float | None,
) -> None:
    """Print what each stage would do, and what all of them would cost."""
    from mrikit.storage import shown
    from mrikit.training import describe_prediction, plan_run, predict_run

    predictions = []
    for config, folder in zip(configs, folders, strict=True):
        plan = plan_run(config, data, validation_data)
        training = config.training
        # The best one, where it is kept, lies beside the others.
        num_files = config.execution.keep + 1 + config.execution.keep_best
        size = _size(num_files * plan.checkpoint_bytes)
        stage = f", stage {config.stage}" if config.stage else ""
        what = f"{config.task} ({config.size}{stage})"
        typer.echo(f"train {config.model} with {plan.num_weights:,} weights for {what} into {shown(folder)}")
        typer.echo(f"data: {len(plan.training)} volumes to train on, {len(plan.validation)} to validate on")
        epochs = f"{training.num_epochs} epochs of {plan.steps_per_epoch}"
        typer.echo(f"steps: {plan.num_steps} ({epochs}), slices of a step: {training.batch_size}")
        typer.echo(f"disk: up to {size}, for {num_files} checkpoints while one of them is written")
        prediction = predict_run(
            config,
            plan.training,
            plan.validation,
            device="cuda" if gpu else device,
            gpu=gpu,
            world_size=num_processes(),
            price_per_hour=price_per_hour,
        )
        predictions.append(prediction)
        for line in describe_prediction(prediction):
            typer.echo(line)
    if len(predictions) > 1:
        hours = sum(prediction.hours for prediction in predictions)
        cost = sum(prediction.cost or 0 for prediction in predictions)
        duration = f"{hours:.3g} hours" if hours >= 1 else f"{60 * hours:.3g} min"
        typer.echo(f"all stages: {duration}{'' if price_per_hour is None else f', cost {cost:.2f}'}")


def _size(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:.3g} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.3g} MB"


def fitted(
    configs: Sequence["RunConfig"], data: Location, validation_data: Location | None, limit: str, device: str
) -> list["RunConfig"]:
    """The same runs with settings that need no more memory than the limit; what was changed goes to stderr.

    Raises:
        ConfigError: Nothing makes one fit, or the limit is no size.
    """
    from mrikit.training import fit, parse_bytes, plan_run

    messages = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    limit_bytes = parse_bytes(limit)
    chosen = []
    for config in configs:
        plan = plan_run(config, data, validation_data)
        changed, lines = fit(config, plan.training + plan.validation, limit_bytes, device=device)
        chosen.append(changed)
        for line in lines or ["nothing has to be changed"]:
            messages.print(f"to fit into {limit}, {changed.name}: {line}")
    return chosen
