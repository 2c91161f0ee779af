"""Azure Blob Storage by the vendor's client: one service for each process, identities only, errors on one line."""

import contextlib
import functools
import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mrikit.errors import ConfigError, StorageError
from mrikit.storage.location import RUNS, BlobPath
from mrikit.storage.unreachable import why_unreachable

if TYPE_CHECKING:
    from pathlib import Path

    from azure.core.credentials import TokenCredential
    from azure.core.exceptions import AzureError
    from azure.storage.blob import BlobClient, BlobServiceClient, ContainerClient

ENDPOINT = "MRIKIT_BLOB_ENDPOINT"
RUNS_ENDPOINT = "MRIKIT_RUNS_ENDPOINT"
"""The same for `az://runs` alone, as jobs in Azure ML get it."""
ACCOUNT = "AZURE_STORAGE_ACCOUNT"
BLOCK_BYTES = 8 * 2**20
"""Size of the blocks that a blob is written in."""
_PIECE_BYTES = 2**20
SCOPE = "https://storage.azure.com/.default"
_CHANGED = ("ConditionNotMet", "BlobAlreadyExists")
_HELD = ("Lease", "Immutable", "BlobImmutable")
_ROLES = "Storage Blob Data Reader to read, Storage Blob Data Contributor to write"


def blob_endpoint(container: str) -> str:
    """The URL of a container's storage account, without a slash at its end.

    It is `MRIKIT_BLOB_ENDPOINT`, or the public endpoint of `AZURE_STORAGE_ACCOUNT`, or that of the linked estate, which
    keeps `runs` in an account of its own. `MRIKIT_RUNS_ENDPOINT` goes before all of them for `runs`.

    Args:
        container: Its name, the first part of a location.

    Raises:
        ConfigError: No account is named, or not by an https URL.
    """
    own = os.environ.get(RUNS_ENDPOINT) if container == RUNS else None
    named, account = own or os.environ.get(ENDPOINT), os.environ.get(ACCOUNT)
    if not named and account:
        named = f"https://{account}.blob.core.windows.net"
    if not named:
        from mrikit.storage.estate import estate_file

        named = _linked_endpoint(estate_file(), container)
    if not named:
        raise ConfigError(f"az://: no storage account is known; set {ACCOUNT} to its name, or {ENDPOINT} to its URL")
    if not named.startswith("https://"):
        raise ConfigError(
            f"{RUNS_ENDPOINT if own else ENDPOINT}: tokens travel over https only; found '{named.partition('?')[0]}'"
        )
    return named.rstrip("/")


def container_client(container: str) -> "ContainerClient":
    """The client of a container; it may be used by many threads.

    Raises:
        ConfigError: No account is named, or the Azure packages are not installed.
    """
    # A forked child must not share the connections of its parent.
    return _service(blob_endpoint(container), os.getpid()).get_container_client(container)


def blob_client(path: BlobPath) -> "BlobClient":
    """The client of a blob; it may be used by many threads.

    Raises:
        ConfigError: No account is named, or the Azure packages are not installed.
    """
    return container_client(path.container).get_blob_client(path.key)


