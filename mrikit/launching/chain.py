"""Jobs of a command, one for each stage."""

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrikit.errors import ConfigError
from mrikit.launching.backends import traits_of
from mrikit.launching.command import digest, places
from mrikit.launching.job import JobSpec
from mrikit.launching.options import Chosen
from mrikit.launching.scoring import Scoring, scoring
from mrikit.storage import Location, parse_location

if TYPE_CHECKING:
    from mrikit.recipes.tasks import AnyRunConfig

_COMPUTING = ("train", "reconstruct", "acquire")
"""Commands that a GPU makes faster."""
_PASSED_ON = ("MRIKIT_BLOB_ENDPOINT", "MRIKIT_RUNS_ENDPOINT", "AZURE_STORAGE_ACCOUNT")
"""What says where az:// is, which is the same elsewhere; where files are not shared the estate says it."""
_PLACES = ("--weights", "--data", "--out", "--recon")
"""Options of the commands that score a run."""
_MAX_LABEL = 54


def job_chain(
    words: Sequence[str], params: Mapping[str, Any], chosen: Chosen, *, is_one: bool = False
) -> list[JobSpec]:
    """The jobs of a command, each after the one before.

    Args:
        words: The command after `mrikit`, without the options of `--on`.
        params: Its options as they were read.
        chosen: The options of `--on`.
        is_one: Whether the stages of a training are one job too, as in a sweep.

    Raises:
        ConfigError: It makes no sense there, or the command itself would refuse it there.
    """
    traits = traits_of(chosen.on or "")
    stages, configs, test = [""], list["AnyRunConfig"](), None
    if words[0] == "train":
        configs = training_configs(params)
        out, stages = _training(configs, params, chosen)
        stages = [""] if is_one else stages
        words = words if params["out"] else (*words, "--out", str(out))
        params = {**params, "out": out}
        if params.get("test_data"):
            test = scoring(configs[-1], out, params["stage"], params["test_data"], params["device"])
    is_apart = traits.has_stage_jobs and not is_one
    if test and is_apart:
        words, params = _without(words, "--test-data"), {**params, "test_data": None}
    reads, writes = places(words, params)
    if test and not is_apart:  # the job itself does it
        writes += places((), {"out": test.recon})[1]
    folder = str(Path.cwd())
    # Where every place is in az://, the same command from another folder is the same job.
    origin = folder if traits.shares_files else ""
    env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ and traits.shares_files}
    specs = []
    for stage in stages:
        command, label = (*words, *(("--stage", stage) if stage else ())), _label(words, params, stage)
        specs.append(
            JobSpec(
                name=_stage_name(chosen.job_name, stage) or f"{label}-{digest(command, origin)}",
                command=command,
                folder=folder,
                nodes=chosen.nodes,
                gpus_per_node=chosen.gpus or 0,
                env=env,
                inputs=reads,
                outputs=writes,
                max_hours=chosen.max_hours,
                max_restarts=chosen.max_restarts,
                max_errors=chosen.max_errors,
                spot=chosen.spot,
                simulates_preemption=chosen.simulate_preemption,
                resources=_resources(chosen.resource or []),
            )
        )
    placed = [_placed(spec, chosen) for spec in specs]
    if len(configs) == len(placed) > 1:
        placed = [_alone(spec) if _is_policy(config) else spec for spec, config in zip(placed, configs, strict=True)]
    if test and is_apart:
        placed += _scoring_jobs(test, placed[-1], _label(words, params, ""), chosen, origin)
    for number, config in enumerate(configs):
        _require_shared(config, placed[number if len(placed) >= len(configs) else 0].num_processes, params)
    return placed


def _scoring_jobs(test: Scoring, after: JobSpec, label: str, chosen: Chosen, origin: str) -> list[JobSpec]:
    """The last links of a training: one that reconstructs on the same machines, one that scores on one of them."""
    jobs = []
    for command, ending in ((test.reconstruct, "test"), (test.evaluate, "score")):
        options = {
            name.lstrip("-"): parse_location(place) for name, place in itertools.pairwise(command) if name in _PLACES
        }
        reads, writes = places(command, options)
        name = f"{chosen.job_name}-{ending}" if chosen.job_name else f"{label[:46]}-{ending}-{digest(command, origin)}"
        jobs.append(replace(after, name=name, command=command, inputs=reads, outputs=writes))
    return [jobs[0], replace(jobs[1], nodes=1, processes_per_node=1)]


