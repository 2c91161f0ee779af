"""One archive on its way from a link to its place."""

import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from mrikit.errors import MrikitError
from mrikit.transfer.copying.arrivals import Arrivals
from mrikit.transfer.copying.blob_target import BlobTarget, Refusal
from mrikit.transfer.copying.blocks import BlockPlan
from mrikit.transfer.copying.copied import hash_copied
from mrikit.transfer.copying.digest import InOrderDigest
from mrikit.transfer.copying.folder_target import FolderTarget
from mrikit.transfer.copying.server_side import ServerSide
from mrikit.transfer.copying.targets import Target
from mrikit.transfer.link import Link
from mrikit.transfer.results import CopyEvent, CopyResult, CopyState, OnEvent, judge_digest
from mrikit.transfer.source import HttpSource, LinkExpired


class ArchiveCopy:
    """Blocks are taken one by one, copied by any thread in any order, and committed when all are there.

    Args:
        link: For blocks that the service fetches by itself.
        source: Where the bytes come from; its `pace` calls `arrivals.count`.
        target: Where they go.
        plan: The blocks.
        expected: The published SHA256 as hex digits; None if there is none.
        server_side: Whether the service fetches by itself.
        on_event: Called with what happens.
        arrivals: Bytes as they come.
        is_stopped: Whether all copies are to end.
        most_held: Blocks that may wait in memory to be hashed although the target could be read.
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
        arrivals: Arrivals,
        is_stopped: Callable[[], bool],
        most_held: int,
    ) -> None:
        self.name, self._most_held = plan.name, most_held
        self._link, self._source, self._target, self._plan = link, source, target, plan
        self._expected, self._server_side, self._on_event = expected, server_side, on_event
        self._arrivals, self._is_stopped = arrivals, is_stopped
        self._pending: deque[int] = deque()
        self._num_in_flight = 0
        self._is_complete = self._has_staged_by_service = False
        self._error: MrikitError | None = None
        self._digest: InOrderDigest | None = None
        self._sha256: str | None = None
        self._moved_bytes = 0
        self._lock = threading.Lock()
        self._started_at = time.monotonic()

    def enter(self) -> None:
        """A thread begins to work on it, other than by `take`."""
        with self._lock:
            self._num_in_flight += 1

    def take(self, most_ahead: int) -> int | None:
        """The lowest block that nobody has taken, now the caller's; None if there is none for the moment.

        Args:
            most_ahead: How many blocks the copy may be ahead of its hash, at least 1, where they are held in memory:
                one slow block must not keep all buffers from the other archives.
        """
        with self._lock:
            is_alone = self._num_in_flight == 0
            if not self._pending or not (is_alone or self._source.facts.is_ranged):
                return None
            digest = self._digest
            if digest is not None and digest.is_memory_bound and self._pending[0] >= digest.position + most_ahead:
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
            digest = self._digest
        if error is not None and digest is not None:
            digest.drop()
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
            self._hash_present()
            return
        read_back = self._target.read_back if isinstance(self._target, FolderTarget) else None
        if read_back is not None or not found:
            self._digest = InOrderDigest(self._plan.num_blocks, found, read_back, self._on_damage, self._most_held)
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
            is_staged, refusal = self._ask_service(number)
            if not is_staged:
                # A server without ranges also sends what is only passed over.
                with self._arrivals.of_block(count if self._source.facts.is_ranged else 0, self._moved):
                    self._source.read_into(start, data)
                    self._target.put(number, data)
        except BaseException:
            release()
            raise
        if refusal is not None:
            self._server_side.note(refusal)
        if is_staged or not self._source.facts.is_ranged:
            self._moved(count)
        with self._lock:
            digest = self._digest
            if is_staged:
                self._digest, self._has_staged_by_service = None, True
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
                if self._has_staged_by_service:
                    # No request of the service can be bound to one version of the source.
                    self._source.require_unchanged()
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

    def _ask_service(self, number: int) -> tuple[bool, Refusal | None]:
        """Whether the service has fetched a block by itself, and why not if it was asked to."""
        if not isinstance(self._target, BlobTarget) or not self._server_side.is_allowed:
            return False, None
        refusal = self._target.put_from(self._link, number)
        return refusal is None, refusal

    def _hash_present(self) -> None:
        """What another tool has brought is compared, too, where it can be read without a network."""
        if self._expected is None or not isinstance(self._target, FolderTarget):
            return
        message = f"{self.name}: is there already; it is read to compare its SHA256 with the published one"
        self._on_event(CopyEvent(kind="note", name=self.name, message=message))
        path = Path(self._target.location)
        self._sha256 = hash_copied(path.parent, path.name, lambda: not self._is_stopped())

    def _result(self) -> CopyResult:
        state: CopyState = "present" if self._is_complete else "copied"
        if self._error is not None:
            state = "expired" if isinstance(self._error, LinkExpired) else "failed"
        sha256 = self._sha256
        if self._digest and self._error is None:
            sha256 = self._digest.hexdigest
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
            self._moved_bytes += num_bytes
        self._on_event(CopyEvent(kind="moved", name=self.name, num_bytes=num_bytes))

    def _on_damage(self, number: int) -> None:
        """A block on disk is not what was written there: fetch it again."""
        with self._lock:
            if self._error is None:
                self._pending.appendleft(number)
        message = f"{self.name}: block {number} is damaged on disk, as after a power cut; it is fetched again"
        self._on_event(CopyEvent(kind="retry", name=self.name, message=message))
        self._on_event(CopyEvent(kind="moved", name=self.name, num_bytes=-self._plan.span(number)[1]))
