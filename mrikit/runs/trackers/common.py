"""The services that metrics may go to besides JSON lines, each behind `log` and `close`; their libraries are extras.

None of them reaches for a network unless the user's own settings ask for it.
"""

import contextlib
import importlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mrikit.errors import ConfigError
from mrikit.run_files import TRACKERS_FILE
from mrikit.storage import read_json, write_json

PROJECT = "mrikit"
MAX_KEY_LENGTH = 250
MAX_VALUE_LENGTH = 500  # of MLflow in Azure ML, the smallest of all servers
MAX_BATCH = 100  # parameters in one request to MLflow


class TensorBoard:
    """Event files in `tensorboard/` of the run's folder."""

    def __init__(self, folder: Path, _run_name: str, config: Mapping[str, Any], resume_step: int) -> None:
        tensorboard = _require("torch.utils.tensorboard", "tensorboard")
        self._writer = tensorboard.SummaryWriter(str(folder / "tensorboard"), purge_step=resume_step + 1)
        text = json.dumps(_redact_all(config), indent=2, default=str)
        self._writer.add_text("config", f"```\n{text}\n```", resume_step)

    def log(self, row: Mapping[str, Any]) -> None:
        """Write the numbers of a row."""
        for name, value in numbers(row).items():
            self._writer.add_scalar(name, value, row["step"])
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


class MLflow:
    """A run of MLflow: at MLFLOW_TRACKING_URI, or without that in `mlflow/` of the run's folder.

    Inside a run that a platform such as Azure ML started (MLFLOW_RUN_ID) metrics go to that one, and ending it is left
    to the platform. MLflow cannot delete points: of a step that was done twice it shows both. Parameters cannot change
    either: those of the first start stay.
    """

    def __init__(self, folder: Path, run_name: str, config: Mapping[str, Any], _resume_step: int) -> None:
        # MLflow counts its users over the network unless told not to, and it is told before it is imported.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        self._mlflow = _require("mlflow", "mlflow")
        local = None if os.environ.get("MLFLOW_TRACKING_URI") else (folder / "mlflow").resolve().as_uri()
        given = os.environ.get("MLFLOW_RUN_ID")
        # A folder is the only local store of mlflow-skinny, though MLflow would rather have a database. Somebody waits
        # here: the eight attempts at a server that is not there would take four minutes.
        with _environment(MLFLOW_ALLOW_FILE_STORE="true", MLFLOW_HTTP_REQUEST_MAX_RETRIES="2"):
            self._client = self._mlflow.MlflowClient(tracking_uri=local)
            self._run_id: str = given or _kept_id(folder, "mlflow") or self._create(run_name)
            _keep_id(folder, "mlflow", self._run_id)
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


class WeightsAndBiases:
    """A run of W&B, online or offline as WANDB_MODE says; its files are in `wandb/` of the run's folder.

    Command line, git remote and console output stay here: they may hold signed URLs.
    """

    def __init__(self, folder: Path, run_name: str, config: Mapping[str, Any], _resume_step: int) -> None:
        # It would send reports of its own crashes, also when offline.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        wandb = _require("wandb", "wandb")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=run_name,
            id=_kept_id(folder, "wandb"),
            resume="allow",
            reinit="create_new",
            dir=str(folder),
            config=_redact_all(config),
            allow_val_change=True,
            settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False, x_disable_meta=True),
        )
        _keep_id(folder, "wandb", self._run.id)

    def log(self, row: Mapping[str, Any]) -> None:
        """Log the numbers of a row; a step that W&B already has stays as it is."""
        self._run.log(numbers(row), step=row["step"])

    def close(self) -> None:
        """Write or send what is left."""
        self._run.finish()


SERVICES: dict[str, Callable[[Path, str, Mapping[str, Any], int], TensorBoard | MLflow | WeightsAndBiases]] = {
    "tensorboard": TensorBoard,
    "mlflow": MLflow,
    "wandb": WeightsAndBiases,
}


def require_library(name: str) -> None:
    """See that the library of a service is installed.

    Raises:
        ConfigError: It is not.
    """
    _require(name, name)


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a row by the names that services show, such as `train/loss`."""
    return {
        f"{row['kind']}/{key}": value
        for key, value in row.items()
        if key != "step" and isinstance(value, int | float) and not isinstance(value, bool)
    }


def redact(text: str) -> str:
    """The same text without passwords and queries, which hold signatures, in its URLs."""
    return re.sub(r"(://[^\s?'\"]*)\?[^\s'\"]*", r"\1", re.sub(r"(?<=://)[^/\s@:]*:[^/\s@]*@", "", text))


def _redact_all(value: Any) -> Any:  # noqa: ANN401 - anything that JSON holds
    if isinstance(value, Mapping):
        return {key: _redact_all(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redact_all(item) for item in value]
    return redact(value) if isinstance(value, str) else value


def _parameters(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A nested configuration as `training.seed` to text, cut to the lengths that servers take."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= _parameters(value, f"{prefix}{key}.")
        else:
            text = str(_redact_all(value))
            is_long = len(text) > MAX_VALUE_LENGTH
            flat[f"{prefix}{key}"[:MAX_KEY_LENGTH]] = f"{text[: MAX_VALUE_LENGTH - 3]}..." if is_long else text
    return flat


def _require(module: str, extra: str) -> Any:  # noqa: ANN401 - a module; the libraries may be absent, also for mypy
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{extra} is not installed; pip install 'mrikit[{extra}]'") from error


def _kept_id(folder: Path, name: str) -> str | None:
    path = folder / TRACKERS_FILE
    kept: dict[str, str] = read_json(path) if path.exists() else {}
    return kept.get(name)


def _keep_id(folder: Path, name: str, run_id: str) -> None:
    path = folder / TRACKERS_FILE
    kept = read_json(path) if path.exists() else {}
    if kept.get(name) != run_id:
        write_json(path, kept | {name: run_id})


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
