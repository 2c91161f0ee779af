"""Azure ML's errors as one line, without tokens."""

import contextlib
import logging
import re
import warnings
from collections.abc import Iterator

from mrikit.errors import JobError
from mrikit.storage.blob import azure_packages
from mrikit.storage.estate import Estate
from mrikit.storage.unreachable import why_unreachable
from mrikit.transfer.datafactory.words import hide

ROLE = "AzureML Data Scientist"
_TOKEN = re.compile(r"(?i)bearer\s+[\w.~+/=-]+|eyJ[\w.-]+")
_LOGIN_CODE = re.compile(r"AADSTS\d+")
_NO_NETWORK = re.compile(
    r"failed to establish a new connection|max retries exceeded|failed to resolve|name resolution|getaddrinfo"
    r"|name or service not known",
    re.IGNORECASE,
)
_MISSING = {
    "SubscriptionNotFound": "no subscription {0.subscription_id} that you may see; `az login` with the right tenant",
    "ResourceGroupNotFound": "no resource group '{0.resource_group}' in {0.subscription_id}; is it deployed?",
    "ParentResourceNotFound": "no workspace '{0.workspace_name}' in '{0.resource_group}'; is it deployed?",
    "ResourceNotFound": "no workspace '{0.workspace_name}' in '{0.resource_group}'; is it deployed?",
    "WorkspaceNotFound": "no workspace '{0.workspace_name}' in '{0.resource_group}'; is it deployed?",
}


@contextlib.contextmanager
def azure_errors(estate: Estate) -> Iterator[None]:
    """Turn what the vendor's client raises into one line; the error itself is its cause, for who asks what it was.

    Raises:
        ConfigError: The Azure packages are not installed.
        JobError: In place of the error of the client.
    """
    with azure_packages(), quiet():
        from azure.ai.ml.exceptions import MlException
        from azure.core.exceptions import AzureError
        from requests import RequestException
        from urllib3.exceptions import HTTPError

    try:
        yield
    except MlException as error:
        raise JobError(f"Azure ML's client refuses: {plain(str(error))}") from error
    except (AzureError, RequestException, HTTPError) as error:
        raise JobError(_reason(error, estate)) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what the vendor's client prints and warns about its own code."""
    logger = logging.getLogger("azure.ai.ml")
    level, disabled = logger.level, logging.root.manager.disable
    logger.setLevel(logging.CRITICAL)
    # Some of its modules have handlers of their own, and log what the service said, which may repeat a token.
    logging.disable(max(logging.CRITICAL, disabled))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        logger.setLevel(level)


def in_words(error: BaseException, estate: Estate) -> str:
    """What is not there, if it is more than one job; empty else."""
    code = _code(error)
    # A job or an environment that is not there may have the same code; only the message tells what is meant.
    if code == "ResourceNotFound" and any(part in _said(error) for part in ("/jobs/", "/environments/")):
        return ""
    return _MISSING.get(code, "").format(estate)


def plain(text: str) -> str:
    """On one line, and without tokens or signatures, which a service may repeat."""
    return hide(_TOKEN.sub("...", text))


def _reason(error: Exception, estate: Estate) -> str:
    from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

    status = getattr(error, "status_code", None)
    named = f"{status or ''} {_code(error)}".strip()
    if isinstance(error, ClientAuthenticationError) or status == 401:
        return _login_reason(str(error), status)
    if not isinstance(error, HttpResponseError) or status is None:
        return f"Azure ML cannot be reached: {plain(why_unreachable(error, 'is the network up?'))}"
    if status == 403:
        return f"you may not use workspace '{estate.workspace_name}' ({named}); ask for the role {ROLE} on it"
    if status == 404:
        return in_words(error, estate) or f"Azure ML does not know what was asked for ({named})"
    if status in (408, 429) or status >= 500:
        return f"Azure ML is busy ({named}); the same command in some minutes does no harm"
    return f"Azure ML refused ({named}): {plain(_said(error))}"


def _login_reason(words: str, status: int | None) -> str:
    code = _LOGIN_CODE.search(words)
    if code:
        return f"not logged in to Azure any more ({code.group()}); run `az login`"
    if status is None and _NO_NETWORK.search(words):
        return "Azure's login service cannot be reached; is the network up?"
    return "not logged in to Azure, or not for this subscription; run `az login`"


def _code(error: BaseException) -> str:
    """What the service calls an error, such as AuthorizationFailed."""
    found = getattr(error, "error", None)
    return str(getattr(found, "code", None) or "")


def _said(error: BaseException) -> str:
    found = getattr(error, "error", None)
    return str(getattr(found, "message", None) or getattr(error, "reason", None) or type(error).__name__)
