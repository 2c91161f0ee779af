"""One archive on its way from a link to its place."""

import threading
import time
from collections import deque
from collections.abc import Callable

from mrikit.errors import MrikitError
from mrikit.transfer.copying.blob_target import BlobTarget
from mrikit.transfer.copying.blocks import BlockPlan
from mrikit.transfer.copying.digest import InOrderDigest
from mrikit.transfer.copying.server_side import ServerSide
from mrikit.transfer.copying.targets import Target
from mrikit.transfer.link import Link
from mrikit.transfer.results import ChecksumState, CopyEvent, CopyResult, CopyState, OnEvent
from mrikit.transfer.source import HttpSource, LinkExpired


class ArchiveCopy:
    """Blocks are taken one by one, copied by any thread in any order, and committed when all are there.

    Args:
        link: For blocks that the service fetches by itself.
        source: Where the bytes come from.
        target: Where they go.
        plan: The blocks.
        expected: The published SHA256 as hex digits; None if there is none.
        server_side: Whether the service fetches by itself.
        on_event: Called with what happens.
    """

    def __init__(
        self,
        link: Link,
        source: HttpSource,
        target: Target,
        plan: BlockPlan,
        *,
        expected: str | None,
        server_side: ServerSide,
        on_event: OnEvent,
    ) -> None:
        self.name = plan.name
        self._link, self._source, self._target, self._plan = link, source, target, plan
        self._expected, self._server_side, self._on_event = expected, server_side, on_event
        self._pending: deque[int] = deque()
        self._num_in_flight = 0
        self._is_complete = False
        self._error: MrikitError | None = None
        self._digest: InOrderDigest | None = None
        self._moved_bytes = 0
        self._lock = threading.Lock()
        self._started_at = time.monotonic()

    def enter(self) -> None:
        """A thread begins to work on it, other than by `take`."""
        with self._lock:
            self._num_in_flight += 1

    def take(self) -> int | None:
        """The lowest block that nobody has taken, now the caller's; None if there is none for the moment."""
        with self._lock:
            is_alone = self._num_in_flight == 0
            if not self._pending or not (is_alone or self._source.facts.is_ranged):
                return None
            self._num_in_flight += 1
            return self._pending.popleft()

    def leave(self, error: MrikitError | None) -> bool:
        """A thread has done what it took on; the first error stops the rest.

        Returns:
            Whether it was the last one, which has to call `finish`.
        """
        with self._lock:
            self._num_in_flight -= 1
            if error is not None:
                self._error = self._error or error
                self._pending.clear()
            is_last = self._num_in_flight == 0 and not self._pending
        if error is not None and self._digest is not None:
            self._digest.drop()
        return is_last

    def open(self) -> None:
        """Take hold of the target, see what is there and hash what can be hashed.

        Raises:
            MrikitError: It cannot be.
        """
        self._started_at = time.monotonic()
        present = self._target.open()
        self._is_complete = present is None
        found = frozenset(range(self._plan.num_blocks)) if present is None else present
        self._on_event(
            CopyEvent(
                kind="begin",
                name=self.name,
                num_bytes=self._plan.count_bytes(found),
                size_bytes=self._plan.size_bytes,
            )
        )
        if self._is_complete:
            return
        can_read_back = not isinstance(self._target, BlobTarget)
        if can_read_back or not found:
            read_back = self._read_back if can_read_back else None
            self._digest = InOrderDigest(self._plan.num_blocks, found, read_back, self._on_damage)
        with self._lock:
            self._pending.extend(number for number in range(self._plan.num_blocks) if number not in found)
        if self._digest is not None:
            self._digest.advance()

    def copy_block(self, number: int, buffer: bytearray, release: Callable[[], None]) -> None:
        """Bring one block over.

        Args:
            number: The block.
            buffer: At least as large as a block.
            release: Called when the buffer is no longer needed, also after an error.

        Raises:
            MrikitError: It cannot be.
        """
        start, count = self._plan.span(number)
        data = memoryview(buffer)[:count]
        try:
            is_staged = isinstance(self._target, BlobTarget) and self._server_side.stage(
                self._target, self._link, number
            )
            if not is_staged:
                self._source.read_into(start, data)
                self._target.put(number, data)
        except BaseException:
            release()
            raise
        self._moved(count)
        with self._lock:
            digest = self._digest
            if is_staged:
                self._digest = None
        if digest is None:
            release()
        elif is_staged:
            release()
            digest.drop()
        else:
            digest.add(number, data, release)

    def finish(self) -> CopyResult:
        """Commit if all is there; what has become of it."""
        if self._error is None and not self._is_complete:
            try:
                self._target.commit(self._digest.hexdigest if self._digest else None)
            except MrikitError as error:
                self._error = error
        self.close()
        result = self._result()
        self._on_event(CopyEvent(kind="end", name=self.name, message=result.message))
        return result

    def close(self) -> None:
        """Let go of the target and of the connection of a source without ranges; blocks that are there stay."""
        self._target.close()
        self._source.close()

    def _result(self) -> CopyResult:
        state: CopyState = "present" if self._is_complete else "copied"
        if self._error is not None:
            state = "expired" if isinstance(self._error, LinkExpired) else "failed"
        sha256 = self._digest.hexdigest if self._digest and self._error is None else None
        checksum, message = judge_digest(self.name, self._expected, sha256)
        return CopyResult(
            name=self.name,
            target=self._target.location,
            state=state,
            checksum=checksum,
            size_bytes=self._plan.size_bytes,
            moved_bytes=self._moved_bytes,
            seconds=time.monotonic() - self._started_at,
            message=str(self._error) if self._error is not None else message,
            sha256=sha256,
        )

    def _moved(self, num_bytes: int) -> None:
        with self._lock:
            self._moved_bytes += max(num_bytes, 0)
        self._on_event(CopyEvent(kind="moved", name=self.name, num_bytes=num_bytes))

    def _read_back(self, number: int, feed: Callable[[memoryview], object]) -> bool:
        return self._target.read_back(number, feed) is True

    def _on_damage(self, number: int) -> None:
        """A block on disk is not what was written there: fetch it again."""
        with self._lock:
            if self._error is None:
                self._pending.appendleft(number)
        message = f"{self.name}: block {number} is damaged on disk, as after a power cut; it is fetched again"
        self._on_event(CopyEvent(kind="retry", name=self.name, message=message))
        self._on_event(CopyEvent(kind="moved", name=self.name, num_bytes=-self._plan.span(number)[1]))


def judge_digest(name: str, expected: str | None, found: str | None) -> tuple[ChecksumState, str]:
    """The state of a checksum, and what to say of a mismatch."""
    if expected is None:
        return "unpublished", ""
    if found is None:
        return "not checked", ""
    if found.lower() == expected.lower():
        return "ok", ""
    return "mismatch", (
        f"{name}: SHA256 is {found[:12]}... but {expected[:12]}... is published; the archive is kept: `mrikit data "
        f"unpack` tells whether it is damaged, deleting it and copying again may mend it"
    )
