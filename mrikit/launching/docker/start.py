"""Start of a job's containers, all or none."""

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from mrikit.errors import JobError, StorageError
from mrikit.launching.docker import run_words
from mrikit.launching.docker.client import containers, docker
from mrikit.launching.docker.run_words import JOB, NUMBER
from mrikit.launching.job import JobSpec
from mrikit.launching.records import job_folder
from mrikit.launching.state import Order, write_order

_TAKEN = "is already in use by container"
_IN_USE = "has active endpoints"
_LEAVING_S, _PERIOD_S = 5.0, 0.1


def submit_containers(spec: JobSpec) -> str:
    """Start the containers of a job.

    Returns:
        The name of the first one.

    Raises:
        JobError: It goes on already, something that it needs is missing, or Docker refuses; then nothing is started.
    """
    earlier = containers(f"label={JOB}={spec.name}")
    running = [
        one["Name"].removeprefix("/") for one in earlier if one["State"]["Running"] or one["State"]["Restarting"]
    ]
    if running:
        raise JobError(f"job {spec.name} is going on already as {', '.join(running)}")
    _require_image(run_words.image_of(spec))
    number = max((int(one["Config"]["Labels"][NUMBER]) + 1 for one in earlier), default=0)
    folders = [state_folder(spec, number) / f"node-{node}" for node in range(spec.nodes)]
    names = [run_words.container_name(spec, number, node) for node in range(spec.nodes)]
    _make_places(spec, folders)
    if spec.nodes > 1:
        remove_network(spec)
        docker("network", "create", *run_words.network_words(spec))
    for node, folder in enumerate(folders):
        try:
            docker(*run_words.run_words(spec, node=node, number=number, folder=folder))
        except JobError as error:
            is_taken = _TAKEN in str(error)  # another submit was quicker, and its container stays
            for name in names[: node if is_taken else node + 1]:
                with contextlib.suppress(JobError):
                    docker("rm", "--force", name)
            remove_network(spec)
            if is_taken:
                raise JobError(f"job {spec.name} was submitted twice at this moment; the other one goes on") from error
            raise
    return names[0]


def state_folder(spec: JobSpec, number: int) -> Path:
    """Where the containers of a submission find their orders, and write how they stand."""
    return job_folder(spec.name) / f"docker-{number}"


def remove_network(spec: JobSpec) -> None:
    """Remove the network that a job on several nodes has for itself, if it is still there and nobody uses it.

    A container that has written how it ended is still in it for a moment.
    """
    if spec.nodes == 1 or "network" in spec.resources:
        return
    until = time.monotonic() + _LEAVING_S
    while True:
        try:
            docker("network", "rm", run_words.network_of(spec))
        except JobError as error:
            if _IN_USE in str(error) and time.monotonic() < until:
                time.sleep(_PERIOD_S)
                continue
        return


def _make_places(spec: JobSpec, folders: Sequence[Path]) -> None:
    """Make what is mounted to be written, and the orders of the containers; what is read has to be there."""
    for place in run_words.read_places(spec):
        if not Path(place).exists():
            raise JobError(f"{place}: no such file or folder; it would be mounted into the container")
    try:
        for place in run_words.written_folders(spec):
            Path(place).mkdir(parents=True, exist_ok=True)
        for node, folder in enumerate(folders):
            folder.mkdir(parents=True, exist_ok=True)
            order = Order(
                spec=run_words.without_restarts(spec),
                command=run_words.command_of(spec, node),
                env=run_words.environment_of(spec),
            )
            write_order(folder, order)
    except (OSError, StorageError) as error:
        raise JobError(f"what the job needs on this machine cannot be made: {error}") from error


def _require_image(image: str) -> None:
    """The image has to be here or in the registry that its name begins with."""
    try:
        docker("image", "inspect", "--format", "{{.Id}}", image)
    except JobError as error:
        if "No such image" not in str(error):
            raise
        if "/" in image:  # `docker run` brings it
            return
        ours = {"mrikit": "", "mrikit-cpu": " --cpu"}
        which = ours.get(image.partition(":")[0])
        if which is None:
            raise JobError(f"container image {image} is not here; pull it, or name another one") from error
        raise JobError(
            f"container image {image} is not here; `mrikit image build{which}` makes it, or name another one with "
            f"--resource image=NAME"
        ) from error
