"""The control plane of one Data Factory by the vendor's client: six requests, errors on one line without secrets."""

import datetime as dt
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mrikit.errors import ConfigError, MrikitError, TransferError
from mrikit.storage.blob import credential
from mrikit.storage.estate import Estate
from mrikit.transfer.datafactory.words import hide

if TYPE_CHECKING:
    from azure.core.exceptions import AzureError
    from azure.mgmt.datafactory import DataFactoryManagementClient
    from azure.mgmt.datafactory.models import ActivityRun, PipelineRun

T = TypeVar("T")

ARM_ENDPOINT = "MRIKIT_ARM_ENDPOINT"
_GOING_ON = ("Queued", "InProgress", "Canceling")
_ROLE = "Data Factory Contributor"
_NUM_RETRIES = 5
# A run may wait and retry for long; one that nobody has touched for longer than a week is over.
_LOOK_BACK = dt.timedelta(days=8)
# Azure's clock and ours may differ.
_LOOK_AHEAD = dt.timedelta(days=1)
_NO_FACTORY = "no Data Factory '{0.factory_name}' in resource group '{0.resource_group}'; is it deployed?"
_MISSING = {
    "SubscriptionNotFound": "no subscription {0.subscription_id} that you may see; `az login` with the right tenant",
    "ResourceGroupNotFound": "no resource group '{0.resource_group}' in {0.subscription_id}; is it deployed?",
    "ParentResourceNotFound": _NO_FACTORY,
    "ResourceNotFound": _NO_FACTORY,
}


class FactoryBusyError(TransferError):
    """The control plane did not answer, or not now; the same question may be answered later."""

    was_refused = False
    """Whether nothing has happened for sure; a lost answer may belong to a run that has started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunState:
    """What the factory tells of a run."""

    run_id: str
    """Its name in the factory."""
    status: str
    """Queued, InProgress, Succeeded, Failed, Canceling or Cancelled."""
    parameters: Mapping[str, str | None]
    """What it was started with; secure values are absent or None."""

    @property
    def is_going_on(self) -> bool:
        """Whether it is not over."""
        return self.status in _GOING_ON


@dataclass(frozen=True, kw_only=True, slots=True)
class ActivityState:
    """What the factory tells of one try of one activity of a run."""

    name: str
    """The activity's name in the pipeline."""
    status: str
    """Queued, InProgress, Succeeded, Failed, Canceling or Cancelled."""
    read_bytes: int
    """Read from the source so far."""
    written_bytes: int
    """Written to the target so far."""
    bytes_per_s: float
    """Its rate, as the service says it."""
    error: str
    """Code and message on one line; empty if all is well."""


