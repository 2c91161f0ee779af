"""The linked estate: which storage account, Data Factory and Azure ML workspace this user's commands work with."""

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

from mrikit.config import build_config
from mrikit.errors import ConfigError
from mrikit.storage.local import read_json, write_json
from mrikit.storage.location import CONTAINER_NAME, RUNS

ESTATE = "MRIKIT_ESTATE"
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_PIPELINE = re.compile(r"\w[^<>*#.%&:\\+?/]{0,139}")
_ENDPOINTS = {
    "blob_endpoint": "https://NAME.blob.core.windows.net",
    "runs_endpoint": "https://NAME.blob.core.windows.net",
    "work_endpoint": "https://NAME.blob.core.windows.net",
    "vault_uri": "https://NAME.vault.azure.net",
}
"""Key: an example of its value."""
NETWORKS = ("public", "private", "managed")
_NAMES = {
    "subscription_id": (_GUID, "a GUID, as `az account show` prints it"),
    "tenant_id": (_GUID, "a GUID, as `az account show --query tenantId` prints it"),
    "resource_group": (
        re.compile(r"[\w().-]{0,89}[\w()-]"),
        "1 to 90 letters, digits or any of ._-(), without a dot at the end",
    ),
    "factory_name": (
        re.compile(r"(?=.{3,63}$)[A-Za-z0-9]+(-[A-Za-z0-9]+)*"),
        "3 to 63 letters, digits and single hyphens",
    ),
    "copy_pipeline": (_PIPELINE, "1 to 140 characters, none of <>*#.%&:\\+?/"),
    "unpack_pipeline": (_PIPELINE, "1 to 140 characters, none of <>*#.%&:\\+?/"),
    "location": (re.compile(r"[a-z][a-z0-9]+"), "a region as `az account list-locations` names it"),
    "workspace_name": (re.compile(r"[A-Za-z0-9][\w-]{2,32}"), "3 to 33 letters, digits, hyphens and underscores"),
    "registry_server": (re.compile(r"[a-z0-9]{5,50}\.[a-z0-9.-]+"), "the registry's address, such as NAME.azurecr.io"),
    "compute_client_id": (_GUID, "the GUID of the client that jobs act as"),
    "network": (re.compile("|".join(NETWORKS)), f"one of {', '.join(NETWORKS)}"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class EstateCluster:
    """One Azure ML cluster."""

    name: str
    """What people call it."""
    compute_name: str
    """Its name in the workspace, which says of what it is made, so that another one gets another name."""
    sku: str
    """Size of its machines, such as Standard_NC24ads_A100_v4."""
    priority: str
    """Dedicated, or LowPriority, whose nodes may be taken away."""
    max_nodes: int
    """It never has more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estate:
    """What commands need to know of what is deployed in Azure; names and addresses only, nothing secret."""

    subscription_id: str
    """The subscription's GUID."""
    tenant_id: str
    """GUID of the directory that knows its users."""
    resource_group: str
    """The resource group of everything."""
    location: str
    """Its region."""
    blob_endpoint: str
    """URL of the data account, https://NAME.blob.core.windows.net."""
    runs_endpoint: str
    """The same of the account that holds the container `runs` alone."""
    work_endpoint: str
    """The same of the account that Azure ML keeps its own things in, such as logs of jobs."""
    vault_uri: str
    """URL of the key vault, https://NAME.vault.azure.net."""
    containers: tuple[str, ...]
    """Containers of the data account that the Data Factory may write to."""
    factory_name: str
    """The Data Factory."""
    copy_pipeline: str
    """The pipeline that copies one archive as it is; `mrikit.transfer.datafactory.engine` lists its parameters."""
    unpack_pipeline: str
    """The pipeline that copies the members of a tar or tar.gz archive."""
    workspace_name: str
    """The Azure ML workspace."""
    datastores: tuple[str, ...]
    """Its datastores, each the container that has its name."""
    registry_server: str
    """Address of the registry that container images are pushed to."""
    compute_client_id: str
    """Client id of the identity that jobs act as."""
    network: str
    """`public`, `private` or `managed`: how nodes and people reach the parts."""
    clusters: tuple[EstateCluster, ...]
    """Where jobs run."""

    def __post_init__(self) -> None:
        for key, (pattern, rule) in _NAMES.items():
            if not pattern.fullmatch(getattr(self, key)):
                raise ConfigError(f"estate.{key}: {rule}; found '{getattr(self, key)}'")
        for key, example in _ENDPOINTS.items():
            _require_endpoint(key, getattr(self, key), example)
        for name in self.containers:
            if not CONTAINER_NAME.fullmatch(name):
                raise ConfigError(
                    f"estate.containers: 3 to 63 lower-case letters, digits and single hyphens; found '{name}'"
                )
        if not self.containers:
            raise ConfigError("estate.containers names no container; name those that the Data Factory may write to")
        if not self.clusters:
            raise ConfigError("estate.clusters names no cluster; jobs need one")

    def endpoint(self, container: str) -> str:
        """URL of the account that holds a container."""
        return self.runs_endpoint if container == RUNS else self.blob_endpoint


def estate_file() -> Path:
    """The file that `MRIKIT_ESTATE` names; else `mrikit/estate.json` below `XDG_CONFIG_HOME` or `~/.config`.

    Raises:
        ConfigError: Nobody says where, and there is no home.
    """
    named = os.environ.get(ESTATE)
    if named:
        return Path(named)
    base = os.environ.get("XDG_CONFIG_HOME")
    if base:
        return Path(base) / "mrikit" / "estate.json"
    try:
        return Path.home() / ".config" / "mrikit" / "estate.json"
    except RuntimeError as error:
        raise ConfigError(f"there is no home folder with an estate in it; set {ESTATE} to its file") from error


def load_estate() -> Estate | None:
    """The linked estate; None if there is none. A file that `MRIKIT_ESTATE` names has to be there.

    Raises:
        ConfigError: A key is missing, unknown or of another form.
        StorageError: The file cannot be read or is not JSON.
    """
    path = estate_file()
    if not path.exists() and not path.is_symlink():
        if os.environ.get(ESTATE):
            raise ConfigError(f"{ESTATE} names {path}, which is not there; {_how_to_write(path)}")
        return None
    settings = read_json(path)
    try:
        return read_estate(settings)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def require_estate() -> Estate:
    """The linked estate.

    Raises:
        ConfigError: There is none, or a key is missing, unknown or of another form.
        StorageError: The file cannot be read or is not JSON.
    """
    estate = load_estate()
    if estate is None:
        raise ConfigError(f"no estate in Azure is linked; {_how_to_write(estate_file())}")
    return estate


def save_estate(estate: Estate) -> Path:
    """Link an estate: write its file, whole or not at all.

    Returns:
        The file.

    Raises:
        StorageError: It cannot be written.
    """
    path = estate_file()
    write_json(path, asdict(estate))
    return path


def read_estate(settings: object) -> Estate:
    """An estate from the value of its JSON file, or from the outputs of a deployment.

    Raises:
        ConfigError: A key is missing, unknown or of another form.
    """
    if not isinstance(settings, Mapping):
        raise ConfigError(f"an estate is an object with {_keys()}; found {type(settings).__name__}")
    # Unknown keys first: a missing one is often there under another spelling.
    known = {field.name for field in fields(Estate)}
    unknown = {key: value for key, value in settings.items() if key not in known}
    if unknown:
        build_config(Estate, unknown, "estate")
    missing = [field.name for field in fields(Estate) if field.name not in settings]
    if missing:
        raise ConfigError(f"estate lacks {', '.join(missing)}; it needs {_keys()}")
    return build_config(Estate, settings, "estate")


def _require_endpoint(key: str, endpoint: str, example: str) -> None:
    parts = urlsplit(endpoint)
    if parts.query or parts.fragment or "@" in parts.netloc:
        # What is in there may be a key: it is not repeated.
        raise ConfigError(
            f"estate.{key} holds more than an address; leave out signatures and keys, and log in with `az login`"
        )
    if parts.scheme != "https" or not parts.hostname:
        raise ConfigError(f"estate.{key} is {example}; found '{endpoint}'")


def _how_to_write(path: Path) -> str:
    return f"`mrikit infra link` writes {path} from what `pulumi up` has made (docs/azure.md)"


def _keys() -> str:
    return ", ".join(field.name for field in fields(Estate))
