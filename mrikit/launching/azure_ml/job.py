"""Text of an Azure ML job file."""

import io
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mrikit.errors import ConfigError
from mrikit.estate.prices import Prices
from mrikit.launching.azure_ml.cluster import DEDICATED, LOW_PRIORITY, choose_cluster
from mrikit.launching.azure_ml.environments import ENVIRONMENT, image_of, is_ours
from mrikit.launching.azure_ml.errors import quiet
from mrikit.launching.azure_ml.inputs import DATA_MODES, Given, given_inputs, require_in_azure
from mrikit.launching.azure_ml.tags import Starts, tags_of
from mrikit.launching.azure_ml.topology import nccl_settings
from mrikit.launching.azure_ml.traits import AZURE
from mrikit.launching.command import digest
from mrikit.launching.job import JobSpec
from mrikit.launching.traits import require_known
from mrikit.storage.blob import azure_packages
from mrikit.storage.estate import Estate, EstateCluster

if TYPE_CHECKING:
    from azure.ai.ml.entities import Job

_SCHEMAS = "https://azuremlschemas.azureedge.net/latest"
_SHM_SIZE = re.compile(r"[1-9][0-9]*[bkmg]")
_ENVIRONMENT = re.compile(r"[A-Za-z0-9][\w.-]*:[\w.-]+")
_EXPERIMENT = re.compile(r"[A-Za-z0-9][\w-]{0,254}")
_VARIABLE = re.compile(r"[A-Za-z_]\w*")
_PLACEHOLDER = re.compile(r"[$][{][{]|[$]\[\[")
_MOST_HOURS = {LOW_PRIORITY: 168, DEDICATED: 504}
"""After which Azure ML ends a job whatever it asked for: 7 days on low-priority nodes, 21 days on others,
https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas."""
_DONE = "mrikit.txt"
"""File of a step's output, which the next step waits for."""


def root_name(chain: Sequence[JobSpec]) -> str:
    """What Azure ML calls the job of a chain, the first time: the same chain has the same name."""
    if len(chain) == 1:
        return chain[0].name
    return f"{chain[0].name}-chain-{digest([spec.name for spec in chain], '')}"


def job_text(chain: Sequence[JobSpec], estate: Estate, prices: Prices, name: str, starts: Starts) -> str:
    """The job file: a command job, or a pipeline whose steps wait for each other.

    Args:
        chain: The jobs; one that names no environment asks for the latest, which `pinned` settles before it is sent.
        estate: Where they run.
        prices: Tells what machines have.
        name: Of the job.
        starts: How often it was started before.

    Raises:
        ConfigError: The back end cannot run such a job.
    """
    import yaml

    steps = [_step(spec, estate, prices) for spec in chain]
    head = {"name": name, "display_name": name, "experiment_name": chain[0].resources.get("experiment", "mrikit")}
    tags = tags_of(chain, starts)
    if len(chain) == 1:
        job = {"$schema": f"{_SCHEMAS}/commandJob.schema.json", "type": "command", **head, **steps[0], "tags": tags}
    else:
        job = {
            "$schema": f"{_SCHEMAS}/pipelineJob.schema.json",
            "type": "pipeline",
            **head,
            # A run folder may have been deleted: a step decides by itself what is left to do.
            "settings": {"continue_on_step_failure": False, "force_rerun": True},
            "jobs": _linked(chain, steps),
            "tags": tags,
        }
    return yaml.safe_dump(job, sort_keys=False, width=1000)


def read_job(text: str) -> "Job":
    """The vendor's job of a job file; contacts nobody.

    Raises:
        ConfigError: The vendor's schema refuses it, or its packages are not installed.
    """
    with azure_packages(), quiet():
        from azure.ai.ml import load_job
        from azure.ai.ml.exceptions import MlException
        from marshmallow.exceptions import ValidationError

        try:
            return load_job(io.StringIO(text))
        except (MlException, ValidationError, ValueError) as error:
            raise ConfigError(
                f"Azure ML's schema refuses the job file: {' '.join(str(error).split())[:400]}"
            ) from error


def step_cluster(spec: JobSpec, estate: Estate, prices: Prices) -> EstateCluster:
    """Where a job would run.

    Raises:
        ConfigError: Nowhere.
    """
    return choose_cluster(spec, estate.clusters, prices)


def step_command(spec: JobSpec, mounts: Sequence[Given] = ()) -> str:
    """The command line of each process.

    Raises:
        ConfigError: A word would be taken for one of Azure ML's own.
    """
    for word in spec.command:
        if _PLACEHOLDER.search(word):
            raise ConfigError(f"'{word}': Azure ML would replace what stands in it; write it otherwise")
    names = {mount.word: mount.name for mount in mounts}
    words = [f"${{{{inputs.{names[word]}}}}}" if word in names else shlex.quote(word) for word in spec.command]
    return " ".join(["mrikit", *words])


