"""Jobs as containers that Docker restarts.

What the engine keeps, with its labels, is enough to find a job again. How a job stands is written by its first process
(`mrikit.launching.docker.first_process`) into a folder outside the container.
"""

import codecs
import contextlib
import shlex
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from mrikit.errors import ConfigError, JobError, StorageError
from mrikit.launching.docker import run_words
from mrikit.launching.docker.client import containers, docker, docker_pieces
from mrikit.launching.docker.run_words import FOLDER, JOB, NODE, NUMBER, SPEC, STOP_TIMEOUT_S
from mrikit.launching.docker.start import remove_network, state_folder, submit_containers
from mrikit.launching.docker.traits import DOCKER
from mrikit.launching.job import CANCELLED, FAILED, GOING_ON, QUEUED, RESTARTING, UNKNOWN, JobPlan, JobSpec, JobStatus
from mrikit.launching.records import spec_from_json
from mrikit.launching.state import CANCEL_FILE, JobState, read_state

_PERIOD_S = 0.5


class DockerBackend:
    """Jobs in containers of the engine that the docker command talks to."""

    name = DOCKER.name

    def plan(self, chain: Sequence[JobSpec]) -> list[JobPlan]:
        """See `Backend`."""
        if len(chain) > 1:
            raise ConfigError(f"--on docker takes one job at a time; found {len(chain)} that wait for each other")
        return [_plan(spec) for spec in chain]

    def submit(self, chain: Sequence[JobSpec]) -> list[str]:
        """See `Backend`; a handle is the name of the first machine's container."""
        self.plan(chain)
        return [submit_containers(spec) for spec in chain]

    def status(self, spec: JobSpec, handle: str) -> JobStatus:
        """See `Backend`."""
        found = _container(handle)
        if found is None:
            return JobStatus(state=UNKNOWN, message=_gone(handle))
        status = _status(found)
        if status.state not in GOING_ON:
            remove_network(spec)  # Docker has addresses for some thirty of them, and nobody else is there at the end
        return status

    def logs(self, spec: JobSpec, handle: str, *, node: int, follow: bool) -> Iterator[str]:
        """See `Backend`; also what earlier submissions of the same job have said."""
        if node >= spec.nodes:
            raise JobError(f"job {spec.name} has {spec.nodes} node(s), counted from 0; found --node {node}")
        found = sorted(containers(f"label={JOB}={spec.name}", f"label={NODE}={node}"), key=_number)
        if not found:
            raise JobError(f"job {spec.name} has no log: {_gone(handle)}")
        return _text(_pieces([_name(one) for one in found], handle if follow else None))

    def cancel(self, spec: JobSpec, handle: str) -> None:
        """See `Backend`."""
        first = _container(handle)
        if first is None:
            return
        filters = (f"label={JOB}={spec.name}", f"label={NUMBER}={_number(first)}")
        found = [one for one in containers(*filters) if _status(one).state in GOING_ON]
        for one in found:
            folder = Path(one["Config"]["Labels"][FOLDER])
            try:
                (folder / CANCEL_FILE).touch()
            except OSError as error:
                raise JobError(f"{folder}: {error.strerror}; only who submitted the job may cancel it") from error
        if found:
            names = [_name(one) for one in found]
            docker("update", "--restart", "no", *names)
            docker("stop", "--time", str(STOP_TIMEOUT_S), *names)
        remove_network(spec)

    def pull(self, spec: JobSpec, to: Path) -> list[Path]:
        """See `Backend`; what is on this machine is here already, what is in Azure comes below the folder."""
        from mrikit.storage import BlobPath, parse_location, pulled

        paths = []
        for location in map(parse_location, spec.outputs):
            if not isinstance(location, BlobPath):
                paths += [location] if location.exists() else []
                continue
            with contextlib.suppress(StorageError):  # nothing is there yet
                paths.append(Path(shutil.copytree(pulled(location), to / location.name, dirs_exist_ok=True)))
        return paths

    def find(self) -> list[tuple[JobSpec, str]]:
        """See `Backend`; the latest submission of each job."""
        found = sorted(containers(f"label={JOB}", f"label={NODE}=0"), key=_number)
        latest = {one["Config"]["Labels"][JOB]: one for one in found}
        return [(spec_from_json(one["Config"]["Labels"][SPEC]), _name(one)) for one in latest.values()]


