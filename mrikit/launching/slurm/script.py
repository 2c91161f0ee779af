"""Batch script of a job, as text."""

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrikit.errors import ConfigError
from mrikit.launching.job import JobSpec
from mrikit.launching.records import spec_from_json, spec_to_json
from mrikit.launching.slurm.body import BODY
from mrikit.launching.slurm.traits import KILL_WITHIN_S, KILLS, OPTIONS, SLURM, num_gres_gpus
from mrikit.launching.traits import require_known

MARK = "mrikit"
"""Comment of our jobs, by which they are found in the queue."""
_SPEC_LINE = "#MRIKIT "
_MEMORY = re.compile(r"(\d+)([KMGT]?)B?", re.IGNORECASE)
_NOTICE_S = 120
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MINUTES_PER_HOUR, _SECONDS_PER_MINUTE = 60, 60
_MAIL_TYPE = "END,FAIL"
_DEFAULTS = {KILLS: "2", KILL_WITHIN_S: "60"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a script runs, and what it runs."""

    python: str
    """Absolute path of the interpreter that has mrikit."""
    jobs: Path
    """Folder of all jobs, on a file system that the machines share."""


def script(spec: JobSpec, place: Place) -> str:
    """The batch script of one job.

    Args:
        spec: What it is.
        place: Where it runs.

    Raises:
        ConfigError: Slurm cannot run it.
    """
    _require_possible(spec, place)
    output = place.jobs / spec.name / "batch-%j.txt"
    head = [*_options(spec, spec.name, output), _SPEC_LINE + spec_to_json(spec)]
    return "\n".join(["#!/bin/bash", *head, "", *_settings(spec, place), *_shape(spec), BODY])


def array_script(specs: Sequence[JobSpec], place: Place, at_once: int) -> str:
    """The batch script of many jobs that need the same machines, as one array.

    Args:
        specs: What they are; their numbers in the array are their order here.
        place: Where they run.
        at_once: How many of them at a time.

    Raises:
        ConfigError: Slurm cannot run one of them, or they are not alike.
    """
    if not specs or at_once < 1:
        raise ConfigError(
            f"an array has at least one job and runs at least one at a time; found {len(specs)}, {at_once}"
        )
    for spec in specs:
        _require_possible(spec, place)
        if _machines(spec) != _machines(specs[0]):
            raise ConfigError(f"jobs of an array need the same machines; {spec.name} needs others than {specs[0].name}")
    options = _options(specs[0], specs[0].name, place.jobs / ARRAYS / "batch-%A_%a.txt")
    options.append(f"#SBATCH --array=0-{len(specs) - 1}%{at_once}")
    lines = ["#!/bin/bash", *options, *(_SPEC_LINE + spec_to_json(spec) for spec in specs), ""]
    lines.append("case $SLURM_ARRAY_TASK_ID in")
    for number, spec in enumerate(specs):
        lines += [f"{number})", *_settings(spec, place), ";;"]
    return "\n".join([*lines, "esac", *_shape(specs[0]), BODY])


ARRAYS = ".arrays"
"""Folder among those of the jobs for what Slurm itself says of arrays."""


def specs_of(text: str) -> list[JobSpec]:
    """The jobs of a script that was written here.

    Raises:
        JobError: It is none, or damaged.
    """
    lines = text.splitlines()
    return [spec_from_json(line.removeprefix(_SPEC_LINE)) for line in lines if line.startswith(_SPEC_LINE)]


def kill_delays_s(spec: JobSpec) -> list[float]:
    """Seconds after which the first starts of a job are killed for practice; always the same for a name."""
    if not spec.simulates_preemption:
        return []
    from mrikit.randomness import generator

    count, within = min(int(_setting(spec, KILLS)), spec.max_restarts), int(_setting(spec, KILL_WITHIN_S))
    return [round(generator("preemption", spec.name, index).uniform(0, within), 1) for index in range(count)]


def num_minutes(spec: JobSpec) -> int:
    """The time limit of a start as Slurm counts it."""
    return max(1, math.ceil(spec.max_hours * _MINUTES_PER_HOUR))


def notice_s(spec: JobSpec) -> int:
    """How long before the time limit a job is told to keep its state."""
    return min(_NOTICE_S, num_minutes(spec) * _SECONDS_PER_MINUTE // 4)


def given_options(spec: JobSpec) -> dict[str, str]:
    """The options of sbatch that the resources of a job stand for."""
    given = {OPTIONS[key]: _memory(value) if key == "memory" else value for key, value in _resources(spec).items()}
    return given | ({"mail-type": _MAIL_TYPE} if "mail-user" in given and "mail-type" not in given else {})


def _require_possible(spec: JobSpec, place: Place) -> None:
    require_known(spec, SLURM)
    for key, value in spec.resources.items():
        if not value or not value.isprintable():
            raise ConfigError(f"--resource {key}={value!r}: a word without line breaks is needed")
    for key in _DEFAULTS:
        if not _setting(spec, key).isdecimal():
            raise ConfigError(f"--resource {key}={_setting(spec, key)}: a whole number is needed")
    cpus, memory = spec.resources.get("cpus", "1"), spec.resources.get("memory", "1")
    if not cpus.isdecimal() or int(cpus) < 1:
        raise ConfigError(f"--resource cpus={cpus}: a whole number of cores for each process is needed")
    if not _MEMORY.fullmatch(memory):
        raise ConfigError(f"--resource memory={memory}: the memory of each machine is needed, such as 64GB")
    num_gpus = num_gres_gpus(spec)
    if num_gpus and spec.gpus_per_node not in (0, num_gpus):
        raise ConfigError(
            f"--gpus {spec.gpus_per_node} and --resource gres={spec.resources['gres']} ask for different numbers of "
            f"GPUs on each machine; leave out --gpus, and gres counts"
        )
    if not place.python.startswith("/"):
        raise ConfigError(f"--resource python={place.python}: an absolute path is needed, the same on every machine")
    if "\\" in str(place.jobs) or not str(place.jobs).isprintable():
        raise ConfigError(
            f"{place.jobs}: Slurm writes no file below a folder with a backslash or line break in its name"
        )
    for name, value in spec.env.items():
        if not _NAME.fullmatch(name) or "\0" in value:
            raise ConfigError(f"{name!r}: not the name of an environment variable, or with a value that is no text")


def _options(spec: JobSpec, name: str, output: Path) -> list[str]:
    """The lines for sbatch."""
    options: dict[str, str | None] = {
        "job-name": name,
        "comment": MARK,
        "nodes": str(spec.nodes),
        "ntasks-per-node": str(spec.processes_per_node),
        # Some clusters give GPUs by --gres alone.
        **({"gpus-per-node": str(spec.gpus_per_node)} if spec.gpus_per_node and not num_gres_gpus(spec) else {}),
        "time": str(num_minutes(spec)),
        "signal": f"B:USR1@{notice_s(spec)}",
        "requeue": None,
        "open-mode": "append",
        "output": str(output.parent).replace("%", "%%") + f"/{output.name}",
        **given_options(spec),
    }
    return [f"#SBATCH --{name}" + ("" if value is None else f"={_quoted(value)}") for name, value in options.items()]


def _settings(spec: JobSpec, place: Place) -> list[str]:
    """What the script has to know of one job."""
    command = [place.python, "-P", "-m", "mrikit", *spec.command]
    return [
        f"job_folder={shlex.quote(str(place.jobs / spec.name))}",
        f"work_folder={shlex.quote(spec.folder)}",
        f"max_restarts={spec.max_restarts}",
        f"max_errors={spec.max_errors}",
        f"kill_after_s=({' '.join(f'{delay:g}' for delay in kill_delays_s(spec))})",
        f"command=({shlex.join(command)})",
        f"environment=({shlex.join(f'{name}={value}' for name, value in spec.env.items())})",
    ]


def _shape(spec: JobSpec) -> list[str]:
    """How many processes there are, and how long a start may take to end."""
    cpus = spec.resources.get("cpus")
    words = [f"--nodes={spec.nodes}", f"--ntasks={spec.num_processes}", f"--ntasks-per-node={spec.processes_per_node}"]
    # Slurm 22.05 and newer do not hand the cores of a job on to its steps.
    words += [f"--cpus-per-task={cpus}"] if cpus else []
    return [f"processes=({' '.join(words)})", f"num_tasks={spec.num_processes}", f"grace_s={notice_s(spec) * 3 // 4}"]


def _machines(spec: JobSpec) -> tuple[object, ...]:
    return (spec.nodes, spec.processes_per_node, spec.gpus_per_node, spec.max_hours, dict(spec.resources))


def _resources(spec: JobSpec) -> Mapping[str, str]:
    return {key: value for key, value in spec.resources.items() if key in OPTIONS}


def _setting(spec: JobSpec, key: str) -> str:
    return spec.resources.get(key, _DEFAULTS[key])


def _memory(text: str) -> str:
    match = _MEMORY.fullmatch(text)
    return text if match is None else f"{match[1]}{match[2].upper()}"


def _quoted(value: str) -> str:
    """A value as sbatch reads its lines: in double quotes, where a backslash takes the next letter as it is."""
    if re.fullmatch(r"[A-Za-z0-9_.,:/@%+=-]+", value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
