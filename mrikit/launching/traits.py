"""Traits of a back end, which callers ask."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mrikit.errors import ConfigError
from mrikit.launching.job import Backend, JobSpec
from mrikit.storage import Location


@dataclass(frozen=True, kw_only=True, slots=True)
class Traits:
    """What is known of a back end before anything of it is loaded."""

    name: str
    """What `--on` calls it."""
    open: Callable[[], Backend]
    """Loads and makes it; contacts nobody."""
    resources: tuple[str, ...]
    """What `--resource` takes."""
    shares_files: bool = True
    """Whether jobs see the files and the variables of this machine; else all that they read and write is in az://."""
    default_runs: Location = Path("runs")
    """Where runs lie if nobody says so."""
    has_stage_jobs: bool = False
    """Whether the stages of a training are jobs of their own, each after the one before."""
    has_queue: bool = False
    """Whether submitted jobs wait there until there is room; else a sweep waits here and submits one by one."""
    has_arrays: bool = False
    """Whether it is an `ArrayBackend`."""
    rehearses_preemption: bool = False
    """Whether it can kill a job for practice."""
    uses_this_machine: Callable[[], bool] = lambda: False
    """Whether its jobs share the GPUs of this machine, so that each is given GPUs of its own."""
    has_engine: bool = False
    """Whether an engine on this machine runs its jobs; none of them runs while it does not answer."""
    is_in_estate: bool = False
    """Whether its jobs run in the linked estate, where `az://` is near."""
    default_gpus: Callable[[JobSpec], int] = lambda _spec: 0
    """GPUs of each machine for a job that computes and does not say how many."""


def require_known(spec: JobSpec, traits: Traits) -> None:
    """Refuse what the back end has not.

    Raises:
        ConfigError: An unknown resource, or a rehearsal where there is none.
    """
    for key, value in spec.resources.items():
        if key not in traits.resources:
            takes = ", ".join(traits.resources)
            raise ConfigError(f"--resource {key}={value}: --on {traits.name} takes {takes}")
    if spec.simulates_preemption and not traits.rehearses_preemption:
        raise ConfigError(f"--simulate-preemption: --on {traits.name} cannot do that; leave it out")
