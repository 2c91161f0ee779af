"""What Docker is like as a back end."""

from mrikit.launching.job import Backend
from mrikit.launching.traits import Traits


def _open() -> Backend:
    from mrikit.launching.docker.backend import DockerBackend

    return DockerBackend()


DOCKER = Traits(
    name="docker",
    open=_open,
    # The container image, its bounds as Docker writes them, a network, other folders to read.
    resources=("image", "memory", "cpus", "shm", "network", "mount"),
    uses_this_machine=True,
)
