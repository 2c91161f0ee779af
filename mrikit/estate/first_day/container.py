"""What a job of the first day finds in its container."""

import functools
import os
import platform
import sys
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from mrikit.errors import ConfigError, MrikitError
from mrikit.estate.container import container_diagnoses
from mrikit.estate.diagnosis import MISSING, OK, UNKNOWN, Diagnosis
from mrikit.estate.first_day.roles_wait import RolesWait
from mrikit.estate.first_day.secret import digest_of
from mrikit.transfer.datafactory.words import hide
from mrikit.transfer.vault import find_address, take_links

VERSIONS, VAULT, MLFLOW = "versions", "vault", "MLflow"
_PACKAGES = ("mrikit", "torch", "deepspeed", "mlflow-skinny", "azureml-mlflow")
_SERVER, _RUN = "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"
_ROLES_WAIT_S, _LOOK_S = 300.0, 10.0


def look_around(secret: str) -> tuple[Diagnosis, ...]:
    """The container, and what its identity and the server that it is given let it do; loads torch.

    Args:
        secret: Address of a secret with links; empty for none.

    Raises:
        ConfigError: The address is none.
    """
    found = [*container_diagnoses(), versions_diagnosis()]
    if secret:
        found.append(vault_diagnosis(secret, roles_wait()))
    if _RUN in os.environ:
        found.append(mlflow_diagnosis(os.environ))
    return tuple(found)


def roles_wait() -> RolesWait:
    """How long the identity of a new estate's clusters may take to have its roles; a node costs meanwhile."""
    return RolesWait(_ROLES_WAIT_S, _LOOK_S, functools.partial(print, file=sys.stderr))


def versions_diagnosis() -> Diagnosis:
    """What is installed."""
    found = [f"Python {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return Diagnosis(VERSIONS, OK, ", ".join(found))


def vault_diagnosis(secret: str, wait: RolesWait) -> Diagnosis:
    """Whether links can be read from the vault.

    Args:
        secret: Address of a secret with links.
        wait: For the role.

    Raises:
        ConfigError: The address is none.
    """
    address = find_address(secret)
    if address is None:
        raise ConfigError(f"--secret is https://NAME.vault.azure.net/secrets/NAME; found '{hide(secret)}'")
    try:
        links = wait.call(lambda: take_links(address), VAULT)
    except MrikitError as error:
        return Diagnosis(VAULT, MISSING, str(error))
    return Diagnosis(VAULT, OK, f"{len(links)} read, {digest_of(links[0])}")


def mlflow_diagnosis(environ: Mapping[str, str]) -> Diagnosis:
    """Whether a number gets into the job's own run, as a training does it.

    Args:
        environ: Of this process.
    """
    if not environ.get(_SERVER):
        return Diagnosis(MLFLOW, UNKNOWN, f"{_SERVER} names no server")
    try:
        from mrikit.runs.trackers.mlflow import MLflow

        with tempfile.TemporaryDirectory() as folder:
            tracker = MLflow(Path(folder), "doctor", {}, 0)
            tracker.log({"kind": "doctor", "step": 0, "works": 1})
            tracker.close()
    except Exception as error:  # noqa: BLE001 - of whichever store, server and version
        return Diagnosis(MLFLOW, MISSING, hide(f"{type(error).__name__}: {error}"))
    return Diagnosis(MLFLOW, OK, "a number is in the job's run")
