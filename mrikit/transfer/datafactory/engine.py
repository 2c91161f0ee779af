"""Archives into Blob by the estate's Data Factory: one run of its copy pipeline for each, started, followed, checked.

The pipeline is declared by the estate; this is what it has to be for the runs that are started here.

    parameter    type          what it is
    baseUrl      String        scheme://host/ of the link
    relativeUrl  SecureString  path without its leading slash, and the query with the signature
    container    String        container in the data account
    folder       String        prefix below it without slashes at its ends; "" for none
    fileName     String        name of the blob

It copies what `baseUrl` followed by `relativeUrl` gives, byte by byte, to `container/folder/fileName` of the account at
`Estate.blob_endpoint`, and replaces a blob that is there. It declares no other parameter without a default. Every
activity has secure input, because the signature is in it; retries and timeouts are the pipeline's.

The pipeline that unpacks has `format`, tar or tar.gz, in place of `fileName`, and writes the members below the folder.

A run is started by a request that is never repeated. Before it, a note of it is written in the cache folder, and the
factory is asked for runs of this pipeline whose `container`, `folder` and `fileName` are the same: such a run is
followed, whoever has started it. Two machines that ask within the same second may still start two.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mrikit.errors import ConfigError, StorageError, TransferError
from mrikit.storage import BlobPath
from mrikit.storage.blob import blob_endpoint
from mrikit.storage.estate import Estate, require_estate
from mrikit.transfer.datafactory.archive_run import ArchiveAction, FactoryCopy, writes
from mrikit.transfer.datafactory.client import Factory
from mrikit.transfer.datafactory.record import RunRecordFile
from mrikit.transfer.datafactory.tasks import make_tasks
from mrikit.transfer.mail import MailArchive
from mrikit.transfer.results import CopyEvent, CopyResult, OnEvent
from mrikit.transfer.selection import require_own_names

PARAMETERS = {
    "baseUrl": "String",
    "relativeUrl": "SecureString",
    "container": "String",
    "folder": "String",
    "fileName": "String",
}
"""Name and type of each parameter of the copy pipeline."""
UNPACK_PARAMETERS = {name: kind for name, kind in PARAMETERS.items() if name != "fileName"} | {"format": "String"}
"""The same of the pipeline that unpacks."""
_LOOKS_AT_END = 12
"""At a run that was cancelled, until it is over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFactorySettings:
    """How runs are started and followed."""

    num_runs: int = 4
    """Runs of this command that go on at once, at least 1."""
    interval_s: float = 30.0
    """Between two looks at a run."""
    settle_s: float = 60.0
    """How long the factory may not tell of a run that has started; where an answer was lost, no new one is started
    before."""
    max_failures: int = 20
    """Looks in a row that may fail before a run is left alone."""
    retry_wait_s: float = 0.8
    """Wait after the first failure of a request; doubles with each of the five further tries."""
    unpacks: bool = False
    """Whether archives that Data Factory can unpack come unpacked; `.tasks` says which, and how."""

    def __post_init__(self) -> None:
        if self.num_runs < 1:
            raise ConfigError(f"num_runs is {self.num_runs}; at least one run is needed")


def copy_archives(
    archives: Sequence[MailArchive],
    to: BlobPath,
    *,
    digests: Mapping[str, str] | None = None,
    estate: Estate | None = None,
    settings: DataFactorySettings | None = None,
    on_event: OnEvent = lambda _event: None,
    on_result: Callable[[CopyResult], None] = lambda _result: None,
) -> list[CopyResult]:
    """Have the Data Factory copy archives into a prefix; what is there at its right size is not copied again.

    Runs belong to the factory: when this is interrupted they go on, and the next call follows them.

    Args:
        archives: What to copy.
        to: The prefix that the blobs go to, under the archives' names.
        digests: Published SHA256 of archives by name, hex digits. No byte passes through this machine: they are
            compared with what an earlier copy noted on a blob.
        estate: The estate; the linked one if None.
        settings: How runs are started and followed.
        on_event: Called with what happens. Each look at a run is a `moved` event whose message tells of all its
            activities; what is new in it is a `note`, too.
        on_result: Called with what has become of an archive as soon as it is over.

    Returns:
        One result for each archive, in their order.

    Raises:
        ConfigError: No estate is linked, nobody is logged in, or the factory or its pipeline is not what is needed.
        TransferError: The control plane cannot be reached to begin with.
    """
    settings, estate = settings or DataFactorySettings(), estate or require_estate()
    copies = _prepare(archives, to, estate, settings, on_event, digests or {})
    waiting, going_on = deque(copies), list[FactoryCopy]()
    results: dict[int, CopyResult] = {}

    def advance(copy: FactoryCopy) -> bool:
        result = copy.advance()
        if result is not None:
            results[id(copy)] = result
            on_result(result)
        return result is None

    try:
        while waiting or going_on:
            while waiting and len(going_on) < settings.num_runs:
                copy = waiting.popleft()
                going_on.append(copy)
                if not advance(copy):
                    going_on.remove(copy)
            if going_on:
                time.sleep(settings.interval_s)
            going_on = [copy for copy in going_on if advance(copy)]
    except BaseException:
        _say_what_goes_on([copy for copy in going_on if id(copy) not in results], estate, on_event)
        raise
    return [results[id(copy)] for copy in copies]