def step_environment(spec: JobSpec, estate: Estate, sku: str) -> dict[str, str]:
    """What the command finds in its environment, besides what Azure ML sets by itself.

    Args:
        spec: The job, whose own settings of NCCL go before ours.
        estate: Whose identity and account it uses.
        sku: Size of its machines.

    Raises:
        ConfigError: A name is none.
    """
    own = {
        "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        "DEFAULT_IDENTITY_CLIENT_ID": estate.compute_client_id,
        "MRIKIT_BLOB_ENDPOINT": estate.blob_endpoint,
        "MRIKIT_RUNS_ENDPOINT": estate.runs_endpoint,
    }
    for name, value in spec.env.items():
        if not _VARIABLE.fullmatch(name) or _PLACEHOLDER.search(value):
            raise ConfigError(
                f"environment {name}: letters, digits and underscores, and nothing that Azure ML replaces"
            )
    return {**(nccl_settings(sku) if spec.gpus_per_node else {}), **spec.env, **own}


def _step(spec: JobSpec, estate: Estate, prices: Prices) -> dict[str, Any]:
    """A command job without its name."""
    _require_known(spec)
    require_in_azure(spec, estate)
    cluster = step_cluster(spec, estate, prices)
    _require_hours(spec, cluster)
    _require_trackers(spec)
    mode = spec.resources.get("data_mode")
    mounts = given_inputs(spec) if mode else []
    machine = prices.machines.get(cluster.sku)
    shm_size = spec.resources.get("shm_size", f"{int(machine.memory_gb // 2)}g" if machine else "2g")
    step: dict[str, Any] = {
        "command": step_command(spec, mounts),
        "environment": f"azureml:{spec.resources.get(ENVIRONMENT, f'{image_of(spec)}@latest')}",
        "compute": f"azureml:{cluster.compute_name}",
        "resources": {"instance_count": spec.nodes, "shm_size": shm_size},
        "limits": {"timeout": math.ceil(spec.max_hours * 3600)},
        "environment_variables": step_environment(spec, estate, cluster.sku),
    }
    if mounts:
        step["inputs"] = {
            mount.name: {"type": mount.kind, "path": mount.path, "mode": DATA_MODES[str(mode)]} for mount in mounts
        }
    if spec.num_processes > 1:
        step["distribution"] = {"type": "pytorch", "process_count_per_instance": spec.processes_per_node}
    return step


def _require_hours(spec: JobSpec, cluster: EstateCluster) -> None:
    """See that Azure ML would not end a job before its time.

    Raises:
        ConfigError: It would.
    """
    most = _MOST_HOURS[cluster.priority]
    if spec.max_hours > most:
        raise ConfigError(
            f"--max-hours {spec.max_hours:g}: Azure ML ends a job on a {cluster.priority} cluster after {most} h; give "
            f"--max-hours {most}, and the same command again goes on where it was"
        )


def _require_trackers(spec: JobSpec) -> None:
    """See that our image can do what the command asks MLflow for: Azure ML makes its workspace MLflow's server.

    Raises:
        ConfigError: It lacks the plug-in; see `mrikit.runs.trackers.mlflow.require_plugin`.
    """
    if is_ours(spec) and "--track mlflow" in " ".join(spec.command).replace("--track=", "--track "):
        raise ConfigError(
            "--track mlflow: in Azure ML that needs azureml-mlflow, which the container image lacks; leave it out "
            "(metrics.jsonl, tensorboard and wandb work), or name an environment that has it: "
            "--resource environment=NAME:VERSION"
        )


def _linked(chain: Sequence[JobSpec], steps: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The steps of a pipeline; each but the last leaves a file that the next one is given.

    Azure ML knows no order but that of data. The file is written after the command, so a step that fails leaves none.
    """
    linked: dict[str, dict[str, Any]] = {}
    before = ""
    for spec, step in zip(chain, steps, strict=True):
        key = f"job_{spec.name}".replace("-", "_")
        job: dict[str, Any] = {"type": "command", "display_name": spec.name, **step}
        if before:
            after = {"type": "uri_folder", "path": f"${{{{parent.jobs.{before}.outputs.done}}}}", "mode": "direct"}
            job["inputs"] = {**step.get("inputs", {}), "after": after}
        if spec is not chain[-1]:
            job["command"] += f" && echo done > ${{{{outputs.done}}}}/{_DONE}"
            job["outputs"] = {"done": {"type": "uri_folder", "mode": "rw_mount"}}
        linked[key] = job
        before = key
    return linked


def _require_known(spec: JobSpec) -> None:
    """What else the vendor's schema lets pass.

    Raises:
        ConfigError: Something has another form.
    """
    require_known(spec, AZURE)
    rules = {
        "shm_size": (_SHM_SIZE, "a whole number and b, k, m or g, such as 64g"),
        ENVIRONMENT: (_ENVIRONMENT, "name:version of an environment of the workspace"),
        "experiment": (_EXPERIMENT, "up to 255 letters, digits, hyphens and underscores"),
        "data_mode": (re.compile("|".join(DATA_MODES)), " or ".join(DATA_MODES)),
    }
    for key, (pattern, rule) in rules.items():
        value = spec.resources.get(key)
        if value is not None and not pattern.fullmatch(value):
            raise ConfigError(f"--resource {key}={value}: {rule}")
