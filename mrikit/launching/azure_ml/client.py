"""Client of one Azure ML workspace."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from mrikit.errors import ConfigError, JobError
from mrikit.launching.azure_ml.errors import azure_errors, in_words, quiet
from mrikit.launching.azure_ml.tags import CANCELLED, MARK
from mrikit.storage.blob import azure_packages, credential
from mrikit.storage.estate import Estate
from mrikit.transfer.datafactory.client import arm_endpoint

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import Job
    from azure.core.pipeline.policies import RetryPolicy

T = TypeVar("T")

_NUM_TRIES = 4
_LONGEST_WAIT_S = 30.0
"""A service that asks for more patience is taken to be busy."""
_PUSHED = "mrikit_pushed"
"""Tag of an environment's version: what the service calls its latest one is that which was made last, and not the one
that was pushed again."""
_NO_GIT = {
    f"mlflow.source.git.{fact}": "the code is in the container image" for fact in ("repoURL", "branch", "commit")
}
"""Keeps the client from sending the address of whatever repository the user happens to stand in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A job that the workspace knows."""

    name: str
    """What the workspace calls it."""
    status: str
    """In the words of Azure ML."""
    tags: Mapping[str, str]
    """What was noted on it."""
    created_at: float
    """Unix time; 0 where it is not told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """One version of an environment."""

    version: str
    """Its name among the versions."""
    pushed_at: str
    """When `mrikit image push` registered it last, ISO 8601; empty where somebody else did."""


class Workspace:
    """The workspace of an estate; nothing is contacted before the first question.

    Args:
        estate: Names the workspace.
        retry_wait_s: Wait after the second failure of a question; it doubles with each further one.
    """

    def __init__(self, estate: Estate, *, retry_wait_s: float = 0.8) -> None:
        self.estate = estate
        self._retry_wait_s = retry_wait_s
        self._made: MLClient | None = None

    def job(self, name: str) -> Found | None:
        """A job by its name; None if there is none.

        Raises:
            JobError: The workspace cannot be asked.
        """
        from azure.core.exceptions import ResourceNotFoundError

        try:
            return _found(self._do(lambda client: client.jobs.get(name)))
        except JobError as error:
            # A workspace that is not there is another thing, which the code of the error tells.
            if isinstance(error.__cause__, ResourceNotFoundError) and not in_words(error.__cause__, self.estate):
                return None
            raise

    def create(self, name: str, read: "Callable[[], Job]") -> None:
        """Submit a job by one request; it is sent again only if the service refused it as one too many.

        Args:
            name: Of the job, which nobody has yet.
            read: Makes the job, which the vendor's client changes when it sends it.

        Raises:
            JobError: It was not taken.
        """
        from azure.core.exceptions import AzureError, HttpResponseError

        for attempt in range(_NUM_TRIES):
            job = read()
            job.properties = {**(job.properties or {}), **_NO_GIT}
            try:
                self._do(_submitting(job))
            except JobError as refused:
                error = refused.__cause__
                status = error.status_code if isinstance(error, HttpResponseError) else None
                if status == 429 and attempt < _NUM_TRIES - 1:
                    time.sleep(min(_asked_wait_s(error) or self._retry_wait_s * 2**attempt, _LONGEST_WAIT_S))
                    continue
                is_known = status is not None and status not in (408, 409) and status < 500
                # Whether it was taken nobody knows but the service: the name tells, and is never given twice.
                if not isinstance(error, AzureError) or is_known or self.job(name) is None:
                    raise
            return

    def cancel(self, name: str) -> None:
        """End a job.

        Raises:
            JobError: The workspace cannot be asked.
        """
        self._do(lambda client: client.jobs.begin_cancel(name, polling=False))

    def forbid(self, name: str) -> None:
        """Note on a job that has failed that it must not be started again.

        Raises:
            JobError: The workspace cannot be asked.
        """
        self._do(lambda client: client.jobs.update(name, tags={CANCELLED: "yes"}))

    def jobs(self) -> list[Found]:
        """All jobs of mrikit, the newest first.

        Raises:
            JobError: The workspace cannot be asked.
        """
        listed = self._do(lambda client: list(client.jobs.list(tag=MARK)))
        found = [_found(job) for job in listed if job is not None]
        return sorted((job for job in found if MARK in job.tags), key=lambda job: -job.created_at)

    def register(self, name: str, version: str, image: str, tag: str) -> None:
        """Make a container image a version of an environment; one that is there already becomes the newest again.

        Args:
            name: Of the environment.
            version: Of it; the same for the same image.
            image: Address with its digest.
            tag: Of the image, for people.

        Raises:
            JobError: The workspace refuses.
        """
        with azure_packages(), quiet():
            from azure.ai.ml.entities import Environment

        tags = {MARK: tag, _PUSHED: datetime.now(UTC).isoformat()}
        made = Environment(name=name, version=version, image=image, tags=tags)
        self._do(lambda client: client.environments.create_or_update(made))

    def versions(self, name: str) -> list[Registered]:
        """The versions of an environment that are not archived; none where there is no such environment.

        Raises:
            JobError: The workspace cannot be asked.
        """
        from azure.core.exceptions import ResourceNotFoundError

        try:
            listed = self._do(lambda client: list(client.environments.list(name=name)))
        except JobError as error:
            if isinstance(error.__cause__, ResourceNotFoundError) and not in_words(error.__cause__, self.estate):
                return []
            raise
        times = [str((one.tags or {}).get(_PUSHED, "")) for one in listed]
        return [Registered(version=str(one.version), pushed_at=time) for one, time in zip(listed, times, strict=True)]

    def discovery_url(self) -> str:
        """Where the addresses of the workspace's other services are told.

        Raises:
            JobError: The workspace cannot be asked.
        """
        return str(self._do(lambda client: client.workspaces.get(self.estate.workspace_name)).discovery_url)

    def _do(self, ask: "Callable[[MLClient], T]") -> T:
        with azure_errors(self.estate), quiet():
            if self._made is None:
                self._made = _client(self.estate, self._retry_wait_s)
            return ask(self._made)


