"""MLflow as a tracker."""

import contextlib
import importlib
import importlib.metadata
import os
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from mrikit.errors import ConfigError
from mrikit.run_files import PICTURES
from mrikit.runs.picture import picture_name
from mrikit.runs.trackers.common import PROJECT, keep_id, kept_id, numbers, redact_all

MAX_KEY_LENGTH = 250
MAX_VALUE_LENGTH = 500  # of MLflow in Azure ML, the smallest of all servers
MAX_BATCH = 100  # parameters in one request
_SERVER, _FOLDER = "MLFLOW_TRACKING_URI", "mlflow"
_ALLOW = "MLFLOW_ALLOW_FILE_STORE"


class MLflow:
    """A run of MLflow: at MLFLOW_TRACKING_URI, or without that in `mlflow/` of the run's folder.

    Inside a run that a platform such as Azure ML started (MLFLOW_RUN_ID) metrics go to that one, and ending it is left
    to the platform. MLflow cannot delete points: of a step that was done twice it shows both. Parameters cannot change
    either: those of the first start stay.
    """

    def __init__(self, folder: Path, run_name: str, config: Mapping[str, Any], _resume_step: int) -> None:
        # MLflow counts its users over the network unless told not to, and it is told before it is imported.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        self._mlflow = importlib.import_module("mlflow")
        local = None if os.environ.get(_SERVER) else (folder / _FOLDER).resolve().as_uri()
        given = os.environ.get("MLFLOW_RUN_ID")
        # A folder is the only local store of mlflow-skinny, though MLflow would rather have a database. Somebody waits
        # here: the eight attempts at a server that is not there would take four minutes.
        with _environment(**{_ALLOW: "true"}, MLFLOW_HTTP_REQUEST_MAX_RETRIES="2"):
            self._client = self._mlflow.MlflowClient(tracking_uri=local)
            self._run_id: str = given or kept_id(folder, "mlflow") or self._create(run_name)
            keep_id(folder, "mlflow", self._run_id)
            self._is_ours = given is None
            if self._is_ours:
                self._client.update_run(self._run_id, status="RUNNING")
            self._log_config(config)

    def log(self, row: Mapping[str, Any]) -> None:
        """Send the numbers of a row in one request."""
        time_ms = int(1000 * time.time())
        make = self._mlflow.entities.Metric
        metrics = [make(name, value, time_ms, row["step"]) for name, value in numbers(row).items()]
        self._client.log_batch(self._run_id, metrics=metrics)

    def show(self, name: str, image: npt.NDArray[np.uint8], step: int) -> None:
        """Keep a picture as an artifact, which replaces that of the same step."""
        # MLflow's image series would show a step twice that was done twice, and Azure ML does not show them at all.
        self._client.log_image(self._run_id, image, artifact_file=f"{PICTURES}/{picture_name(name, step)}")

    def close(self) -> None:
        """End the run if we began it."""
        if self._is_ours:
            self._client.set_terminated(self._run_id)

    def _create(self, run_name: str) -> str:
        experiment_id = os.environ.get("MLFLOW_EXPERIMENT_ID")
        if not experiment_id:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
            found = self._client.get_experiment_by_name(name)
            experiment_id = found.experiment_id if found else self._client.create_experiment(name)
        run_id: str = self._client.create_run(experiment_id, run_name=run_name).info.run_id
        return run_id

    def _log_config(self, config: Mapping[str, Any]) -> None:
        known = self._client.get_run(self._run_id).data.params
        make = self._mlflow.entities.Param
        new = [make(key, value) for key, value in _parameters(config).items() if key not in known]
        for start in range(0, len(new), MAX_BATCH):
            self._client.log_batch(self._run_id, params=new[start : start + MAX_BATCH])


def require_plugin() -> None:
    """See that MLflow knows the kind of server that it is given.

    Azure ML names its workspace in every job, for which MLflow needs a plug-in. No extra of mrikit brings it: it wants
    older versions of MLflow, of Azure's clients and of others than everything else here, https://pypi.org/project/azureml-mlflow.

    Raises:
        ConfigError: The plug-in for Azure ML is needed and is not there.
    """
    is_azure = urlsplit(os.environ.get(_SERVER, "")).scheme == "azureml"
    if is_azure and not importlib.metadata.entry_points(group="mlflow.tracking_store", name="azureml"):
        raise ConfigError(
            f"{_SERVER} is a workspace of Azure ML, and MLflow's plug-in for it, azureml-mlflow, is not installed; "
            f"leave mlflow out (metrics.jsonl, tensorboard and wandb work), or take an environment that has it"
        )


def local_stores(folders: Sequence[Path]) -> list[str]:
    """Shell commands that show what MLflow keeps in folders of runs; none where it keeps them on a server.

    The full MLflow shows a folder only if it is told to: from 3.17 on it wants a database, which mlflow-skinny cannot
    write.
    """
    if os.environ.get(_SERVER):
        return []
    stores = [folder / _FOLDER for folder in folders if (folder / _FOLDER).is_dir()]
    return [f"{_ALLOW}=true mlflow ui --backend-store-uri {shlex.quote(str(store.resolve()))}" for store in stores]


def _parameters(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A nested configuration as `training.seed` to text, cut to the lengths that servers take."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= _parameters(value, f"{prefix}{key}.")
        else:
            text = str(redact_all(value))
            is_long = len(text) > MAX_VALUE_LENGTH
            flat[f"{prefix}{key}"[:MAX_KEY_LENGTH]] = f"{text[: MAX_VALUE_LENGTH - 3]}..." if is_long else text
    return flat


@contextlib.contextmanager
def _environment(**defaults: str) -> Iterator[None]:
    """Environment variables for a while, where the user has not set them."""
    added = [name for name in defaults if name not in os.environ]
    os.environ.update({name: defaults[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
