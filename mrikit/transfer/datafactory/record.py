"""Which run of Data Factory brings which blob, kept on this machine so that no command starts a second one."""

import contextlib
import datetime as dt
import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from mrikit.errors import MrikitError
from mrikit.storage import BlobPath, cache_folder, read_json, write_json
from mrikit.storage.estate import Estate
from mrikit.storage.lock import alone


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """A run that was going on, or about to be started, when somebody last looked."""

    target: str
    """The blob that it writes."""
    factory: str
    """Subscription, resource group and name of its factory."""
    run_id: str = ""
    """Empty while it is unknown whether the run has started: before, and after a lost answer."""
    size_bytes: int = 0
    """Of the archive; 0 if unknown."""
    asked_at: str
    """When the run was asked for, by this machine's clock, in ISO 8601."""

    @property
    def age_s(self) -> float:
        """Seconds since the run was asked for."""
        return (dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(self.asked_at)).total_seconds()


class RunRecordFile:
    """The record of one target in one factory.

    Args:
        estate: Names the factory.
        target: The blob.
    """

    def __init__(self, estate: Estate, target: BlobPath) -> None:
        self._target = str(target)
        self._factory = f"{estate.subscription_id}/{estate.resource_group}/{estate.factory_name}"
        name = hashlib.sha256(f"{self._factory}\n{self._target}".encode()).hexdigest()[:32]
        self._path = cache_folder() / "datafactory" / f"{name}.json"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else on this machine looks for or starts a run for this target meanwhile; a kill ends it, too.

        Raises:
            StorageError: The cache folder cannot be written.
        """
        remedy = "set MRIKIT_CACHE to a folder that you may write to"
        with alone(self._path.with_suffix(".lock"), remedy, is_needed=True):
            yield

    def read(self) -> RunRecord | None:
        """The record; None if there is none, or one that makes no sense: the factory is asked then."""
        if not self._path.exists():
            return None
        try:
            record = RunRecord(**read_json(self._path))
            is_dated = record.age_s < float("inf")
        except (MrikitError, TypeError, ValueError):
            return None
        return record if is_dated else None

    def write(self, *, run_id: str = "", size_bytes: int = 0) -> None:
        """Replace the record.

        Raises:
            StorageError: It cannot be written.
        """
        now = dt.datetime.now(dt.UTC).isoformat()
        record = RunRecord(
            target=self._target, factory=self._factory, run_id=run_id, size_bytes=size_bytes, asked_at=now
        )
        write_json(self._path, asdict(record))

    def forget(self) -> None:
        """Remove the record: its run is over, or never was."""
        self._path.unlink(missing_ok=True)
