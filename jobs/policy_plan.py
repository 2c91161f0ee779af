"""What learning a policy would do and need."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mrikit.commands.natural import say
from mrikit.commands.places import Location
from mrikit.commands.training_kinds import is_policy

if TYPE_CHECKING:
    from torch import nn

    from mrikit.acquire.learning.config import PolicyRunConfig
    from mrikit.data import BatchShape
    from mrikit.forecast.policy import PolicyPrediction
    from mrikit.recipes.tasks import AnyRunConfig

Shapes = Sequence["BatchShape"]


def show_policy_plan(
    config: "PolicyRunConfig",
    stages: Sequence["AnyRunConfig"],
    data: Sequence[Location],
    validation_data: Location | None,
    patients: Path | None,
    folder: Path,
    device: str,
    gpu: str,
    price_per_hour: float | None,
) -> "PolicyPrediction | None":
    """Print what the stage would do; what it is expected to need, or None where nobody knows how fast a GPU is."""
    from mrikit.storage import shown

    training, validation, notes = policy_sides(config, data, validation_data, patients)
    episode, learning = config.episode, config.learning
    typer.echo(f"learn {config.policy} for {config.task} ({config.size}, stage {config.stage}) into {shown(folder)}")
    typer.echo(f"data: {len(training)} volumes to learn from, {len(validation)} to validate on")
    for line in notes:
        typer.echo(line)
    typer.echo(
        f"lines: {learning.num_steps:,} in {learning.num_rows} episodes at a time, each of {episode.num_given} given "
        f"and {episode.budget} chosen"
    )
    return show_policy_prediction(config, stages, (training, validation), gpu or device, price_per_hour)


def show_policy_prediction(
    config: "PolicyRunConfig",
    stages: Sequence["AnyRunConfig"],
    sides: tuple[Shapes, Shapes],
    runs_on: str,
    price_per_hour: float | None,
) -> "PolicyPrediction | None":
    """Print memory, time and cost, with a reconstructor like that of the stage before."""
    from mrikit.forecast.policy import describe_policy_prediction

    if runs_on not in ("cpu", "cuda"):
        typer.echo(f"time: nobody knows how fast a policy learns on {runs_on}; it is timed where the GPU is")
        return None
    prediction = expected_policy(config, stages, sides, runs_on, price_per_hour)
    for line in describe_policy_prediction(prediction):
        typer.echo(line)
    return prediction


def expected_policy(
    config: "PolicyRunConfig",
    stages: Sequence["AnyRunConfig"],
    sides: tuple[Shapes, Shapes],
    runs_on: str,
    price_per_hour: float | None = None,
) -> "PolicyPrediction":
    """What the stage needs on `cpu` or `cuda` of this machine."""
    from mrikit.forecast.policy import predict_policy

    return predict_policy(
        config,
        *sides,
        _reconstructor_like(config, stages),
        device=runs_on,
        price_per_hour=price_per_hour,
        say=say,
    )


def policy_sides(
    config: "PolicyRunConfig", data: Sequence[Location], validation_data: Location | None, patients: Path | None
) -> tuple[Shapes, Shapes, tuple[str, ...]]:
    """Shapes of the volumes to learn from and to validate on, and lines to say of the data."""
    from mrikit.acquire.learning.material import open_policy_study

    study = open_policy_study(config, data, validation_data, patients)
    return study.training.shapes, study.validation.shapes, study.notes


def _reconstructor_like(config: "PolicyRunConfig", stages: Sequence["AnyRunConfig"]) -> "nn.Module | str":
    """A network like that of the stage before, with other weights; or a classical method's name."""
    from mrikit.models import build_model
    from mrikit.recipes import recipe

    if config.reconstructor:
        return config.reconstructor
    before = next((one for one in stages if one.stage == config.stage - 1), None)
    before = before or recipe(config.task, config.size, config.stage - 1)
    assert not is_policy(before)
    return build_model(before.model, before.model_config)