class Factory:
    """One Data Factory and its pipelines.

    Args:
        estate: Names the factory.
        retry_wait_s: Wait after the first failure of a request; the vendor's client doubles it with each further one,
            or waits as long as the service asks.
    """

    def __init__(self, estate: Estate, *, retry_wait_s: float) -> None:
        self._estate = estate
        self._client = make_client(estate.subscription_id, retry_wait_s)
        self._place = (estate.resource_group, estate.factory_name)

    def pipeline_parameters(self, name: str) -> dict[str, str]:
        """The type of each parameter that a pipeline declares.

        Raises:
            ConfigError: There is no such pipeline, or no right to see it.
            TransferError: The service cannot be asked.
        """
        pipeline = self._ask(lambda: self._client.pipelines.get(*self._place, name))
        if pipeline is None:
            raise ConfigError(_no_pipeline(self._estate, name))
        return {key: str(kind.type) for key, kind in (pipeline.parameters or {}).items()}

    def start(self, pipeline: str, parameters: Mapping[str, str]) -> str:
        """Start a run, with one request that is never repeated: a second one would start a second run.

        Returns:
            The id of the run.

        Raises:
            ConfigError: There is no such pipeline, or no right to start it.
            FactoryBusyError: Not now, or the answer was lost.
            TransferError: The service refuses.
        """
        body: dict[str, Any] = dict(parameters)
        answer = self._ask(
            lambda: self._client.pipelines.create_run(
                *self._place,
                pipeline,
                parameters=body,
                retry_total=0,
                logging_enable=False,
            ),
            secrets=parameters.values(),
        )
        if answer is None:
            raise ConfigError(_no_pipeline(self._estate, pipeline))
        return str(answer.run_id)

    def run(self, run_id: str) -> RunState | None:
        """The state of a run; None if the factory does not know it (any more).

        Raises:
            ConfigError: No right to see it.
            TransferError: The service cannot be asked.
        """
        run = self._ask(lambda: self._client.pipeline_runs.get(*self._place, run_id))
        return None if run is None else _run_state(run)

    def cancel(self, run_id: str) -> None:
        """End a run, which takes some seconds; one that the factory does not know is fine.

        Raises:
            ConfigError: No right to end it.
            TransferError: The service refuses, or cannot be asked.
        """
        self._ask(lambda: self._client.pipeline_runs.cancel(*self._place, run_id))

    def activities(self, run_id: str, secrets: Iterable[str] = ()) -> list[ActivityState]:
        """Every try of every activity of a run, oldest first.

        Args:
            run_id: The run.
            secrets: What must not be in an error; see `hide`.

        Raises:
            ConfigError: No right to see them.
            TransferError: The service cannot be asked.
        """
        query = self._client.activity_runs.query_by_pipeline_run
        runs = self._query(lambda window: query(*self._place, run_id, window), [])
        return [_activity_state(run, secrets) for run in sorted(runs, key=_start)]

    def runs_going_on(self, pipeline: str) -> list[RunState]:
        """The runs of a pipeline that are not over, oldest first.

        Raises:
            ConfigError: No right to see them.
            TransferError: The service cannot be asked.
        """
        from azure.mgmt.datafactory.models import RunQueryFilter

        filters = [
            RunQueryFilter(operand="PipelineName", operator="Equals", values=[pipeline]),
            RunQueryFilter(operand="Status", operator="In", values=list(_GOING_ON)),
        ]
        query = self._client.pipeline_runs.query_by_factory
        return [_run_state(run) for run in sorted(self._query(lambda w: query(*self._place, w), filters), key=_start)]

    def _query(self, ask: Callable[[Any], Any], filters: list[Any]) -> list[Any]:
        """All pages of a query."""
        from azure.mgmt.datafactory.models import RunFilterParameters

        now = dt.datetime.now(dt.UTC)
        window = RunFilterParameters(
            last_updated_after=now - _LOOK_BACK, last_updated_before=now + _LOOK_AHEAD, filters=filters
        )
        found: list[Any] = []
        while True:
            page = self._ask(lambda: ask(window))
            if page is None:
                return found
            found += page.value or []
            window.continuation_token = page.continuation_token
            if not page.continuation_token:
                return found

    def _ask(self, request: Callable[[], T], secrets: Iterable[str] = ()) -> T | None:
        """The answer; None where the factory is there and the asked-for thing is not."""
        from azure.core.exceptions import AzureError

        try:
            return request()
        except AzureError as error:
            failure = _explain(error, self._estate, secrets)
        # Outside of the block above: the client's error holds the request, and the request the signature.
        if failure is None:
            return None
        raise failure


def make_client(subscription_id: str, retry_wait_s: float) -> "DataFactoryManagementClient":
    """The vendor's client, for Azure's public cloud or for the control plane that `MRIKIT_ARM_ENDPOINT` names.

    Raises:
        ConfigError: The endpoint is not an https URL, or the Azure packages are not installed.
    """
    try:
        from azure.mgmt.datafactory import DataFactoryManagementClient
    except ImportError as error:
        raise ConfigError(
            f"--engine datafactory needs packages that are not installed; `pip install 'mrikit[azure]'` ({error.name})"
        ) from error
    endpoint = arm_endpoint()
    place: dict[str, Any] = {"base_url": endpoint, "credential_scopes": [f"{endpoint}/.default"]} if endpoint else {}
    return DataFactoryManagementClient(
        credential(), subscription_id, retry_total=_NUM_RETRIES, retry_backoff_factor=retry_wait_s, **place
    )


