"""Arguments of `docker run` for a job."""

import itertools
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from mrikit import __version__
from mrikit.errors import ConfigError
from mrikit.launching.docker.traits import DOCKER
from mrikit.launching.job import JobSpec
from mrikit.launching.records import spec_to_json
from mrikit.launching.traits import require_known
from mrikit.storage.estate import ESTATE, estate_file

JOB, NODE, SPEC, FOLDER, NUMBER = (f"mrikit.{word}" for word in ("job", "node", "spec", "folder", "number"))
"""Labels of a container: whose it is, and what another machine needs to know."""
STOP_TIMEOUT_S = 30
_AZURE = "az://"
_PORT = 29_500
_SHM = "1g"
_OF_THE_IMAGE = ("/opt/venv", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/proc", "/sys", "/dev")
_FILE_OPTIONS = ("--index",)
"""Options that name a file to write, which may not be there yet: its folder is what can be mounted."""


def image_of(spec: JobSpec) -> str:
    """The container image of a job."""
    plain = "mrikit" if spec.gpus_per_node else "mrikit-cpu"
    return spec.resources.get("image", f"{plain}:{__version__}")


def command_of(spec: JobSpec, node: int) -> tuple[str, ...]:
    """What is started in the container of a node: the command, or torchrun that starts several of it."""
    command = ("mrikit", *spec.command)
    if spec.num_processes == 1:
        return command
    master = "127.0.0.1" if spec.nodes == 1 else host_of(0)
    return (
        "torchrun", "--nnodes", str(spec.nodes), "--node-rank", str(node),
        "--nproc-per-node", str(spec.processes_per_node), "--master-addr", master, "--master-port", str(_PORT),
        "--no-python", *command,
    )  # fmt: skip


def environment_of(spec: JobSpec) -> dict[str, str]:
    """What the command finds in its environment besides what the image sets."""
    env = dict(spec.env)
    if "cpus" in spec.resources:
        env.setdefault("OMP_NUM_THREADS", str(max(1, int(_cpus(spec)) // spec.processes_per_node)))
    if uses_azure(spec) and estate_file().exists():
        env[ESTATE] = str(estate_file().absolute())
    return env


def host_of(node: int) -> str:
    """What the containers of a job call each other."""
    return f"node{node}"


def container_name(spec: JobSpec, number: int, node: int) -> str:
    """The name of a container: the second of the same name is refused by Docker itself.

    Args:
        spec: Of the job.
        number: Of the submission, from 0.
        node: Of the machine, from 0.
    """
    return f"mrikit-{spec.name}" + (f".{number}" if number else "") + (f"-node{node}" if node else "")


def network_of(spec: JobSpec) -> str:
    """`none`, Docker's own, or one for this job alone."""
    named = spec.resources.get("network")
    if named:
        return named
    if spec.nodes > 1:
        return f"mrikit-{spec.name}"
    return "bridge" if uses_azure(spec) else "none"


def network_words(spec: JobSpec) -> list[str]:
    """Words of `docker network create` for a job on several nodes; from an internal one nobody else is reached."""
    return ["--label", f"{JOB}={spec.name}", *([] if uses_azure(spec) else ["--internal"]), network_of(spec)]


def run_words(spec: JobSpec, *, node: int, number: int, folder: Path) -> list[str]:
    """Words after `docker` that start the container of a node.

    Args:
        spec: Of the job.
        node: Number of the machine, from 0.
        number: Of the submission, from 0.
        folder: Where the job's first process finds its order, and writes how it stands.
    """
    limits = [
        word
        for key, option in (("memory", "--memory"), ("cpus", "--cpus"))
        if key in spec.resources
        for word in (option, spec.resources[key])
    ]
    labels = {JOB: spec.name, NODE: str(node), NUMBER: str(number), FOLDER: str(folder), SPEC: spec_to_json(spec)}
    several = ["--hostname", host_of(node), "--network-alias", host_of(node)] if spec.nodes > 1 else []
    return [
        "run", "--detach", "--name", container_name(spec, number, node),
        *(word for name, value in labels.items() for word in ("--label", f"{name}={value}")),
        "--restart", restart_policy(spec), "--stop-timeout", str(STOP_TIMEOUT_S),
        "--user", f"{os.getuid()}:{os.getgid()}",
        *(word for group in sorted(set(os.getgroups()) - {os.getgid()}) for word in ("--group-add", str(group))),
        "--read-only", "--tmpfs", "/tmp",  # noqa: S108 - of the container
        "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
        "--network", network_of(spec), *several,
        "--shm-size", spec.resources.get("shm", _SHM), *limits,
        *(["--gpus", _gpus(spec, node)] if spec.gpus_per_node else []),
        *(word for mount in mounts(spec, folder) for word in ("--mount", mount)),
        "--workdir", spec.folder,
        "--entrypoint", "python", image_of(spec), "-P", "-m", "mrikit.launching.docker.first_process", str(folder),
    ]  # fmt: skip


def restart_policy(spec: JobSpec) -> str:
    """Docker starts again what ends with an error, which the first process does only if it was killed.

    One more than may be, because that process counts itself; none of several, which only end together.
    """
    return f"on-failure:{spec.max_restarts + 1}" if spec.nodes == 1 else "no"


def mounts(spec: JobSpec, folder: Path) -> list[str]:
    """Mounts at the paths that they have here: the working folder and outputs to write, inputs only to read."""
    is_deleting = spec.command[:2] == ("data", "unpack")  # an archive that is unpacked
    read = read_places(spec)
    written = [spec.folder, str(folder), *written_folders(spec)]
    if is_deleting:
        written += [place if Path(place).is_dir() else str(Path(place).parent) for place in local_places(spec.inputs)]
    if uses_azure(spec) and estate_file().exists():
        read.append(str(estate_file().absolute()))
    modes = dict.fromkeys(read, ",readonly") | dict.fromkeys(written, "")
    lines = []
    for place, mode in sorted(modes.items()):
        outer = [other for other in modes if other != place and Path(place).is_relative_to(other)]
        is_there = bool(outer) and modes[max(outer, key=len)] == mode
        if not is_there and not (mode and is_deleting and outer):
            lines.append(f"type=bind,{_field('src', place)},{_field('dst', place)}{mode}")
    return lines


def read_places(spec: JobSpec) -> list[str]:
    """The places on this machine that a job reads: those of its command, and others that `--resource mount` names."""
    return [*local_places(spec.inputs), *filter(None, spec.resources.get("mount", "").split(","))]


def written_folders(spec: JobSpec) -> list[str]:
    """The folders on this machine that a job writes into: its outputs, and of those that are files where they lie."""
    pairs = itertools.pairwise(spec.command)
    files = {str(Path(spec.folder, word)) for option, word in pairs if option in _FILE_OPTIONS}
    return [str(Path(place).parent) if place in files else place for place in local_places(spec.outputs)]


def local_places(given: Sequence[str]) -> list[str]:
    """The places that are on this machine."""
    return [place for place in given if not place.startswith(_AZURE)]


def without_restarts(spec: JobSpec) -> JobSpec:
    """The same job for one of several containers, which end together: only all of them can be started again."""
    return replace(spec, max_restarts=0, max_errors=0) if spec.nodes > 1 else spec


def uses_azure(spec: JobSpec) -> bool:
    """Whether a job reads or writes in Azure, also by a word of its command."""
    return any(place.startswith(_AZURE) for place in (*spec.inputs, *spec.outputs, *spec.command))


def require_possible(spec: JobSpec) -> None:
    """Whether Docker can run such a job.

    Raises:
        ConfigError: It cannot.
    """
    require_known(spec, DOCKER)
    if spec.resources.get("network") == "none" and (spec.nodes > 1 or uses_azure(spec)):
        raise ConfigError("--resource network=none: several nodes and az:// places need a network; leave it out")
    if "cpus" in spec.resources:
        _cpus(spec)
    for place in [spec.folder, *written_folders(spec), *read_places(spec)]:
        if not place.startswith("/"):
            raise ConfigError(f"--resource mount={place}: an absolute path is needed")
        path = PurePosixPath(place)
        hidden = [one for one in _OF_THE_IMAGE if PurePosixPath(one).is_relative_to(path) or path.is_relative_to(one)]
        if hidden:
            raise ConfigError(
                f"{place} cannot be mounted at its own path: the container has {hidden[0]} of its own; run it from, "
                f"and with, folders elsewhere"
            )


def _gpus(spec: JobSpec, node: int) -> str:
    """The GPUs of a node: its own if they were chosen, else so many."""
    own = spec.gpu_ids[node * spec.gpus_per_node : (node + 1) * spec.gpus_per_node]
    return _field("device", ",".join(own)) if own else str(spec.gpus_per_node)


def _cpus(spec: JobSpec) -> float:
    text = spec.resources["cpus"]
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ConfigError(f"--resource cpus={text}: a number above 0 is needed")
    return value


def _field(name: str, value: str) -> str:
    """One field of a mount or of GPUs, which Docker reads as CSV."""
    text = f"{name}={value}"
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if "," in text or '"' in text else text