def plan_copies(
    archives: Sequence[MailArchive],
    to: BlobPath,
    *,
    estate: Estate | None = None,
    settings: DataFactorySettings | None = None,
) -> list[ArchiveAction]:
    """What `copy_archives` would do with each archive; nothing is started or written.

    Raises:
        ConfigError: No estate is linked, nobody is logged in, or the factory or its pipeline is not what is needed.
        TransferError: The control plane cannot be reached to begin with.
    """
    settings, estate = settings or DataFactorySettings(), estate or require_estate()
    return [_look(copy) for copy in _prepare(archives, to, estate, settings, lambda _event: None, {})]


def stop_copy(archive: MailArchive, to: BlobPath, *, estate: Estate, settings: DataFactorySettings) -> None:
    """End the runs that copy an archive into a prefix, and wait until they are over; none is fine.

    Raises:
        ConfigError: Nobody is logged in, or may end runs.
        TransferError: The control plane cannot be reached, or a run does not end.
    """
    factory = Factory(estate, retry_wait_s=settings.retry_wait_s)
    (task,) = make_tasks([archive], to, estate, unpacks=False)
    record = RunRecordFile(estate, task.target)
    noted = record.read()
    ids = [noted.run_id] if noted and noted.run_id else []
    ids += [run.run_id for run in factory.runs_going_on(task.pipeline) if writes(run, task.identity)]
    for run_id in dict.fromkeys(ids):
        _end(factory, run_id, settings.interval_s)
    record.forget()


def _end(factory: Factory, run_id: str, interval_s: float) -> None:
    for number in range(_LOOKS_AT_END):
        run = factory.run(run_id)
        if run is None or not run.is_going_on:
            return
        if number == 0:
            factory.cancel(run_id)
        time.sleep(interval_s)
    raise TransferError(f"run {run_id} was cancelled in Data Factory, and still goes on")


def _look(copy: FactoryCopy) -> ArchiveAction:
    try:
        return copy.look()
    except (TransferError, StorageError) as error:
        return ArchiveAction(action="failed", message=str(error))


def _prepare(
    archives: Sequence[MailArchive],
    to: BlobPath,
    estate: Estate,
    settings: DataFactorySettings,
    on_event: OnEvent,
    digests: Mapping[str, str],
) -> list[FactoryCopy]:
    """Find what is wrong with all archives alike, before anything is started."""
    _require_target(to, estate)
    require_own_names(archives)
    factory = Factory(estate, retry_wait_s=settings.retry_wait_s)
    tasks = make_tasks(archives, to, estate, unpacks=settings.unpacks)
    for pipeline in dict.fromkeys(task.pipeline for task in tasks):
        wanted = UNPACK_PARAMETERS if pipeline == estate.unpack_pipeline else PARAMETERS
        _require_parameters(factory.pipeline_parameters(pipeline), estate, pipeline, wanted)
    return [
        FactoryCopy(
            task,
            factory=factory,
            estate=estate,
            expected=digests.get(task.archive.name),
            settle_s=settings.settle_s,
            max_failures=settings.max_failures,
            on_event=on_event,
        )
        for task in tasks
    ]


def _require_target(to: BlobPath, estate: Estate) -> None:
    if to.container not in estate.containers:
        raise ConfigError(
            f"{to}: the estate's Data Factory writes to {', '.join(estate.containers)}; name one of these "
            "containers, or use --engine stream"
        )
    account = blob_endpoint(to.container)
    if account != estate.blob_endpoint.rstrip("/"):
        raise ConfigError(
            f"{to}: the environment names the account {account}, but the estate's Data Factory writes to "
            f"{estate.blob_endpoint}; unset MRIKIT_BLOB_ENDPOINT and AZURE_STORAGE_ACCOUNT, or use --engine stream"
        )


def _require_parameters(declared: dict[str, str], estate: Estate, name: str, wanted: Mapping[str, str]) -> None:
    pipeline = f"pipeline '{name}' of Data Factory '{estate.factory_name}'"
    missing = [name for name in wanted if name not in declared]
    if missing:
        raise ConfigError(
            f"{pipeline} lacks the parameters {', '.join(missing)}; it has {', '.join(declared) or 'none'}: is it the "
            "one that copies archives?"
        )
    wrong = [name for name, kind in wanted.items() if declared[name].lower() != kind.lower()]
    if wrong:
        found = ", ".join(f"{name} is {declared[name]}, not {wanted[name]}" for name in wrong)
        raise ConfigError(
            f"{pipeline}: {found}; a signature in a plain parameter would be shown to all who see its runs"
        )


def _say_what_goes_on(copies: Sequence[FactoryCopy], estate: Estate, on_event: OnEvent) -> None:
    names = [copy.archive.name for copy in copies if copy.run_id]
    if names:
        message = (
            f"{', '.join(names)}: the runs go on in Data Factory '{estate.factory_name}'; the same command follows them"
        )
        on_event(CopyEvent(kind="note", name="", message=message))
