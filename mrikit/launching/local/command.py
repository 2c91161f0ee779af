"""Command, environment and settings of a local job."""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from mrikit.errors import ConfigError
from mrikit.launching import processes
from mrikit.launching.gpus import VISIBLE, require_gpus, visible_gpus
from mrikit.launching.job import JobPlan, JobSpec
from mrikit.launching.local.traits import DEFAULTS, LOCAL
from mrikit.launching.logs import OTHERS
from mrikit.launching.traits import require_known

PROGRAM = (sys.executable, "-P", "-m", "mrikit")
"""What stands before the words of a command; -P, because the folder where it runs may have a `jobs` of its own."""
_LAUNCHERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE")
_LAUNCHER_PREFIXES = ("MASTER_", "OMPI_", "SLURM_", "TORCHELASTIC_", "ROLE_")


def plan_of(spec: JobSpec, folder: Path, program: tuple[str, ...] = PROGRAM) -> JobPlan:
    """What would be started, as a line that a shell takes.

    Args:
        spec: Of the job.
        folder: Of the job.
        program: What stands before the words of the command.

    Raises:
        ConfigError: This machine cannot run it.
    """
    _require_possible(spec)
    command = command_of(spec, folder, program)
    env = environment_of(spec)
    words = " ".join([*(f"{name}={shlex.quote(value)}" for name, value in env.items()), shlex.join(command)])
    notes = [f"it goes on when this terminal is closed; what it says goes to {folder}/log-*.txt"]
    if spec.spot:
        notes.append("--spot changes nothing here: nobody takes this machine away")
    if spec.simulates_preemption:
        kills = int(_setting(spec, "kills"))
        within = f"within {_setting(spec, 'kill_within_s'):g} s of a start"
        notes.append(f"it is killed {min(kills, spec.max_restarts)} times, {within}")
    processes = "1 process" if spec.num_processes == 1 else f"{spec.num_processes} processes"
    return JobPlan(
        where=f"this machine, {processes}",
        command=command,
        env=env,
        job_file=f"cd {shlex.quote(spec.folder)} && {words}\n",
        runs_on="cuda" if spec.gpus_per_node else "cpu",
        notes=tuple(notes),
    )


def command_of(spec: JobSpec, folder: Path, program: tuple[str, ...] = PROGRAM) -> tuple[str, ...]:
    """The command, whole; torchrun starts several processes, and keeps what all but the first say apart."""
    command = (*program, *spec.command)
    if spec.processes_per_node == 1:
        return command
    apart = ",".join(f"{rank}:3" for rank in range(1, spec.processes_per_node))
    launch = (sys.executable, "-P", "-m", "torch.distributed.run", "--standalone")
    kept = ("--redirects", apart, "--log-dir", str(folder / OTHERS))
    return (*launch, "--nproc-per-node", str(spec.processes_per_node), *kept, "--no-python", *command)


def environment_of(spec: JobSpec) -> dict[str, str]:
    """The environment besides what is inherited: lines are written at once, and the processes share the cores."""
    own = {"PYTHONUNBUFFERED": "1"}
    if spec.processes_per_node > 1:
        own["OMP_NUM_THREADS"] = str(max(1, len(os.sched_getaffinity(0)) // spec.processes_per_node))
    if spec.gpu_ids:
        # CUDA's own order would be the fastest first.
        own |= {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", VISIBLE: ",".join(spec.gpu_ids)}
    return {**own, **spec.env}


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without what says that a launcher or another job has started this process."""
    names = {*_LAUNCHERS, processes.MARK}
    return {name: value for name, value in environ.items() if name not in names and not _is_launchers(name)}


def grace_s(spec: JobSpec) -> float:
    """Seconds from SIGTERM to SIGKILL."""
    return _setting(spec, "grace_s")


def kill_delays_s(spec: JobSpec, number: int) -> list[float]:
    """Seconds from each coming start to a kill for practice; only as many as it may be started again.

    Args:
        spec: Of the job.
        number: Of the next start.
    """
    if not spec.simulates_preemption:
        return []
    from mrikit.randomness import generator

    count, within = min(int(_setting(spec, "kills")), spec.max_restarts), _setting(spec, "kill_within_s")
    return [generator("preemption", spec.name, number + index).uniform(0, within) for index in range(count)]


def _is_launchers(name: str) -> bool:
    return name.startswith(_LAUNCHER_PREFIXES)


def _require_possible(spec: JobSpec) -> None:
    if spec.nodes > 1:
        raise ConfigError(f"--on local --nodes {spec.nodes}: this is one machine; take --on slurm or --on azure")
    if spec.gpus_per_node and not spec.gpu_ids:
        require_gpus("local", spec.gpus_per_node, visible_gpus())
    require_known(spec, LOCAL)
    for name in spec.resources:
        _setting(spec, name)
    if not Path("/proc/self/environ").exists():
        raise ConfigError(
            "--on local finds the processes of a job in /proc, which this system has not; take --on docker"
        )


def _setting(spec: JobSpec, name: str) -> float:
    text = spec.resources.get(name)
    if text is None:
        return DEFAULTS[name]
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ConfigError(f"--resource {name}={text}: a number, 0 or more, is needed")
    return value
