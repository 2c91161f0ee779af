"""Table of back ends."""

from mrikit.errors import ConfigError
from mrikit.launching.job import Backend

NAMES = ("local", "docker", "slurm", "azure")
"""What `--on` takes."""
ON_THIS_MACHINE = ("local", "docker")
"""Those that share the GPUs of this machine and have no queue: whoever submits waits."""


def open_backend(name: str) -> Backend:
    """A back end by its name; nothing is contacted.

    Raises:
        ConfigError: There is none of this name, or what it needs is not installed.
    """
    if name == "local":
        from mrikit.launching.local.backend import LocalBackend

        return LocalBackend()
    if name == "docker":
        from mrikit.launching.docker.backend import DockerBackend

        return DockerBackend()
    if name == "slurm":
        from mrikit.launching.slurm.backend import SlurmBackend

        return SlurmBackend()
    if name == "azure":
        from mrikit.launching.azure_ml.backend import AzureBackend

        return AzureBackend()
    raise ConfigError(f"--on {name}: one of {', '.join(NAMES)}")
