"""The runs that a command line asks for: a task's recipes with what it changes of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from mrikit.config import change_config, parse_assignments
from mrikit.recipes import recipe, recipes
from mrikit.training import RunConfig, TrainingConfig


def chosen_configs(
    task: str, size: str, stage: int | None, settings: Sequence[str], execution: Mapping[str, Any]
) -> list[RunConfig]:
    """The runs of a task with what the command line changes of them.

    Args:
        task: A name of `mrikit tasks`.
        size: One of its sizes.
        stage: One of its stages; None for all.
        settings: Assignments, such as `training.max_lr=1e-4`.
        execution: Settings that have options of their own; None where they are not given.

    Raises:
        ConfigError: There is no such task, size, stage or setting.
    """
    changes = _of_model(parse_assignments(list(settings)))
    extent = _take_extent(changes)
    given = {f"execution.{name}": value for name, value in execution.items() if value is not None}
    stages = recipes(task, size, **extent) if stage is None else (recipe(task, size, stage, **extent),)
    return [change_config(change_config(config, changes, "train"), given, "train") for config in stages]


def _of_model(changes: dict[str, Any]) -> dict[str, Any]:
    """Another model begins with its own defaults, not with the settings of the recipe's."""
    if "model" not in changes:
        return changes
    prefix = "model_config."
    own = {name.removeprefix(prefix): value for name, value in changes.items() if name.startswith(prefix)}
    return {name: value for name, value in changes.items() if not name.startswith(prefix)} | {"model_config": own}


def _take_extent(changes: dict[str, Any]) -> dict[str, Any]:
    """Take out what all stages of a recipe follow: epochs of each, and the rate of the first."""
    own = {name: changes.pop(f"training.{name}") for name in ("num_epochs", "max_lr") if f"training.{name}" in changes}
    read = change_config(TrainingConfig(), own, "train.training")
    return {name: getattr(read, name) for name in own}
