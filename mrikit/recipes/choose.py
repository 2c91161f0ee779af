"""The runs that a command line asks for: a task's recipes with what it changes of them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from mrikit.acquire.learning.config import PolicyRunConfig
from mrikit.config import change_config, parse_assignments
from mrikit.errors import ConfigError
from mrikit.masks import MASK_KINDS
from mrikit.recipes.tasks import AnyRunConfig, networks, recipe, recipes, with_policy
from mrikit.training import RunConfig, TrainingConfig

_MASK_SETTING = "data.mask_settings."
_SPLIT_SEED = "training.seed"  # of the reconstructor's run: it chooses who is held out, in the policy's stage too


def chosen_configs(
    task: str, size: str, stage: int | None, settings: Sequence[str], execution: Mapping[str, Any]
) -> list[AnyRunConfig]:
    """The runs of a task with what the command line changes of them.

    Args:
        task: A name of `mrikit tasks`.
        size: One of its sizes.
        stage: One of its stages; None for all.
        settings: Assignments, such as `training.max_lr=1e-4`; each counts for the stages that have it.
        execution: Settings that have options of their own; None where they are not given.

    Raises:
        ConfigError: There is no such task, size, stage or setting.
    """
    changes = _of_model(parse_assignments(list(settings)))
    extent = _take_extent(changes)
    given = {f"execution.{name}": value for name, value in execution.items() if value is not None}
    stages = recipes(task, size, **extent) if stage is None else (recipe(task, size, stage, **extent),)
    _require_known(stages, [*changes, *(f"training.{name}" for name in extent)])
    chosen = [change_config(_changed(config, changes), given, "train") for config in stages]
    _require_one_episode(chosen)
    last = chosen[-1]
    if len(chosen) > 1 and isinstance(last, PolicyRunConfig) and last.reconstructor:
        raise ConfigError(
            f"reconstructor={last.reconstructor} is ready, and the stages before are for another; name the policy's "
            f"stage with --stage {last.stage}"
        )
    return chosen


def run_name(configs: Sequence[AnyRunConfig]) -> str:
    """What the folder of a run is called by default: its task, what it trains, and its size."""
    first, last = configs[0], configs[-1]
    what = last.policy if isinstance(last, PolicyRunConfig) else networks(configs)[0].model
    return f"{first.task}-{what}-{first.size}"


def _changed(config: AnyRunConfig, changes: Mapping[str, Any]) -> AnyRunConfig:
    """With those changes that it has."""
    own = {name: value for name, value in changes.items() if _has(config, name)}
    if isinstance(config, PolicyRunConfig):
        if "policy" in own:
            config = with_policy(config, own.pop("policy"))
        if _SPLIT_SEED in changes:
            own = {"learning.split_seed": changes[_SPLIT_SEED], **own}
    return change_config(config, _with_mask_settings(config, own), "train")


def _with_mask_settings(config: AnyRunConfig, changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Changes in which another kind of mask begins with those of the recipe's settings that it has too."""
    kind = changes.get("data.mask_kind")
    if kind not in MASK_KINDS or not isinstance(config, RunConfig) or kind == config.data.mask_kind:
        return changes
    known = {field.name for field in dataclasses.fields(MASK_KINDS[kind].settings)}
    settings = {name: value for name, value in config.data.mask_settings.items() if name in known}
    others = dict(changes)
    for name in [name for name in changes if name.startswith(_MASK_SETTING)]:
        settings[name.removeprefix(_MASK_SETTING)] = others.pop(name)
    return {"data.mask_settings": settings, **others}


def _has(config: AnyRunConfig, name: str) -> bool:
    """Whether a run has the setting, or the group that it would be of."""
    return name.partition(".")[0] in {field.name for field in dataclasses.fields(config)}


def _require_known(stages: Sequence[AnyRunConfig], names: Sequence[str]) -> None:
    """Refuse a setting that no stage has.

    Raises:
        ConfigError: There is one; the message names the nearest of the last stage.
    """
    learns_policy = any(isinstance(config, PolicyRunConfig) for config in stages)
    for name in names:
        if not any(_has(config, name) for config in stages) and not (name == _SPLIT_SEED and learns_policy):
            change_config(stages[-1], {name: ""}, "train")


def _require_one_episode(configs: Sequence[AnyRunConfig]) -> None:
    """Refuse a reconstructor that is not trained for the steps of the policy's episodes."""
    for first in configs:
        for second in configs:
            if not isinstance(first, RunConfig) or not isinstance(second, PolicyRunConfig):
                continue
            drawn, episode = first.data.mask_settings, second.episode
            for name in ("num_given", "budget"):
                if name in drawn and drawn[name] != getattr(episode, name):
                    raise ConfigError(
                        f"episode.{name} is {getattr(episode, name)}, and the reconstructor is trained for "
                        f"{drawn[name]}; set data.mask_settings.{name} to the same"
                    )


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
