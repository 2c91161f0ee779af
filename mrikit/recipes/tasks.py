"""The tasks by name: for each size the runs that train it, one for each stage."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from mrikit.acquire.learning.config import PolicyRunConfig
from mrikit.errors import ConfigError
from mrikit.recipes import acquisition_policy, banding, baselines, challenge, classifier, sampling
from mrikit.training import RunConfig

AnyRunConfig = RunConfig | PolicyRunConfig
"""A run of a network, or of a policy on one."""

SIZES = {
    "tiny": "minutes on a laptop's CPU, for small or simulated data",
    "small": "one GPU of 8 GB",
    "full": "the published network and schedule",
    "plus": "the largest published network",
}
"""Size to what it is for."""


class Task(NamedTuple):
    """Something to train."""

    make: Callable[[str, int | None, float | None], tuple[AnyRunConfig, ...]]
    """Size, epochs and rate, both None for those of the recipe, to its runs: one, or one for each stage."""
    sizes: tuple[str, ...]
    """Those that it has, smallest first."""


def _one(make: Callable[[str], RunConfig], sizes: tuple[str, ...] = ("tiny", "small", "full")) -> Task:
    def changed(size: str, num_epochs: int | None, max_lr: float | None) -> tuple[AnyRunConfig, ...]:
        return (_with_extent(make(size), num_epochs, max_lr),)

    return Task(changed, sizes)


def _with_extent(config: RunConfig, num_epochs: int | None, max_lr: float | None) -> RunConfig:
    training = config.training
    return replace(
        config,
        training=replace(
            training,
            num_epochs=training.num_epochs if num_epochs is None else num_epochs,
            max_lr=training.max_lr if max_lr is None else max_lr,
        ),
    )


def _acquire(
    make: Callable[..., tuple[RunConfig, PolicyRunConfig]], sizes: tuple[str, ...] = ("tiny", "small", "full")
) -> Task:
    """A reconstructor, then a policy on it; epochs and rate are the reconstructor's."""

    def changed(size: str, num_epochs: int | None, max_lr: float | None) -> tuple[AnyRunConfig, ...]:
        first, second = make(size)
        return _with_extent(first, num_epochs, max_lr), second

    return Task(changed, sizes)


def _staged(anatomy: str, acceleration: int) -> Task:
    return Task(partial(challenge.stages, anatomy, acceleration), challenge.SIZES)


TASKS: dict[str, Task] = {
    "knee_acc4": _staged("knee", 4),
    "knee_acc8": _staged("knee", 8),
    "brain_acc4": _staged("brain", 4),
    "brain_acc8": _staged("brain", 8),
    "knee_multicoil": _one(baselines.knee_multicoil),
    "brain_multicoil": _one(baselines.brain_multicoil),
    "knee_singlecoil": _one(baselines.knee_singlecoil),
    "knee_banding": Task(banding.knee_banding, banding.SIZES),
    "brain_sampling": _one(sampling.brain_sampling),
    "digits_sampling": _one(sampling.digits_sampling, ("tiny", "full")),
    "knee_sampling": _one(sampling.knee_sampling),
    "knee_acquire": _acquire(acquisition_policy.knee_acquire),
    "digits_acquire": _acquire(acquisition_policy.digits_acquire, ("tiny", "full")),
    "anatomy": _one(classifier.anatomy, ("tiny",)),
    "orientation": _one(classifier.orientation, ("tiny", "full")),
}
"""Name to what is trained under it."""
POLICY_STAGES: dict[str, Callable[[str, str], tuple[RunConfig, PolicyRunConfig]]] = {
    "knee_acquire": acquisition_policy.knee_acquire,
    "digits_acquire": acquisition_policy.digits_acquire,
}
"""Task that learns a policy to its runs, by size and name of the policy."""


def recipes(
    task: str, size: str, *, num_epochs: int | None = None, max_lr: float | None = None
) -> tuple[AnyRunConfig, ...]:
    """The runs of a task in their order: one for each stage, or a single one of stage 0.

    Args:
        task: A key of TASKS.
        size: A key of SIZES that the task has.
        num_epochs: Of each stage; augmentation and schedules follow it. None for those of the recipe.
        max_lr: Of the first stage; those of the others follow it. None for that of the recipe.

    Raises:
        ConfigError: There is no such task or size, or a number is out of range.
    """
    if task not in TASKS:
        raise ConfigError(f"no task is called {task!r}; there are {', '.join(TASKS)}")
    if size not in SIZES:
        raise ConfigError(f"no size is called {size!r}; there are {', '.join(SIZES)}")
    if size not in TASKS[task].sizes:
        raise ConfigError(f"{task} has no size {size}, but {', '.join(TASKS[task].sizes)}")
    return TASKS[task].make(size, num_epochs, max_lr)


def recipe(
    task: str, size: str, stage: int = 0, *, num_epochs: int | None = None, max_lr: float | None = None
) -> AnyRunConfig:
    """One run of a task.

    Args:
        task: A key of TASKS.
        size: A key of SIZES that the task has.
        stage: From 1, where it has several; else 0.
        num_epochs: As for `recipes`.
        max_lr: As for `recipes`.

    Raises:
        ConfigError: There is no such task, size or stage.
    """
    runs = {config.stage: config for config in recipes(task, size, num_epochs=num_epochs, max_lr=max_lr)}
    if stage not in runs:
        known = ", ".join(map(str, runs)) if 0 not in runs else "no stages"
        raise ConfigError(f"{task} has {'stages ' if 0 not in runs else ''}{known}, found stage {stage or 'none'}")
    return runs[stage]


def with_policy(config: PolicyRunConfig, policy: str) -> PolicyRunConfig:
    """The same stage of the same recipe for another policy, with that one's settings.

    Raises:
        ConfigError: There is no such policy, or it needs no training.
    """
    return POLICY_STAGES[config.task](config.size, policy)[1]


def networks(configs: Sequence[AnyRunConfig]) -> list[RunConfig]:
    """The runs among these that train a network."""
    return [config for config in configs if isinstance(config, RunConfig)]