def _plan(spec: JobSpec) -> JobPlan:
    run_words.require_possible(spec)
    folder, network = state_folder(spec, 0), run_words.network_of(spec)
    lines = [] if spec.nodes == 1 else [["network", "create", *run_words.network_words(spec)]]
    lines += [
        run_words.run_words(spec, node=node, number=0, folder=folder / f"node-{node}") for node in range(spec.nodes)
    ]
    notes = [
        f"it goes on when this terminal is closed; network of the container: {network}",
        "it sees its working folder and the places that the command names; name others with --resource mount=PATH",
    ]
    if spec.nodes > 1:
        notes.append("containers of several nodes end together when one does; `mrikit jobs resume` goes on")
    if spec.spot:
        notes.append("--spot changes nothing here: nobody takes this machine away")
    if run_words.uses_azure(spec):
        notes.append("for az:// the container signs in as this machine's identity; your own `az login` is not in it")
    return JobPlan(
        where=f"Docker, container image {run_words.image_of(spec)}",
        command=run_words.command_of(spec, 0),
        env=run_words.environment_of(spec),
        job_file="\n".join(shlex.join(["docker", *words]) for words in lines),
        runs_on="cuda" if spec.gpus_per_node else "cpu",
        notes=tuple(notes),
    )


def _status(found: Mapping[str, Any]) -> JobStatus:
    """How a container's job stands, from what its first process wrote and from what Docker says of it."""
    container = found["State"]
    folder = Path(found["Config"]["Labels"][FOLDER])
    try:
        state = read_state(folder) or JobState()
    except (StorageError, JobError) as error:
        return JobStatus(state=UNKNOWN, message=f"how it stands cannot be read: {error}")
    if state.state not in GOING_ON or container["Running"]:
        return state.status()
    if container["Restarting"]:
        return replace(state.status(), state=RESTARTING)
    if container["Status"] == "created":
        return JobStatus(state=QUEUED, message="its container is made and not started")
    ended = {"exit_code": container["ExitCode"], "ended_at": _unix_time(container["FinishedAt"])}
    if (folder / CANCEL_FILE).exists():
        return replace(state.status(), state=CANCELLED, message="cancelled", **ended)
    if state.started_at is None:
        message = "its container ends before the command starts; `mrikit jobs logs` says why"
    else:
        why = "out of memory" if container["OOMKilled"] else f"exit code {container['ExitCode']}"
        message = f"its container was stopped from outside ({why}); `mrikit jobs resume` goes on"
    is_out_of_memory = bool(container.get("OOMKilled"))
    return replace(state.status(), state=FAILED, message=message, is_out_of_memory=is_out_of_memory, **ended)


def _pieces(names: Sequence[str], followed: str | None) -> Iterator[bytes]:
    """What containers have said, one after the other; of the last one until the job of a container ends."""
    for name in names[:-1]:
        yield from docker_pieces("logs", name)
    if followed is None:
        yield from docker_pieces("logs", names[-1])
        return
    num_said, is_over = 0, False
    while True:  # Docker stops following when it starts the container again
        num_known = num_said
        for piece in docker_pieces("logs", "--follow", names[-1]):
            rest = piece[num_known:]
            num_known = max(0, num_known - len(piece))
            num_said += len(rest)
            yield rest
        if is_over:
            return
        found = _container(followed)
        is_over = found is None or _status(found).state not in GOING_ON
        if found is None:
            return
        time.sleep(_PERIOD_S)


def _text(pieces: Iterable[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for piece in pieces:
        yield decoder.decode(piece)


def _container(handle: str) -> dict[str, Any] | None:
    found = containers(f"name=^/?{handle}$")
    return found[0] if found else None


def _name(found: Mapping[str, Any]) -> str:
    return str(found["Name"]).removeprefix("/")


def _number(found: Mapping[str, Any]) -> int:
    return int(found["Config"]["Labels"][NUMBER])


def _gone(handle: str) -> str:
    return f"Docker knows no container {handle}; was it removed, or is DOCKER_HOST another one?"


def _unix_time(text: str) -> float:
    """Of Docker's times, which count nanoseconds."""
    return datetime.fromisoformat(text[:19] + "+00:00").timestamp()
