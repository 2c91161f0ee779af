"""Copy archives from signed links into a folder or into Blob: in parallel, resumable, in constant memory."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from mrikit.errors import MrikitError
from mrikit.storage import Location
from mrikit.transfer.copying.archive_copy import ArchiveCopy
from mrikit.transfer.copying.arrivals import Arrivals
from mrikit.transfer.copying.folder_target import remove_leftovers
from mrikit.transfer.copying.limits import Buffers, RateLimit
from mrikit.transfer.copying.preview import CopySettings, PlannedArchive, plan_copy, require_space
from mrikit.transfer.copying.server_side import ServerSide
from mrikit.transfer.copying.targets import open_target
from mrikit.transfer.http import Connections
from mrikit.transfer.http_answer import LinkExpired
from mrikit.transfer.mail import MailArchive
from mrikit.transfer.results import CopyEvent, CopyResult, CopyState, OnEvent, judge_digest
from mrikit.transfer.selection import require_own_names
from mrikit.transfer.source import HttpSource

__all__ = ["CopySettings", "PlannedArchive", "copy_archives", "plan_copy"]

_GRACE_S = 3.0  # for threads to end when a copy is stopped


def copy_archives(
    archives: Sequence[MailArchive],
    to: Location,
    *,
    digests: Mapping[str, str] | None = None,
    settings: CopySettings | None = None,
    on_event: OnEvent = lambda _event: None,
    on_result: Callable[[CopyResult], None] = lambda _result: None,
    plan: Sequence[PlannedArchive] | None = None,
) -> list[CopyResult]:
    """Copy what is not there yet; killed at any point, the same call transfers again but the blocks in flight.

    What goes wrong with one archive does not stop the others.

    Args:
        archives: What to copy.
        to: A folder, or a prefix of blobs.
        digests: Published SHA256 of archives by name, hex digits.
        settings: Bounds.
        on_event: Called with what happens, from any thread, one call at a time.
        on_result: Called with what has become of an archive as soon as it is over, in the same way.
        plan: What `plan_copy` found for these archives; it is called by default.

    Returns:
        What has become of each archive, in their order.

    Raises:
        ConfigError: The target cannot be used at all, or two archives have one name.
        StorageError: The disk cannot hold them.
    """
    settings, digests = settings or CopySettings(), digests or {}
    require_own_names(archives)
    plans = plan_copy(archives, to, settings=settings) if plan is None else plan
    require_space(plans, to)
    event_lock = threading.Lock()

    def emit(event: CopyEvent) -> None:
        with event_lock:
            on_event(event)

    results = {
        one.archive.name: _settled(one, to, digests.get(one.archive.name))
        for one in plans
        if one.facts is None or one.error is not None
    }
    for result in results.values():
        emit(CopyEvent(kind="end", name=result.name, message=result.message))
        on_result(result)

    def note(result: CopyResult) -> None:
        with event_lock:
            on_result(result)

    run = _Run([one for one in plans if one.archive.name not in results], to, digests, settings, emit, note)
    results |= {result.name: result for result in run.run()}
    return [results[one.archive.name] for one in plans]


class _Run:
    """The threads of one copy, and the queue that they work on."""

    def __init__(
        self,
        plans: Sequence[PlannedArchive],
        to: Location,
        digests: Mapping[str, str],
        settings: CopySettings,
        emit: OnEvent,
        on_result: Callable[[CopyResult], None],
    ) -> None:
        self._settings, self._on_result = settings, on_result
        self._connections = Connections(settings.num_connections, settings.patience)
        block_bytes = max((plan.blocks.block_bytes for plan in plans if plan.blocks), default=settings.block_bytes)
        self._num_buffers = max(settings.memory_bytes // block_bytes, 1)
        self._buffers = Buffers(self._num_buffers, block_bytes)
        limit = RateLimit(settings.max_rate, self._connections.closed.wait)
        server_side = ServerSide(
            is_allowed=settings.is_server_side and settings.max_rate is None,
            on_refusal=lambda message: emit(CopyEvent(kind="note", name="", message=message)),
        )
        # What is left beside a buffer for each connection: to read a block back costs as much as to receive it.
        most_held = max(self._num_buffers - settings.num_connections, 0) // max(
            min(settings.archives_at_once, len(plans)), 1
        )
        self._waiting = deque(
            _archive_copy(plan, to, digests, settings, self._connections, limit, server_side, emit, most_held)
            for plan in plans
        )
        self._all = list(self._waiting)
        self._active: deque[ArchiveCopy] = deque()
        self._results: list[CopyResult] = []
        self._crash: BaseException | None = None
        self._changed = threading.Condition()

    def run(self) -> list[CopyResult]:
        """Until all archives are over."""
        threads = [
            threading.Thread(target=self._work, name=f"copy-{number}", daemon=True)
            for number in range(self._settings.num_connections)
        ]
        try:
            for thread in threads:
                thread.start()
            with self._changed:
                self._changed.wait_for(self._is_over)
        finally:
            # Also on Ctrl-C: nobody may write any more when this returns, unless a disk or a service hangs.
            self._buffers.close()
            self._connections.close()
            with self._changed:
                self._waiting.clear()
                self._changed.notify_all()
            for thread in threads:
                if thread.ident is not None:
                    thread.join(_GRACE_S)
            for copy in self._all:
                copy.close()
        if self._crash is not None:
            raise self._crash
        return self._results

    def _is_over(self) -> bool:
        return self._crash is not None or len(self._results) == len(self._all)

    def _work(self) -> None:
        """One thread: a buffer first, then the lowest block, so that the block all others wait for has a buffer."""
        try:
            while (buffer := self._buffers.take()) is not None:
                task = self._next()
                if task is None:
                    return
                copy, number = task
                release = partial(self._buffers.give, buffer)
                error: MrikitError | None = None
                try:
                    if number is None:
                        release()
                        copy.open()
                    else:
                        copy.copy_block(number, buffer, release)
                except MrikitError as failure:
                    error = failure
                self._leave(copy, error)
        except BaseException as crash:  # noqa: BLE001 - raised again in the thread that waits
            with self._changed:
                self._crash = self._crash or crash
                self._changed.notify_all()

    def _next(self) -> tuple[ArchiveCopy, int | None] | None:
        """A block to copy, or an archive to open; None when all is over."""
        with self._changed:
            while not (self._is_over() or self._connections.closed.is_set()):
                most_ahead = self._share_of_buffers()
                for _ in range(len(self._active)):
                    self._active.rotate(-1)
                    number = self._active[0].take(most_ahead)
                    if number is not None:
                        return self._active[0], number
                if self._waiting and len(self._active) < self._settings.archives_at_once:
                    copy = self._waiting.popleft()
                    copy.enter()
                    self._active.append(copy)
                    return copy, None
                self._changed.wait()
            return None

    def _share_of_buffers(self) -> int:
        """Of each archive among those that are on their way together, or could be."""
        num_together = min(self._settings.archives_at_once, len(self._active) + len(self._waiting))
        return max(self._num_buffers // max(num_together, 1), 2)

    def _leave(self, copy: ArchiveCopy, error: MrikitError | None) -> None:
        is_last = copy.leave(error)
        if is_last and not self._connections.closed.is_set():
            result = copy.finish()
            self._on_result(result)
            with self._changed:
                self._active.remove(copy)
                self._results.append(result)
        with self._changed:
            self._changed.notify_all()


def _archive_copy(
    plan: PlannedArchive,
    to: Location,
    digests: Mapping[str, str],
    settings: CopySettings,
    connections: Connections,
    limit: RateLimit,
    server_side: ServerSide,
    emit: OnEvent,
    most_held: int,
) -> ArchiveCopy:
    assert plan.blocks is not None, "archives without facts are settled before"
    name, arrivals = plan.archive.name, Arrivals()

    def count(num_bytes: int) -> None:
        arrivals.count(num_bytes)
        limit.pace(num_bytes)

    source = HttpSource(
        plan.archive.link,
        name=name,
        facts=plan.facts,
        connections=connections,
        patience=settings.patience,
        on_retry=lambda message: emit(CopyEvent(kind="retry", name=name, message=message)),
        pace=count,
    )
    return ArchiveCopy(
        plan.archive.link,
        source,
        open_target(to, plan.blocks),
        plan.blocks,
        expected=digests.get(name),
        server_side=server_side,
        on_event=emit,
        arrivals=arrivals,
        is_stopped=connections.closed.is_set,
        most_held=most_held,
    )


def _settled(plan: PlannedArchive, to: Location, expected: str | None) -> CopyResult:
    """An archive that is known to be there, or cannot be copied."""
    sha256 = plan.copied.sha256 if plan.copied else None
    if plan.copied and isinstance(to, Path):
        with contextlib.suppress(OSError):  # a folder that may only be read keeps them
            remove_leftovers(to, plan.archive.name)
    checksum, message = judge_digest(plan.archive.name, expected, sha256)
    state: CopyState = "present"
    if plan.error is not None:
        state = "expired" if isinstance(plan.error, LinkExpired) else "failed"
    return CopyResult(
        name=plan.archive.name,
        target=str(to / plan.archive.name),
        state=state,
        checksum=checksum,
        size_bytes=plan.size_bytes,
        moved_bytes=0,
        seconds=0.0,
        message=str(plan.error) if plan.error is not None else message,
        sha256=sha256,
    )
