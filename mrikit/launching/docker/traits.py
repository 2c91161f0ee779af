"""What Docker is like as a back end."""

import os

from mrikit.launching.job import Backend
from mrikit.launching.traits import Traits


def _open() -> Backend:
    from mrikit.launching.docker.backend import DockerBackend

    return DockerBackend()


def _is_here() -> bool:
    """Whether the engine runs on this machine, as far as its address tells."""
    host = os.environ.get("DOCKER_HOST", "")
    return not host or host.startswith("unix://")


DOCKER = Traits(
    name="docker",
    open=_open,
    # The container image, its bounds as Docker writes them, a network, other folders to read.
    resources=("image", "memory", "cpus", "shm", "network", "mount"),
    uses_this_machine=_is_here,
    has_engine=True,
)
