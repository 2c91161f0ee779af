"""Bytes by range, from a file, a blob or a signed link."""

import re
import threading
import time
from collections.abc import Callable
from typing import Protocol

from mrikit.errors import StorageError, TransferError
from mrikit.storage import BlobPath, Location, file_state, read_range
from mrikit.transfer.http import Connections
from mrikit.transfer.http_answer import (
    Failure,
    LinkExpired,
    SourceFacts,
    changed,
    describe,
    is_absent,
    judge_part,
    judge_status,
    version_of,
)
from mrikit.transfer.http_stream import PIECE_BYTES, HttpStream
from mrikit.transfer.link import Link
from mrikit.transfer.retry import Patience

__all__ = ["ByteSource", "FileSource", "HttpSource", "LinkExpired", "Patience", "SourceFacts"]

_ANSWER_BYTES = 2**16
_PROGRESS_BYTES = PIECE_BYTES  # a try that brought so much was not in vain


class ByteSource(Protocol):
    """Something with a size whose bytes can be read anywhere, from many threads at once."""

    @property
    def name(self) -> str:
        """File name of what it holds."""

    @property
    def size_bytes(self) -> int:
        """Of the whole."""

    @property
    def version(self) -> str:
        """Changes whenever the bytes do; "" if it is not known."""

    def read(self, start: int, count: int) -> bytes:
        """Exactly `count` bytes from `start` on.

        Raises:
            TransferError: They cannot be had from a link.
            StorageError: They cannot be read from a file or a blob.
        """

    def close(self) -> None:
        """Give up at once what it holds, also below threads that read."""


class FileSource:
    """A file or a blob, as it was when this was made; one that was replaced since is not read."""

    def __init__(self, path: Location) -> None:
        self.path = path
        """Where it lies."""
        state = file_state(path)
        if state is None:
            raise StorageError(f"{path}: no such file")
        self._state = state

    @property
    def name(self) -> str:
        """File name."""
        return self.path.name

    @property
    def size_bytes(self) -> int:
        """Of the whole."""
        return self._state.size_bytes

    @property
    def version(self) -> str:
        """Time of modification in ns, or the ETag of a blob as a number."""
        return str(self._state.version)

    def read(self, start: int, count: int) -> bytes:
        """Exactly `count` bytes from `start` on.

        Raises:
            StorageError: The file ends before, was replaced or cannot be read.
        """
        found = read_range(self.path, start, count, if_version=self._state.version)
        # A blob is asked for its version by the read itself.
        if not isinstance(self.path, BlobPath) and file_state(self.path) != self._state:
            raise StorageError(f"{self.path}: was replaced or changed while it was read; give the same command again")
        if len(found) != count:
            raise StorageError(f"{self.path}: ends after {start + len(found)} bytes, {start + count} were expected")
        return found

    def close(self) -> None:
        """It holds nothing."""