def _is_policy(config: "AnyRunConfig") -> bool:
    from mrikit.training import RunConfig

    return not isinstance(config, RunConfig)


def _alone(spec: JobSpec) -> JobSpec:
    """A job of one process, with one GPU at most: a policy learns so."""
    return replace(spec, nodes=1, processes_per_node=1, gpus_per_node=min(spec.gpus_per_node, 1))


def _without(words: Sequence[str], option: str) -> tuple[str, ...]:
    """A command without an option and its value."""
    start = list(words).index(option)
    return (*words[:start], *words[start + 2 :])


def training_configs(params: Mapping[str, Any]) -> list["AnyRunConfig"]:
    """What a training would train, stage by stage, with the settings that decide its result.

    Args:
        params: Options of `mrikit train` as they were read; those of a sweep's members are fewer.

    Raises:
        ConfigError: There is no such task, size, stage or setting.
    """
    from mrikit.recipes.choose import chosen_configs

    execution = {name: params.get(name) for name in ("keep", "max_disk_gb")}
    return chosen_configs(params["task"], params["size"], params["stage"], params.get("settings") or [], execution)


def _placed(spec: JobSpec, chosen: Chosen) -> JobSpec:
    """With its GPUs and processes; what computes gets the GPUs that the back end gives unless it says otherwise."""
    gpus = spec.gpus_per_node
    if chosen.gpus is None and spec.command[0] in _COMPUTING:
        gpus = traits_of(chosen.on or "").default_gpus(spec)
    processes = max(gpus, 1) if chosen.processes is None else chosen.processes
    return replace(spec, gpus_per_node=gpus, processes_per_node=processes)


def _require_shared(config: "AnyRunConfig", num_processes: int, params: Mapping[str, Any]) -> None:
    """Refuse here what would be refused there, after it has waited for its machines."""
    from mrikit.training import RunConfig, accumulation_steps

    if isinstance(config, RunConfig):
        accumulation_steps(config.training, num_processes)
    elif num_processes > 1:
        raise ConfigError(
            f"{config.name}: a policy learns in one process, found {num_processes}; submit --stage {config.stage} with "
            f"one, after the stages before it"
        )
    if params.get("fit") and num_processes > 1:
        raise ConfigError(f"--fit {params['fit']} is for one process; ask here with --dry-run, and give what it names")


def _training(
    configs: Sequence["AnyRunConfig"], params: Mapping[str, Any], chosen: Chosen
) -> tuple[Location, list[str]]:
    """Where the run of a training lies, also if nobody says so, and the stages that are jobs of their own."""
    from mrikit.recipes.choose import run_name

    traits = traits_of(chosen.on or "")
    run = traits.default_runs / run_name(configs)
    is_chain = traits.has_stage_jobs and params["stage"] is None and len(configs) > 1
    if params.get("start") and params["stage"] is None and len(configs) > 1:
        raise ConfigError(f"--start {params['start']} is where one stage begins; name it with --stage")
    if params.get("seeds"):
        raise ConfigError(
            "--seeds trains here, one seed after the other; `mrikit sweep` trains several values of training.seed on "
            "any back end; leave out --on"
        )
    if (params.get("gpu") or params.get("price_per_hour") is not None) and not chosen.dry_run:
        raise ConfigError("--gpu and --price-per-hour are for what --dry-run tells; GPUs of a job are --gpus")
    return params["out"] or run, [str(config.stage) for config in configs] if is_chain else [""]


def _label(words: Sequence[str], params: Mapping[str, Any], stage: str) -> str:
    """What a job does, in letters that every back end takes."""
    path = list(words[: next((index for index, word in enumerate(words) if word.startswith("-")), len(words))])
    names = [str(params["task"])] if words[0] == "train" else [word for word in path[:2] if word.isalpha()]
    number = stage or (str(params["stage"]) if words[0] == "train" and params["stage"] else "")
    text = "-".join([*names, *(["stage", number] if number else [])]).lower()
    return "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in text)[:_MAX_LABEL].strip("-")


def _stage_name(name: str | None, stage: str) -> str:
    return "" if name is None else f"{name}-stage-{stage}" if stage else name


def _resources(given: Sequence[str]) -> dict[str, str]:
    from mrikit.config import parse_assignments

    return parse_assignments(list(given))
