"""One archive by Data Factory: its run is found, started, followed and checked, one step at a time."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mrikit.errors import MrikitError, StorageError, TransferError
from mrikit.storage.estate import Estate
from mrikit.transfer.datafactory.client import ActivityState, Factory, FactoryBusyError, RunState, run_address
from mrikit.transfer.datafactory.record import RunRecord, RunRecordFile
from mrikit.transfer.datafactory.tasks import Task, There
from mrikit.transfer.mail import MailArchive
from mrikit.transfer.results import CopyEvent, CopyResult, CopyState, OnEvent, judge_digest
from mrikit.transfer.retry import Patience
from mrikit.transfer.source import HttpSource, LinkExpired
from mrikit.words import in_bytes

Action = Literal["copy", "follow", "wait", "present", "expired", "failed"]
"""`wait`: a run may have started of which the factory does not tell yet; `failed`: it cannot be known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveAction:
    """What is to be done for an archive."""

    action: Action
    """What it is."""
    size_bytes: int = 0
    """Of the archive; 0 if unknown."""
    run_id: str = ""
    """`follow`: the run that is going on."""
    sha256: str | None = None
    """`present`: hex digest of the blob, if whoever wrote it noted one."""
    message: str = ""
    """What is worth knowing about it, on one line."""


class FactoryCopy:
    """One archive on its way; `advance` is called again and again until it gives a result.

    Args:
        task: What the run does: copy the archive, or unpack it.
        factory: Where the pipeline runs.
        estate: Names the factory, for messages and records.
        expected: The published SHA256 as hex digits; None if there is none.
        settle_s: How long the factory may not tell of a run that has started.
        max_failures: Questions in a row that may stay unanswered.
        on_event: Called with what happens.
    """

    def __init__(
        self,
        task: Task,
        *,
        factory: Factory,
        estate: Estate,
        expected: str | None,
        settle_s: float,
        max_failures: int,
        on_event: OnEvent,
    ) -> None:
        self.archive, self._task = task.archive, task
        self.run_id = ""
        self._factory, self._estate, self._expected = factory, estate, expected
        self._settle_s, self._max_failures, self._on_event = settle_s, max_failures, on_event
        self._record = RunRecordFile(estate, task.target)
        self._size_bytes = self._moved_bytes = self._num_failures = 0
        self._said = ""
        self._began_s = time.monotonic()

    def advance(self) -> CopyResult | None:
        """Take the next step: find or start the run, or ask how it goes.

        Returns:
            The result, once it is over.

        Raises:
            ConfigError: What is wrong with all archives alike.
        """
        try:
            result = self._ask() if self.run_id else self._begin()
        except FactoryBusyError as error:
            self._num_failures += 1
            if self._num_failures > self._max_failures:
                return self._end("failed", f"{error}, {self._num_failures} times in a row; {self._what_goes_on()}")
            self._say("retry", str(error))
            return None
        except (TransferError, StorageError) as error:
            return self._end("failed", str(error))
        if self.run_id:
            self._num_failures = 0
        return result

    def look(self) -> ArchiveAction:
        """What is to be done; changes nothing.

        Raises:
            MrikitError: The factory, the account or the source cannot be asked.
        """
        record = self._record.read()
        size_bytes = record.size_bytes if record else 0
        run = self._find_run(record)
        if run is not None:
            return ArchiveAction(
                action="follow", run_id=run.run_id, size_bytes=size_bytes, message=self._address(run.run_id)
            )
        if record and not record.run_id and 0 <= record.age_s < self._settle_s:
            return ArchiveAction(action="wait", size_bytes=size_bytes, message="a run may have started already")
        return self._look_at_both_ends(self._task.look())

    def _look_at_both_ends(self, there: There | None) -> ArchiveAction:
        try:
            size_bytes = source_size_bytes(self.archive)
        except LinkExpired as error:
            if there is None:
                return ArchiveAction(action="expired", message=str(error))
            message = f"there with {there.size_bytes} bytes; its size is not verified, because the link expired"
            return ArchiveAction(action="present", size_bytes=there.size_bytes, sha256=there.sha256, message=message)
        if there is None:
            return ArchiveAction(action="copy", size_bytes=size_bytes)
        if there.size_bytes == size_bytes:
            return ArchiveAction(action="present", size_bytes=size_bytes, sha256=there.sha256)
        message = f"there with {there.size_bytes} bytes instead of {size_bytes}: copied again"
        return ArchiveAction(action="copy", size_bytes=size_bytes, message=message)

    def _begin(self) -> CopyResult | None:
        with self._record.locked():
            found = self.look()
            self._size_bytes = found.size_bytes
            if found.message and found.action in ("copy", "follow"):
                self._say("note", found.message)
            if found.action == "wait":
                return None
            if found.action == "follow":
                self._follow(found)
            elif found.action == "copy":
                self.run_id = self._start()
                self._say("note", self._address(self.run_id))
            else:
                self._record.forget()
                return self._end("expired" if found.action == "expired" else "present", found.message, found.sha256)
        self._on_event(CopyEvent(kind="begin", name=self.archive.name, size_bytes=self._size_bytes))
        return None

    def _follow(self, found: ArchiveAction) -> None:
        if not self._size_bytes:
            # A run needs its link only to begin with: an expired one leaves what the run itself counts.
            with contextlib.suppress(TransferError):
                self._size_bytes = source_size_bytes(self.archive)
        self._record.write(run_id=found.run_id, size_bytes=self._size_bytes)
        self.run_id = found.run_id

    def _start(self) -> str:
        link = self.archive.link
        self._record.write(size_bytes=self._size_bytes)
        try:
            run_id = self._factory.start(
                self._task.pipeline,
                {"baseUrl": link.base_url, "relativeUrl": link.relative_url_reveal(), **self._task.parameters},
            )
        except MrikitError as error:
            # After a lost answer the record says that a run may have started.
            if not isinstance(error, FactoryBusyError) or error.was_refused:
                self._record.forget()
            raise
        self._record.write(run_id=run_id, size_bytes=self._size_bytes)
        return run_id

    def _find_run(self, record: RunRecord | None) -> RunState | None:
        """The run that is writing the target, if any."""
        if record and record.run_id:
            run = self._factory.run(record.run_id)
            if run is not None and (run.is_going_on or (run.status == "Succeeded" and self._task.has_more_to_do)):
                return run
        mine = [run for run in self._factory.runs_going_on(self._task.pipeline) if writes(run, self._task.identity)]
        return mine[-1] if mine else None

    def _ask(self) -> CopyResult | None:
        run = self._factory.run(self.run_id)
        if run is None:
            self._record.forget()
            return self._end(
                "failed", f"the factory knows nothing of run {self.run_id} any more; the same command looks again"
            )
        activities = self._factory.activities(self.run_id, [self.archive.link.relative_url_reveal()])
        self._tell(run, activities)
        if run.is_going_on:
            return None
        if run.status == "Succeeded":
            result = self._check(activities)
            self._record.forget()  # not before: what an unpack still has to do is found by it after a kill
            return result
        self._record.forget()
        if run.status == "Cancelled":
            return self._end("failed", f"run {run.run_id} was cancelled in Data Factory; the same command starts anew")
        return self._explain_failure(run, activities)

    def _tell(self, run: RunState, activities: list[ActivityState]) -> None:
        moved = sum(self._task.moved_bytes(activity) for activity in activities if activity.status != "Failed")
        words = "; ".join(_describe(activity) for activity in activities) or run.status
        came, self._moved_bytes = max(moved - self._moved_bytes, 0), max(moved, self._moved_bytes)
        self._on_event(CopyEvent(kind="moved", name=self.archive.name, num_bytes=came, message=words))
        changed = "; ".join(f"{a.name} {a.status} {a.error}".strip() for a in activities) or run.status
        if changed != self._said:
            self._said = changed
            self._say("note", f"run {run.run_id}: {words}")

    def _check(self, activities: list[ActivityState]) -> CopyResult:
        done = [activity for activity in activities if activity.status == "Succeeded"]
        try:
            self._task.check(self.run_id, self._size_bytes, done)
        except MrikitError as error:
            return self._end("failed", str(error))
        return self._end("copied", "")

    def _explain_failure(self, run: RunState, activities: list[ActivityState]) -> CopyResult:
        errors = [f"{a.name}: {a.error}" for a in activities if a.status == "Failed" and a.error]
        why = f"run {run.run_id} failed: {errors[-1] if errors else 'the factory does not say why'}"
        try:
            source_size_bytes(self.archive)
        except LinkExpired as error:
            return self._end("expired", f"{error} ({why})")
        except TransferError as error:
            return self._end("failed", f"{why}; {error}")
        return self._end("failed", f"{why}; the same command starts it again")

    def _end(self, state: CopyState, message: str, sha256: str | None = None) -> CopyResult:
        checksum, mismatch = judge_digest(self.archive.name, self._expected, sha256)
        message = mismatch or self._named(message)
        self._on_event(CopyEvent(kind="end", name=self.archive.name, message=message))
        return CopyResult(
            name=self.archive.name,
            target=str(self._task.target),
            state=state,
            checksum=checksum,
            size_bytes=self._size_bytes,
            moved_bytes=self._moved_bytes,
            seconds=time.monotonic() - self._began_s,
            message=message,
            sha256=sha256,
            is_unpacked=self._task.has_more_to_do,
        )

    def _address(self, run_id: str) -> str:
        return f"run {run_id}: {run_address(self._estate, run_id)}"

    def _what_goes_on(self) -> str:
        if self.run_id:
            return f"run {self.run_id} may go on, and the same command follows it"
        return "the same command goes on from here"

    def _say(self, kind: Literal["note", "retry"], message: str) -> None:
        self._on_event(CopyEvent(kind=kind, name=self.archive.name, message=self._named(message)))

    def _named(self, message: str) -> str:
        """With the archive in front, but for messages that name it themselves."""
        name = self.archive.name
        return message if not message or message.startswith(f"{name}: ") else f"{name}: {message}"


def source_size_bytes(archive: MailArchive) -> int:
    """Size of an archive as its server says it.

    Raises:
        LinkExpired: The link is too old.
        TransferError: The server cannot be asked.
    """
    source = HttpSource(archive.link, name=archive.name, num_connections=1, patience=Patience().briefly())
    try:
        return source.size_bytes
    finally:
        source.close()


def writes(run: RunState, wanted: Mapping[str, str]) -> bool:
    """Whether a run writes what these parameters name."""
    return all((run.parameters.get(key) or "") == value for key, value in wanted.items())


def _describe(activity: ActivityState) -> str:
    """An activity in words: state, bytes, rate, error."""
    words = f"{activity.name} {activity.status}"
    if activity.read_bytes or activity.written_bytes:
        words += f", {in_bytes(activity.read_bytes)} read, {in_bytes(activity.written_bytes)} written"
    if activity.bytes_per_s:
        words += f", {in_bytes(activity.bytes_per_s)}/s"
    return f"{words}, {activity.error}" if activity.error else words
