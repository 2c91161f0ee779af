"""Table of back ends."""

from mrikit.errors import ConfigError
from mrikit.launching.azure_ml.traits import AZURE
from mrikit.launching.docker.traits import DOCKER
from mrikit.launching.job import Backend
from mrikit.launching.local.traits import LOCAL
from mrikit.launching.slurm.traits import SLURM
from mrikit.launching.traits import Traits

BACKENDS = {one.name: one for one in (LOCAL, DOCKER, SLURM, AZURE)}
"""By what `--on` takes."""


def traits_of(name: str) -> Traits:
    """What a back end is like; nothing of it is loaded.

    Raises:
        ConfigError: There is none of this name.
    """
    if name not in BACKENDS:
        raise ConfigError(f"--on {name}: one of {', '.join(BACKENDS)}")
    return BACKENDS[name]


def open_backend(name: str) -> Backend:
    """A back end by its name; nothing is contacted.

    Raises:
        ConfigError: There is none of this name, or what it needs is not installed.
    """
    return traits_of(name).open()


def in_estate() -> str:
    """The back end whose jobs run in the linked estate."""
    return next(one.name for one in BACKENDS.values() if one.is_in_estate)


def rehearsing() -> str:
    """The back ends that can kill a job for practice: `local or slurm`."""
    return " or ".join(one.name for one in BACKENDS.values() if one.rehearses_preemption)
