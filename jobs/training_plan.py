"""What `mrikit train` would do: its extent, memory, time and cost; and the settings that fit into a memory."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from mrikit.commands.natural import say
from mrikit.commands.places import Location
from mrikit.commands.policy_plan import policy_sides, show_policy_plan, show_policy_prediction
from mrikit.commands.training_kinds import is_policy
from mrikit.commands.training_run import num_processes
from mrikit.words import counted

if TYPE_CHECKING:
    from mrikit.data import BatchShape
    from mrikit.forecast import Prediction
    from mrikit.forecast.policy import PolicyPrediction
    from mrikit.launching.job import JobPlan, JobSpec
    from mrikit.launching.scoring import Scoring
    from mrikit.recipes.tasks import AnyRunConfig
    from mrikit.training import RunConfig


def show_plan(
    configs: Sequence["AnyRunConfig"],
    data: Sequence[Location],
    validation_data: Location | None,
    patients: Path | None,
    folders: Sequence[Path],
    device: str,
    gpu: str,
    price_per_hour: float | None,
    test: "Scoring | None" = None,
) -> None:
    """Print what each stage would do, what all of them would cost, and what follows on test data."""
    from mrikit.forecast import describe_prediction, predict_run
    from mrikit.storage import shown
    from mrikit.training import plan_run

    predictions: list[Prediction | PolicyPrediction] = []
    for config, folder in zip(configs, folders, strict=True):
        if is_policy(config):
            found = show_policy_plan(
                config, configs, data, validation_data, patients, folder, device, gpu, price_per_hour
            )
            predictions += [found] if found else []
            continue
        plan = plan_run(config, data, validation_data, patients)
        training = config.training
        # The best one, where it is kept, lies beside the others.
        num_files = config.execution.keep + 1 + config.execution.keep_best
        size = _size(num_files * plan.checkpoint_bytes)
        stage = f", stage {config.stage}" if config.stage else ""
        what = f"{config.task} ({config.size}{stage})"
        typer.echo(f"train {config.model} with {plan.num_weights:,} weights for {what} into {shown(folder)}")
        typer.echo(f"data: {len(plan.training)} volumes to train on, {len(plan.validation)} to validate on")
        for line in plan.notes:
            typer.echo(line)
        epochs = f"{counted(training.num_epochs, 'epoch')} of {plan.steps_per_epoch}"
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
            say=say,
        )
        predictions.append(prediction)
        for line in describe_prediction(prediction):
            typer.echo(line)
    show_sum(predictions)
    for words in (test.reconstruct, test.evaluate) if test else ():
        typer.echo(f"then: {shlex.join(('mrikit', *words))}")


def show_expected(
    configs: Sequence["AnyRunConfig"],
    data: Sequence[Location],
    validation_data: Location | None,
    patients: Path | None,
    *,
    runs_on: str,
    num_processes: int,
    price_per_hour: float | None,
) -> list["Prediction | PolicyPrediction"]:
    """Print what each stage of a job is expected to need.

    Args:
        configs: The stages.
        data: Looked into where they are folders here; otherwise they are taken to be fastMRI's own set.
        validation_data: As in `mrikit train`.
        patients: As in `mrikit train`.
        runs_on: `cpu` or `cuda` of this machine, where a part of a step is timed, or a GPU of a data sheet.
        num_processes: Each with a device of its own; on a CPU all share it.
        price_per_hour: Of the device of one process.

    Returns:
        One for each stage.
    """
    from mrikit.forecast import describe_prediction

    predictions: list[Prediction | PolicyPrediction] = []
    for config in configs:
        training, validation, why = shapes_of(config, data, validation_data, patients)
        stage = f", stage {config.stage}" if config.stage else ""
        typer.echo(f"expected of {config.task} ({config.size}{stage}), {why}:")
        if is_policy(config):
            found = show_policy_prediction(config, configs, (training, validation), runs_on, price_per_hour)
            predictions += [found] if found else []
            continue
        prediction = expected_run(config, training, validation, runs_on, num_processes, price_per_hour)
        predictions.append(prediction)
        for line in describe_prediction(prediction):
            typer.echo(line)
    return predictions


def expected_run(
    config: "RunConfig",
    training: Sequence["BatchShape"],
    validation: Sequence["BatchShape"],
    runs_on: str,
    num_processes: int,
    price_per_hour: float | None = None,
) -> "Prediction":
    """What one stage needs on a device as `show_expected` names it."""
    from mrikit.forecast import predict_run

    is_here = runs_on in ("cpu", "cuda")
    return predict_run(
        config,
        training,
        validation,
        device=runs_on if is_here else "cuda",
        gpu="" if is_here else runs_on,
        world_size=1 if runs_on == "cpu" else num_processes,
        price_per_hour=price_per_hour,
        say=say,
    )


def show_jobs(planned: Sequence[tuple["JobSpec", "JobPlan"]], params: Mapping[str, Any]) -> None:
    """Print what each job of a training is expected to take, by its GPU as named or by this machine."""
    import torch

    from mrikit.forecast import known_gpu
    from mrikit.launching.chain import training_configs
    from mrikit.storage import pulled

    configs = training_configs(params)
    planned = [(spec, plan) for spec, plan in planned if spec.command[0] == "train"]
    stages = [configs] if len(planned) == 1 else [[config] for config in configs]
    predictions: list[Prediction | PolicyPrediction] = []
    for (spec, plan), jobs_own in zip(planned, stages, strict=True):
        runs_on = known_gpu(params["gpu"]) or plan.runs_on
        if not runs_on or (runs_on == "cuda" and not torch.cuda.is_available()):
            typer.echo("expected: nobody knows how fast its machine is; --gpu names one that is known")
            return
        price = params["price_per_hour"]
        if price is None and plan.hourly_cost is not None:
            price = plan.hourly_cost / spec.num_processes
        predictions += show_expected(
            jobs_own,
            params["data"],
            params["validation_data"],
            pulled(params["patients"]) if params["patients"] else None,
            runs_on=runs_on,
            num_processes=spec.num_processes,
            price_per_hour=price,
        )
        if sum(prediction.hours for prediction in predictions[-len(jobs_own) :]) > spec.max_hours:
            typer.echo(f"warning: it is longer than a start may take, --max-hours {spec.max_hours:g}")
    show_sum(predictions)


def show_sum(predictions: Sequence["Prediction | PolicyPrediction"]) -> None:
    """Print what several stages need together; nothing of one."""
    if len(predictions) < 2:
        return
    hours = sum(prediction.hours for prediction in predictions)
    costs = [prediction.cost for prediction in predictions if prediction.cost is not None]
    duration = f"{hours:.3g} hours" if hours >= 1 else f"{60 * hours:.3g} min"
    typer.echo(f"all stages: {duration}{f', cost {sum(costs):.2f}' if costs else ''}")


def shapes_of(
    config: "AnyRunConfig", data: Sequence[Location], validation_data: Location | None, patients: Path | None
) -> tuple[Sequence["BatchShape"], Sequence["BatchShape"], str]:
    """Shapes of the volumes on both sides, and in words where they are from."""
    from mrikit.data import published_shapes, shape_at_matrix
    from mrikit.training import plan_run

    if all(isinstance(place, Path) and place.is_dir() for place in data):
        if is_policy(config):
            training, validation, _ = policy_sides(config, data, validation_data, patients)
        else:
            plan = plan_run(config, data, validation_data, patients)
            training, validation = plan.training, plan.validation
        found = "found in the data"
    else:
        whole, val = (published_shapes(config.data.challenge, config.data.anatomy, side) for side in ("train", "val"))
        if config.data.matrix:
            size = config.data.matrix[0], config.data.matrix[1]
            whole, val = (tuple(shape_at_matrix(shape, size) for shape in side) for side in (whole, val))
        training = whole[: config.data.num_volumes or None]
        validation = val if config.data.num_validation else ()
        found = "fastMRI's own, because nobody has looked into the data"
    return training, validation, f"{len(training)} volumes to train on and {len(validation)} to validate on, {found}"


def _size(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:.3g} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.3g} MB"


def fitted(
    configs: Sequence["AnyRunConfig"],
    data: Sequence[Location],
    validation_data: Location | None,
    patients: Path | None,
    limit: str,
    device: str,
) -> list["AnyRunConfig"]:
    """The same runs with settings that need no more memory than the limit; what was changed goes to stderr.

    Raises:
        ConfigError: Nothing makes one fit, or the limit is no size.
    """
    from mrikit.forecast import fit, parse_bytes
    from mrikit.training import plan_run

    messages = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    limit_bytes = parse_bytes(limit)
    chosen = list["AnyRunConfig"]()
    for config in configs:
        if is_policy(config):
            chosen.append(config)
            continue
        plan = plan_run(config, data, validation_data, patients)
        changed, lines = fit(config, plan.training + plan.validation, limit_bytes, device=device)
        chosen.append(changed)
        for line in lines or ["nothing has to be changed"]:
            messages.print(f"to fit into {limit}, {changed.name}: {line}")
    return chosen