def _client(estate: Estate, retry_wait_s: float) -> "MLClient":
    with azure_packages():
        from azure.ai.ml import MLClient

    endpoint = arm_endpoint()
    cloud: dict[str, Any] = {}
    if endpoint:
        addresses = {
            "resource_manager": endpoint,
            "azure_portal": "https://portal.azure.com",
            "active_directory": "https://login.microsoftonline.com",
            "aml_resource_id": "https://ml.azure.com",
            "storage_endpoint": "core.windows.net",
            "registry_discovery_endpoint": endpoint,
        }
        cloud = {"cloud": f"mrikit {endpoint}", "cloud_metadata": addresses}
    try:
        login = credential()
    except ValueError as error:  # in the words of azure-identity
        raise ConfigError(str(error)) from error
    return MLClient(
        login,
        estate.subscription_id,
        estate.resource_group,
        estate.workspace_name,
        enable_telemetry=False,
        show_progress=False,
        retry_policy=_retry_policy(retry_wait_s),
        connection_timeout=10,
        read_timeout=60,
        **cloud,
    )


def _retry_policy(retry_wait_s: float) -> "RetryPolicy[Any, Any]":
    """Questions are asked again, with bounded patience; what changes something is never sent twice."""
    from azure.core.pipeline.policies import RetryPolicy

    class QuestionsOnly(RetryPolicy[Any, Any]):
        def configure_retries(self, options: dict[str, Any]) -> dict[str, Any]:
            return {**super().configure_retries(options), "methods": frozenset({"GET", "HEAD"})}

        def is_retry(self, settings: dict[str, Any], response: Any) -> bool:  # noqa: ANN401 - the vendor's types
            is_question = response.http_request.method.upper() in settings["methods"]
            is_soon = (self.get_retry_after(response) or 0) <= _LONGEST_WAIT_S
            return is_question and is_soon and super().is_retry(settings, response)

    return QuestionsOnly(retry_total=3, retry_connect=1, retry_read=1, retry_backoff_factor=retry_wait_s)


def _submitting(job: "Job") -> "Callable[[MLClient], Job]":
    return lambda client: client.jobs.create_or_update(job)


def _found(job: "Job") -> Found:
    made = job.creation_context.created_at if job.creation_context else None
    return Found(
        name=str(job.name),
        status=str(getattr(job.status, "value", job.status)),
        tags={str(key): str(value) for key, value in (job.tags or {}).items()},
        created_at=made.timestamp() if made else 0.0,
    )


def _asked_wait_s(error: Any) -> float | None:  # noqa: ANN401 - one of the vendor's errors
    text = error.response.headers.get("Retry-After", "") if error.response is not None else ""
    return float(text) if text.isdigit() else None
