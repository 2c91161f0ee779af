"""The tasks by name: for each size the runs that train it, one for each stage."""

from collections.abc import Callable
from typing import NamedTuple

from mrikit.errors import ConfigError
from mrikit.recipes import baselines, challenge, classifier
from mrikit.training import RunConfig

SIZES = {
    "tiny": "minutes on a laptop's CPU, for small or simulated data",
    "small": "one GPU of 8 GB",
    "full": "the published network and schedule",
    "plus": "the largest published network",
}
"""Size to what it is for."""


class Task(NamedTuple):
    """Something to train."""

    make: Callable[[str], tuple[RunConfig, ...]]
    """Size to its runs: one, or one for each stage."""
    sizes: tuple[str, ...]
    """Those that it has, smallest first."""


def _one(make: Callable[[str], RunConfig]) -> Task:
    return Task(lambda size: (make(size),), ("tiny", "small", "full"))


TASKS: dict[str, Task] = {
    "knee_acc4": Task(challenge.knee_acc4, challenge.SIZES),
    "knee_acc8": Task(challenge.knee_acc8, challenge.SIZES),
    "brain_acc4": Task(challenge.brain_acc4, challenge.SIZES),
    "brain_acc8": Task(challenge.brain_acc8, challenge.SIZES),
    "knee_multicoil": _one(baselines.knee_multicoil),
    "brain_multicoil": _one(baselines.brain_multicoil),
    "knee_singlecoil": _one(baselines.knee_singlecoil),
    "anatomy": Task(classifier.anatomy, ("tiny",)),
}
"""Name to what is trained under it."""


def recipes(task: str, size: str) -> tuple[RunConfig, ...]:
    """The runs of a task in their order: one for each stage, or a single one of stage 0.

    Raises:
        ConfigError: There is no such task or size.
    """
    if task not in TASKS:
        raise ConfigError(f"no task is called {task!r}; there are {', '.join(TASKS)}")
    if size not in SIZES:
        raise ConfigError(f"no size is called {size!r}; there are {', '.join(SIZES)}")
    if size not in TASKS[task].sizes:
        raise ConfigError(f"{task} has no size {size}, but {', '.join(TASKS[task].sizes)}")
    return TASKS[task].make(size)


def recipe(task: str, size: str, stage: int = 0) -> RunConfig:
    """One run of a task.

    Args:
        task: A key of TASKS.
        size: A key of SIZES that the task has.
        stage: From 1, where it has several; else 0.

    Raises:
        ConfigError: There is no such task, size or stage.
    """
    runs = {config.stage: config for config in recipes(task, size)}
    if stage not in runs:
        known = ", ".join(map(str, runs)) if 0 not in runs else "no stages"
        raise ConfigError(f"{task} has {'stages ' if 0 not in runs else ''}{known}, found stage {stage or 'none'}")
    return runs[stage]