class HttpSource:
    """A signed link, read by ranged GETs over connections that stay open.

    The size comes from a ranged GET of one byte, because the signature refuses HEAD. Every answer is checked for its
    status, range, length and version. What fails for a reason that may pass is tried again, from the byte where it
    broke. A server that ignores Range is read from front to back over one connection; going back starts it anew.

    Args:
        link: The signed link.
        name: What messages call it; the end of the link by default.
        facts: What the server said before; asked by default.
        num_connections: At most so many at once; more threads wait.
        patience: How long to try again.
        connections: Shared with other sources; closing this source leaves them open.
        on_retry: Called with what failed, on one line, before it is tried again.
        pace: Called with the number of bytes that just came; blocks to hold a bandwidth.
    """

    def __init__(
        self,
        link: Link,
        *,
        name: str | None = None,
        facts: SourceFacts | None = None,
        num_connections: int = 8,
        patience: Patience | None = None,
        connections: Connections | None = None,
        on_retry: Callable[[str], None] = lambda _message: None,
        pace: Callable[[int], None] = lambda _num_bytes: None,
    ) -> None:
        self._link, self._name = link, name or link.name
        self._patience = patience or Patience()
        self._owns_connections = connections is None
        self._connections = connections or Connections(num_connections, self._patience)
        self._on_retry, self._pace = on_retry, pace
        self._lock = threading.Lock()
        self._probed = facts
        self._stream: HttpStream | None = None
        self._stream_lock = threading.Lock()

    @property
    def name(self) -> str:
        """File name of the archive."""
        return self._name

    @property
    def size_bytes(self) -> int:
        """What the server says; see `facts`."""
        return self.facts.size_bytes

    @property
    def version(self) -> str:
        """What the server says; see `facts`."""
        return self.facts.version

    @property
    def facts(self) -> SourceFacts:
        """What the server says of the file; asked once.

        Raises:
            LinkExpired: The server says that the link is too old.
            TransferError: The server cannot be asked.
        """
        with self._lock:
            if self._probed is None:
                self._probed = self._ask()
            return self._probed

    def require_unchanged(self) -> None:
        """Ask the server again.

        Raises:
            LinkExpired: The server says that the link is too old.
            TransferError: It is another file now, or the server cannot be asked.
        """
        found = self._ask()
        if (found.size_bytes, found.version) != (self.facts.size_bytes, self.facts.version):
            raise changed(self.name)

    def read(self, start: int, count: int) -> bytes:
        """Exactly `count` bytes from `start` on.

        Raises:
            TransferError: They cannot be had.
        """
        found = bytearray(count)
        self.read_into(start, memoryview(found))
        return bytes(found)

    def read_into(self, start: int, view: memoryview) -> None:
        """Fill `view` with the bytes from `start` on.

        Raises:
            LinkExpired: The server says that the link is too old.
            TransferError: The bytes cannot be had.
        """
        size = self.size_bytes
        if start < 0 or start + len(view) > size:
            raise TransferError(f"{self.name}: bytes {start} to {start + len(view)} of {size} were asked for")
        fetch = self._fetch if self.facts.is_ranged else self._fetch_in_order
        received = num_failures = 0
        came_at = time.monotonic()
        while received < len(view):
            num_bytes, failure = fetch(start + received, view[received:])
            received += num_bytes
            if failure is None:
                continue
            if num_bytes >= _PROGRESS_BYTES:
                num_failures, came_at = 0, time.monotonic()
            num_failures += 1
            self._wait_or_raise(failure, num_failures, came_at)

    def close(self) -> None:
        """Close the connections at once, also below threads that read."""
        if self._owns_connections:
            self._connections.close()
        elif self._stream is not None:
            self._stream.close()

    def _ask(self) -> SourceFacts:
        """What the server says now."""
        num_failures, began_at = 0, time.monotonic()
        while True:
            found = self._probe()
            if isinstance(found, SourceFacts):
                return found
            num_failures += 1
            seconds = time.monotonic() - began_at
            is_dead = found.is_absent and self._probed is None and self._patience.is_absent(num_failures, seconds)
            self._wait_or_raise(found, num_failures, began_at, is_over=is_dead)

    def _probe(self) -> SourceFacts | Failure:
        from urllib3.exceptions import HTTPError

        try:
            with self._connections.get(self._link, {"Range": "bytes=0-0"}) as response:
                match response.status:
                    case 206:
                        found = re.fullmatch(r"bytes 0-0/(\d+)", response.headers.get("Content-Range", "").strip())
                        response.read()
                        size = int(found[1]) if found else None
                    case 416:  # nothing has no first byte; S3 may say so in its words only
                        said = (
                            response.headers.get("Content-Range", "").strip() or response.read(_ANSWER_BYTES).decode()
                        )
                        size = 0 if re.search(r"^bytes \*/0$|<ActualObjectSize>0</", said) else None
                    case 200:
                        size = response.length_remaining
                    case _:
                        return judge_status(response, self._link, self._name)
                if size is None:
                    return Failure(reason="the server does not say how long the file is")
                version = version_of(response.headers)
                return SourceFacts(size_bytes=size, is_ranged=response.status != 200, version=version)
        except (HTTPError, OSError) as error:
            return Failure(reason=describe(error), is_absent=is_absent(error))

    def _fetch(self, start: int, view: memoryview) -> tuple[int, Failure | None]:
        """One ranged GET: how many bytes came, and what went wrong."""
        from urllib3.exceptions import HTTPError

        received = 0
        headers = {"Range": f"bytes={start}-{start + len(view) - 1}"}
        if self.facts.strong_etag:
            headers["If-Match"] = self.facts.strong_etag
        try:
            with self._connections.get(self._link, headers) as response:
                failure = judge_part(response, self.facts, start, len(view), self._link, self._name)
                if failure is not None:
                    return 0, failure
                while received < len(view):
                    num_bytes = response.readinto(view[received : received + PIECE_BYTES])
                    if not num_bytes:
                        break
                    received += num_bytes
                    self._pace(num_bytes)
        except (HTTPError, OSError) as error:
            return received, Failure(reason=describe(error))
        missing = len(view) - received
        return received, Failure(reason=f"the answer ended {missing} bytes early") if missing else None

    def _fetch_in_order(self, start: int, view: memoryview) -> tuple[int, Failure | None]:
        """The next bytes of the one stream, which is opened anew where it has passed `start`."""
        with self._stream_lock:
            if self._stream is None or self._stream.position > start or self._stream.is_broken:
                if self._stream is not None:
                    self._stream.close()
                self._stream = HttpStream(self._connections, self._link, self._name, self.facts)
            skipped = self._stream.skip(start, self._pace)
            return (0, skipped) if skipped is not None else self._stream.read_into(view, self._pace)

    def _wait_or_raise(self, failure: Failure, num_failures: int, came_at: float, *, is_over: bool = False) -> None:
        """Before the next try; nothing new has come since `came_at`.

        Raises:
            TransferError: There is to be none.
        """
        if failure.final is not None:
            raise failure.final
        if self._connections.closed.is_set():
            raise TransferError(f"{self.name}: the transfer was stopped; the same command goes on from here")
        if is_over or self._patience.is_over(num_failures, time.monotonic() - came_at):
            raise TransferError(
                f"{self.name}: {failure.reason}, {num_failures} times in a row; the same command goes on from here"
            )
        wait_s = self._patience.wait_s(num_failures, failure.retry_after_s)
        self._on_retry(f"{self.name}: {failure.reason}; next try in {wait_s:.0f} s")
        self._connections.closed.wait(wait_s)
