"""Read-only client of Azure Resource Manager."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from mrikit import __version__
from mrikit.errors import ConfigError, JobError
from mrikit.storage.blob import azure_packages, credential
from mrikit.storage.unreachable import why_unreachable
from mrikit.transfer.datafactory.client import arm_endpoint
from mrikit.transfer.datafactory.words import hide

if TYPE_CHECKING:
    from azure.core import PipelineClient
    from azure.core.credentials import TokenCredential
    from azure.core.rest import HttpRequest, HttpResponse

PUBLIC_CLOUD = "https://management.azure.com"
_NUM_RETRIES = 3
_LONGEST_WAIT_S = 30
"""A service that asks for more patience is taken to be busy."""
_CONNECT_S, _ANSWER_S = 10, 30
_TOKEN = re.compile(r"(?i)bearer\s+[\w.~+/=-]+|eyJ[\w.-]+")
_TENANT = re.compile(r'authorization_uri="[^"]*/([0-9a-f-]{36})"', re.IGNORECASE)
_LOGIN_CODE = re.compile(r"AADSTS\d+")
# What clients of the login service say without a network; the chain of credentials keeps their words only.
_NO_NETWORK = re.compile(
    r"failed to establish a new connection|max retries exceeded|failed to resolve|name resolution|getaddrinfo"
    r"|name or service not known",
    re.IGNORECASE,
)
_DOUBT = "is the network up?"


class ArmError(JobError):
    """The control plane gave no answer to a question."""

    status = 0
    """Of HTTP; 0 if there was no answer at all."""
    code = ""
    """What the service calls the error, such as AuthorizationFailed."""


class UnreachableError(ArmError):
    """Nobody answers: every other question would end in the same way."""


class LoginError(ArmError):
    """Nobody is logged in, or the login is not taken."""

    tenant_id = ""
    """The tenant whose login would be taken; empty if the service does not say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who asks, as the token says it; empty where it does not."""

    object_id: str
    """Of the user or the managed identity."""
    tenant_id: str
    """Of its directory."""


class Arm:
    """The control plane of Azure's public cloud, or the one that `MRIKIT_ARM_ENDPOINT` names.

    The vendor's own client for it registers resource providers by itself when it meets one that is not; this pipeline
    has no such policy, and sends nothing but GETs.

    Args:
        retry_wait_s: Wait after the second failure of a request; it doubles with each further one.

    Raises:
        ConfigError: A variable has a value that it cannot have, or the Azure packages are not installed.
    """

    def __init__(self, *, retry_wait_s: float = 0.8) -> None:
        self._endpoint = arm_endpoint() or PUBLIC_CLOUD
        self._scope = f"{self._endpoint}/.default"
        try:
            self._credential = credential()
        except ValueError as error:  # in the words of azure-identity
            raise ConfigError(_plain(str(error))) from error
        self._client = _pipeline(self._endpoint, self._credential, self._scope, retry_wait_s)

    def login(self) -> Caller:
        """Ask for a token; who it is for.

        Raises:
            LoginError: Nobody is logged in.
            UnreachableError: The login service does not answer.
        """
        from azure.core.exceptions import AzureError

        try:
            return _caller(self._credential.get_token(self._scope).token)
        except AzureError as error:
            raise _login_error(str(error)) from None

    def get(self, path: str, version: str) -> Mapping[str, Any]:
        """The answer to one question.

        Args:
            path: From `/subscriptions` on, not quoted.
            version: Of the API.

        Raises:
            LoginError: The login is not taken.
            UnreachableError: Nobody answers.
            ArmError: The control plane refuses, or is busy.
        """
        return self._ask(f"{self._endpoint}{quote(path)}?api-version={version}")

    def pages(self, path: str, version: str) -> list[Mapping[str, Any]]:
        """All that a list holds, page by page; raises what `get` does."""
        page = self.get(path, version)
        found = list(page.get("value") or [])
        while link := page.get("nextLink"):
            if not _is_same_place(link, self._endpoint):
                raise ArmError(f"the next page is at {hide(link)}, which is no place to send a token to")
            page = self._ask(link)
            found += page.get("value") or []
        return found

    def _ask(self, url: str) -> Mapping[str, Any]:
        from azure.core.exceptions import AzureError, ClientAuthenticationError
        from azure.core.rest import HttpRequest
        from requests import RequestException
        from urllib3.exceptions import HTTPError

        try:
            response = self._client.send_request(HttpRequest("GET", url))
        except ClientAuthenticationError as error:
            raise _login_error(str(error)) from None
        except (AzureError, RequestException, HTTPError) as error:
            # Without its cause, which holds the request and its token.
            raise UnreachableError(
                f"{self._endpoint} cannot be reached: {_plain(why_unreachable(error, _DOUBT))}"
            ) from None
        try:
            value = json.loads(response.text())
        except ValueError:
            value = None
        if response.status_code == 200 and isinstance(value, Mapping):
            return value
        raise _refusal(response, value)


def _pipeline(
    endpoint: str, login: "TokenCredential", scope: str, retry_wait_s: float
) -> "PipelineClient[HttpRequest, HttpResponse]":
    """Retries, a token, and nothing else: no redirects, which could carry the token away, and no logs."""
    with azure_packages():
        from azure.core import PipelineClient
        from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy, UserAgentPolicy

    class BoundedRetryPolicy(RetryPolicy[Any, Any]):
        """Does not wait for as long as a service may ask for, which can be an hour."""

        def is_retry(self, settings: dict[str, Any], response: Any) -> bool:  # noqa: ANN401 - the vendor's types
            return super().is_retry(settings, response) and (self.get_retry_after(response) or 0) <= _LONGEST_WAIT_S

    policies = [
        UserAgentPolicy(f"mrikit/{__version__}"),
        BoundedRetryPolicy(
            retry_total=_NUM_RETRIES,
            retry_connect=1,
            retry_read=1,
            retry_backoff_factor=retry_wait_s,
        ),
        BearerTokenCredentialPolicy(login, scope),
    ]
    return PipelineClient(endpoint, policies=policies, connection_timeout=_CONNECT_S, read_timeout=_ANSWER_S)


def _caller(token: str) -> Caller:
    """The claims of a token, which is a JSON Web Token in Azure's clouds; its signature is not ours to check."""
    try:
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        return Caller(object_id=str(claims.get("oid", "")), tenant_id=str(claims.get("tid", "")))
    except (IndexError, ValueError, AttributeError):
        return Caller(object_id="", tenant_id="")


