"""Where a command may run besides here: this machine on its own, Docker, Slurm, Azure ML. One file per back end."""

from jobs.backends.job import Backend
from mrikit.errors import ConfigError

NAMES = ("local", "docker", "slurm", "azure")
"""What `--on` takes."""


def open_backend(name: str) -> Backend:
    """A back end by its name; nothing is contacted.

    Raises:
        ConfigError: There is none of this name, or what it needs is not installed.
    """
    if name == "local":
        from jobs.backends.local import LocalBackend

        return LocalBackend()
    if name == "docker":
        from jobs.backends.docker import DockerBackend

        return DockerBackend()
    if name == "slurm":
        from jobs.backends.slurm import SlurmBackend

        return SlurmBackend()
    if name == "azure":
        from jobs.backends.azure import AzureBackend

        return AzureBackend()
    raise ConfigError(f"--on {name}: one of {', '.join(NAMES)}")
