"""Run history of an Azure ML workspace.

The vendor's client streams the first process of a running job to stdout and nothing else: no other node, no step of a
pipeline, nothing of a job that is over. These are the requests that it makes itself, by the same login.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

from mrikit import __version__
from mrikit.errors import JobError
from mrikit.launching.azure_ml.errors import azure_errors, plain
from mrikit.storage.blob import SCOPE, azure_packages, credential
from mrikit.storage.estate import Estate
from mrikit.transfer.datafactory.client import arm_endpoint

if TYPE_CHECKING:
    from azure.core import PipelineClient
    from azure.core.rest import HttpRequest, HttpResponse

_PUBLIC_CLOUD = "https://management.azure.com"
_LOGS = "azureml/ExperimentRun/dcid."
"""Container and folder of runs in the workspace's account, as the addresses of logs show it, for example those of
https://github.com/Azure/azureml-examples/issues/1123."""
_REFUSED = (401, 403, 409)
PIECE_BYTES = 4 * 2**20
"""Of a log, by one request."""


class RunHistory:
    """What a workspace remembers of its runs.

    Args:
        estate: Names the workspace.
        discovery_url: Tells where the address of the service is told.
        retry_wait_s: Wait after the second failure of a question.
    """

    def __init__(self, estate: Estate, discovery_url: Callable[[], str], *, retry_wait_s: float = 0.8) -> None:
        self._estate = estate
        self._discovery_url = discovery_url
        self._retry_wait_s = retry_wait_s
        self._address = ""

    def details(self, run: str) -> Mapping[str, Any]:
        """What is known of a run; nothing if it is not known.

        Raises:
            JobError: The service cannot be asked.
        """
        return self._ask(f"runs/{quote(run)}/details")

    def steps(self, run: str) -> dict[str, Mapping[str, Any]]:
        """The runs of a pipeline's steps, by the names that they are shown with.

        Raises:
            JobError: The service cannot be asked.
        """
        found: dict[str, Mapping[str, Any]] = {}
        page: Mapping[str, Any] = {}
        while True:
            token = page.get("continuationToken")
            query = f"?$continuationtoken={quote(str(token))}" if token else ""
            page = self._ask(f"runs/{quote(run)}/children{query}")
            for one in page.get("value") or []:
                found[str(one.get("displayName"))] = one
            if not page.get("continuationToken"):
                return found

    def read_log(self, run: str, file: str, url: str, start: int) -> tuple[bytes, int | None]:
        """What a log has from a byte on.

        Its address carries a signature and needs no login. Where it has none, or is refused, as an account without keys
        and behind a firewall may do, the file is read from the workspace's account by the user's own login.

        Args:
            run: What the run history calls it.
            file: Name of the log among the files of the run.
            url: Its address.
            start: The first byte.

        Returns:
            The bytes, and the size of the whole file where the service tells it.

        Raises:
            JobError: It cannot be read.
        """
        if urlsplit(url).scheme != "https":
            raise JobError("the address of the log is no https URL; is a proxy between?")
        headers = {"Range": f"bytes={start}-{start + PIECE_BYTES - 1}", "x-ms-version": "2021-08-06"}
        is_signed = "sig" in parse_qs(urlsplit(url).query)
        response = self._send(url, headers) if is_signed else None
        if response is None or response.status_code in _REFUSED:
            own = f"{self._estate.work_endpoint.rstrip('/')}/{_LOGS}{quote(run)}/{quote(file)}"
            response = self._send(own, headers, scope=SCOPE)
        if response.status_code in (200, 206, 404, 416):
            size = response.headers.get("Content-Range", "").rpartition("/")[2]
            data = response.read() if response.status_code in (200, 206) else b""
            return data[start:] if response.status_code == 200 else data, int(size) if size.isdigit() else None
        account = str(urlsplit(self._estate.work_endpoint).hostname).partition(".")[0]
        if response.status_code in _REFUSED:
            raise JobError(
                f"you may not read logs in storage account {account} ({response.status_code}); ask for the role "
                f"Storage Blob Data Reader on it, and that its network rules let you in (`allowedIps` of the stack)"
            )
        raise JobError(f"the log cannot be read from {account} ({response.status_code}); ask again in some minutes")

    def _ask(self, path: str) -> Mapping[str, Any]:
        if not self._address:
            self._address = self._api_address()
        scope = (
            f"subscriptions/{self._estate.subscription_id}/resourceGroups/{quote(self._estate.resource_group)}/providers/"
            f"Microsoft.MachineLearningServices/workspaces/{self._estate.workspace_name}"
        )
        response = self._send(f"{self._address}/history/v1.0/{scope}/{path}", {}, scope=_control_plane())
        if response.status_code == 404:
            return {}
        return _object(response)

    def _api_address(self) -> str:
        address = str(_object(self._send(self._discovery_url(), {})).get("api") or "").rstrip("/")
        if not address.startswith("https://"):
            raise JobError("the workspace names no https address of its run history; is a proxy between?")
        return address

    def _send(self, url: str, headers: Mapping[str, str], *, scope: str = "") -> "HttpResponse":
        """One request, with a token for a scope if there is one."""
        from azure.core.rest import HttpRequest

        with azure_errors(self._estate), _pipeline(self._retry_wait_s, scope) as client:
            response = client.send_request(HttpRequest("GET", url, headers=dict(headers)))
            if response.status_code in (401, 403) and scope == _control_plane():
                response.raise_for_status()
            return response


def studio_address(estate: Estate, run: str) -> str:
    """The page of a run in Azure ML's studio."""
    workspace = (
        f"/subscriptions/{estate.subscription_id}/resourcegroups/{quote(estate.resource_group)}"
        f"/workspaces/{estate.workspace_name}"
    )
    return f"https://ml.azure.com/runs/{quote(run)}?wsid={workspace}&tid={estate.tenant_id}"


def unix_time(text: object) -> float | None:
    """Of a time as the service writes it."""
    try:
        return datetime.fromisoformat(str(text)).timestamp() if text else None
    except ValueError:
        return None


def _object(response: "HttpResponse") -> Mapping[str, Any]:
    try:
        value = json.loads(response.text())
    except ValueError:
        value = None
    if response.status_code != 200 or not isinstance(value, Mapping):
        raise JobError(
            f"Azure ML's run history does not answer ({response.status_code}); ask again in some minutes: "
            f"{plain(response.reason or '')}".rstrip(": ")
        )
    return value


def _control_plane() -> str:
    """Scope of tokens for everything but files."""
    return f"{arm_endpoint() or _PUBLIC_CLOUD}/.default"


def _pipeline(retry_wait_s: float, scope: str) -> "PipelineClient[HttpRequest, HttpResponse]":
    """Retries, a token where there is to be one, and nothing else: no redirects, which could carry it away."""
    with azure_packages():
        from azure.core import PipelineClient
        from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy, UserAgentPolicy

    policies: list[Any] = [
        UserAgentPolicy(f"mrikit/{__version__}"),
        RetryPolicy(retry_total=3, retry_connect=1, retry_read=1, retry_backoff_factor=retry_wait_s, timeout=60),
    ]
    if scope:
        policies.append(BearerTokenCredentialPolicy(credential(), scope))
    return PipelineClient("", policies=policies, connection_timeout=10, read_timeout=30)