def _login_error(words: str) -> ArmError:
    """What the chain of credentials tells on twenty lines."""
    code = _LOGIN_CODE.search(words)
    if code:
        return LoginError(f"not logged in to Azure any more, or not for this ({code.group()})")
    if _NO_NETWORK.search(words):
        return UnreachableError("the login service cannot be reached; is the network up?")
    return LoginError("not logged in to Azure")


def _refusal(response: "HttpResponse", value: object) -> ArmError:
    found = value.get("error") if isinstance(value, Mapping) else None
    words = found if isinstance(found, Mapping) else {}
    status, code = response.status_code, str(words.get("code") or "")
    named = f"{status} {code}".strip()
    error: ArmError
    if status == 401:
        error = LoginError(f"the control plane does not take this login ({named})")
        tenant = _TENANT.search(response.headers.get("WWW-Authenticate", ""))
        error.tenant_id = tenant.group(1) if tenant else ""
    elif status in (408, 429) or status >= 500:
        error = ArmError(f"the control plane is busy ({named}); ask again in some minutes")
    elif status == 200:
        error = ArmError("the control plane answered with something else than JSON; is a proxy between?")
    else:
        error = ArmError(f"the control plane refused ({named}): {_plain(str(words.get('message') or ''))}".rstrip(": "))
    error.status, error.code = status, code
    return error


def _plain(text: str) -> str:
    """On one line, and without tokens or signatures, which a service may repeat."""
    return hide(_TOKEN.sub("...", text))


def _is_same_place(link: str, endpoint: str) -> bool:
    """Some services write the port out."""
    one, other = urlsplit(link), urlsplit(endpoint)
    return (one.scheme, one.hostname, one.port or 443) == (other.scheme, other.hostname, other.port or 443)