def arm_endpoint() -> str:
    """The control plane that `MRIKIT_ARM_ENDPOINT` names, without a slash at its end; empty for Azure's public cloud.

    Raises:
        ConfigError: It is not an https URL.
    """
    endpoint = os.environ.get(ARM_ENDPOINT, "").rstrip("/")
    if endpoint and not endpoint.startswith("https://"):
        raise ConfigError(f"{ARM_ENDPOINT}: tokens travel over https only; found '{hide(endpoint)}'")
    return endpoint


def _explain(error: "AzureError", estate: Estate, secrets: Iterable[str]) -> MrikitError | None:
    """What to raise for an error of the client; None where the asked-for thing is not there."""
    from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

    factory = f"Data Factory '{estate.factory_name}'"
    if isinstance(error, ClientAuthenticationError):
        return ConfigError(
            f"{factory}: not logged in to Azure; run `az login`, or work where a managed identity is given"
        )
    if not isinstance(error, HttpResponseError) or error.status_code is None:
        return FactoryBusyError(
            f"{factory}: the control plane cannot be reached: {hide(str(error), secrets)}; is the network up?"
        )
    code = str(getattr(error.error, "code", None) or "")
    if error.status_code == 404:
        return ConfigError(f"{factory}: {_MISSING[code].format(estate)}") if code in _MISSING else None
    if error.status_code == 403:
        return ConfigError(f"{factory}: access was refused ({code or 403}); your identity needs the role {_ROLE} on it")
    named = f"{error.status_code} {code}".strip()
    if error.status_code in (408, 429) or error.status_code >= 500:
        busy = FactoryBusyError(f"{factory}: the control plane is busy ({named})")
        busy.was_refused = error.status_code == 429
        return busy
    words = getattr(error.error, "message", None) or error.message
    return TransferError(f"{factory}: the request was refused ({named}): {hide(words, secrets)}")


def run_address(estate: Estate, run_id: str) -> str:
    """Where a browser shows a run: Data Factory's monitor."""
    factory = (
        f"/subscriptions/{estate.subscription_id}/resourceGroups/{estate.resource_group}"
        f"/providers/Microsoft.DataFactory/factories/{estate.factory_name}"
    )
    return f"https://adf.azure.com/en/monitoring/pipelineruns/{run_id}?factory={factory}"


def _no_pipeline(estate: Estate, name: str) -> str:
    key = "unpack_pipeline" if name == estate.unpack_pipeline else "copy_pipeline"
    return (
        f"Data Factory '{estate.factory_name}' has no pipeline '{name}'; deploy it, or name another as {key} in the "
        "estate's file"
    )


def _run_state(run: "PipelineRun") -> RunState:
    return RunState(run_id=str(run.run_id), status=str(run.status), parameters=dict(run.parameters or {}))


def _activity_state(run: "ActivityRun", secrets: Iterable[str]) -> ActivityState:
    output = run.output if isinstance(run.output, Mapping) else {}
    error = run.error if isinstance(run.error, Mapping) else {}
    code, message = str(error.get("errorCode") or ""), str(error.get("message") or "")
    return ActivityState(
        name=str(run.activity_name),
        status=str(run.status),
        read_bytes=int(output.get("dataRead") or 0),
        written_bytes=int(output.get("dataWritten") or 0),
        bytes_per_s=float(output.get("throughput") or 0) * 1024,
        error=hide(f"{code} {message}".strip(), secrets),
    )


def _start(run: Any) -> dt.datetime:  # noqa: ANN401 - of a pipeline or of an activity
    start = getattr(run, "run_start", None) or getattr(run, "activity_run_start", None)
    return start if isinstance(start, dt.datetime) else dt.datetime.max.replace(tzinfo=dt.UTC)