@contextlib.contextmanager
def azure_packages() -> Iterator[None]:
    """Guard of a block that imports Azure packages, which not everybody has.

    Raises:
        ConfigError: One is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            f"Azure needs packages that are not installed; `pip install 'mrikit[azure]'` ({error.name})"
        ) from error


@contextlib.contextmanager
def blob_errors(path: BlobPath) -> Iterator[None]:
    """Turn what the Azure client raises into one line about `path`.

    Raises:
        ConfigError: The Azure packages are not installed.
        StorageError: In place of the error of the client.
    """
    with azure_packages():
        from azure.core.exceptions import AzureError
        from requests import RequestException
        from urllib3.exceptions import HTTPError

    try:
        yield
    except AzureError as error:
        raise StorageError(f"{path}: {_reason(path, error)}") from error
    except (RequestException, HTTPError) as error:  # the client lets some pass that come in the middle of a body
        raise StorageError(f"{path}: {_unreachable(path, error)}") from error


@functools.lru_cache(maxsize=4)
def _service(endpoint: str, _process_id: int) -> "BlobServiceClient":
    with azure_packages():
        from azure.storage.blob import BlobServiceClient

        from mrikit.storage.transport import Transport

    # The client would try again for a minute before it says that nobody is logged in.
    credential().get_token(SCOPE)
    return BlobServiceClient(
        endpoint,
        credential=credential(),
        transport=Transport(_PIECE_BYTES),
        max_block_size=BLOCK_BYTES,
        max_single_put_size=BLOCK_BYTES,
        max_single_get_size=2**31,  # a range is one request, whatever its size
        initial_backoff=1,
        increment_base=2,
        retry_total=4,
    )


@functools.lru_cache(maxsize=8)
def _linked_endpoint(_estate_file: "Path", container: str) -> str | None:
    """Of the linked estate; its file is read once, not for each request."""
    from mrikit.storage.estate import load_estate

    estate = load_estate()
    return estate.endpoint(container) if estate else None


def credential() -> "TokenCredential":
    """Whoever this process is: a managed identity, a login of `az`, ...; inside Azure ML the job's own identity.

    Raises:
        ConfigError: The Azure packages are not installed.
    """
    # A forked child must not wait for a lock that a thread of its parent held.
    return _credential(os.getpid())


@functools.lru_cache(maxsize=2)
def _credential(_process_id: int) -> "TokenCredential":
    with azure_packages():
        from azure.identity import DefaultAzureCredential

    # What it tried fills twenty lines; `blob_errors` says it in one.
    logging.getLogger("azure.identity").setLevel(logging.CRITICAL)
    return DefaultAzureCredential(managed_identity_client_id=os.environ.get("DEFAULT_IDENTITY_CLIENT_ID"))


def error_code(error: BaseException | None) -> str:
    """What the service calls an error, such as `BlobNotFound`; empty where it has no name."""
    # An enumeration of the client for the codes that it knows.
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def is_changed(error: BaseException | None) -> bool:
    """Whether the client failed because a blob is not the version that it was expected to be."""
    code = error_code(error)
    return code in _CHANGED or (not code and getattr(error, "status_code", None) == 412)


def is_refused(error: BaseException | None) -> bool:
    """Whether the client failed in a way that trying again does not mend: without the right, or the container."""
    return getattr(error, "status_code", None) == 403 or error_code(error) == "ContainerNotFound"


def _reason(path: BlobPath, error: "AzureError") -> str:
    from azure.core.exceptions import (
        ClientAuthenticationError,
        HttpResponseError,
        ServiceRequestError,
        ServiceResponseError,
    )

    code, status = error_code(error), getattr(error, "status_code", None)
    if code == "ContainerNotFound":
        account = blob_endpoint(path.container)
        return f"there is no container '{path.container}' at {account}; is the account the right one?"
    if code == "ContainerBeingDeleted":
        return f"the container '{path.container}' is being deleted; name another"
    if status == 404:
        return "no such blob"
    if status == 403:
        return f"access was refused ({code or 403}); your identity needs a role on the account: {_ROLES}"
    if status == 401 or isinstance(error, ClientAuthenticationError):
        return "not logged in to Azure; run `az login`, or work where a managed identity is given"
    if is_changed(error):
        return f"it was changed by someone else meanwhile ({code or status})"
    if code in ("BlobArchived", "BlobBeingRehydrated"):
        return f"it is in the archive tier ({code}); rehydrate it to the hot or cool tier, which takes hours"
    if status in (409, 412) and code.startswith(_HELD):
        return f"a lease or an immutability policy holds it ({code}); end that, or name another place"
    if status == 416:
        return "shorter than it was; was it replaced?"
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return _unreachable(path, error)
    if isinstance(error, HttpResponseError):
        return f"the service refused with {status} {code or _first_line(error)}"
    return _first_line(error)


def _unreachable(path: BlobPath, error: Exception) -> str:
    return f"{blob_endpoint(path.container)} cannot be reached: {why_unreachable(error)}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
