"""Bytes by range, from a file, a blob or a signed link."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mrikit.errors import StorageError, TransferError
from mrikit.storage import Location, file_state, read_range
from mrikit.transfer.http import Connections, Failure, LinkExpired, describe, judge_status
from mrikit.transfer.http_stream import PIECE_BYTES, HttpStream
from mrikit.transfer.link import Link
from mrikit.transfer.retry import Patience

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

__all__ = ["ByteSource", "FileSource", "HttpSource", "LinkExpired", "Patience", "SourceFacts"]

_PROGRESS_BYTES = PIECE_BYTES  # a try that brought so much was not in vain


class ByteSource(Protocol):
    """Something with a size whose bytes can be read anywhere, from many threads at once."""

    @property
    def name(self) -> str:
        """File name of what it holds."""

    @property
    def size_bytes(self) -> int:
        """Of the whole."""

    def read(self, start: int, count: int) -> bytes:
        """Exactly `count` bytes from `start` on.

        Raises:
            TransferError: They cannot be had from a link.
            StorageError: They cannot be read from a file or a blob.
        """


class FileSource:
    """A file or a blob."""

    def __init__(self, path: Location) -> None:
        self._path = path
        state = file_state(path)
        if state is None:
            raise StorageError(f"{path}: no such file")
        self._size_bytes = state.size_bytes

    @property
    def name(self) -> str:
        """File name."""
        return self._path.name

    @property
    def size_bytes(self) -> int:
        """When it was opened."""
        return self._size_bytes

    def read(self, start: int, count: int) -> bytes:
        """Exactly `count` bytes from `start` on.

        Raises:
            StorageError: The file ends before, or cannot be read.
        """
        found = read_range(self._path, start, count)
        if len(found) != count:
            raise StorageError(f"{self._path}: ends after {start + len(found)} bytes, {start + count} were expected")
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFacts:
    """What a server says of a file."""

    size_bytes: int
    """Of the whole."""
    is_ranged: bool
    """Whether it gives parts."""
    version: str
    """ETag or else date of change; "" if it says neither."""


class HttpSource:
    """A signed link, read by ranged GETs over connections that stay open.

    The size comes from a ranged GET of one byte, because the signature refuses HEAD. Every answer is checked for its
    status, range, length and ETag. What fails for a reason that may pass is tried again, from the byte where it broke.
    A server that ignores Range is read from front to back over one connection; going back starts it anew.

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
    def facts(self) -> SourceFacts:
        """What the server says of the file; asked once.

        Raises:
            LinkExpired: The server says that the link is too old.
            TransferError: The server cannot be asked.
        """
        with self._lock:
            num_failures = 0
            while self._probed is None:
                failure = self._probe()
                if failure is not None:
                    num_failures += 1
                    self._wait_or_raise(failure, num_failures)
            return self._probed

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
        while received < len(view):
            num_bytes, failure = fetch(start + received, view[received:])
            received += num_bytes
            if failure is None:
                continue
            num_failures = 1 if num_bytes >= _PROGRESS_BYTES else num_failures + 1
            self._wait_or_raise(failure, num_failures)

    def close(self) -> None:
        """Close the connections at once, also below threads that read."""
        if self._owns_connections:
            self._connections.close()
        elif self._stream is not None:
            self._stream.close()

    def _probe(self) -> Failure | None:
        from urllib3.exceptions import HTTPError

        try:
            with self._connections.get(self._link, {"Range": "bytes=0-0"}) as response:
                version = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
                match response.status:
                    case 206:
                        found = re.fullmatch(r"bytes 0-0/(\d+)", response.headers.get("Content-Range", "").strip())
                        response.read()
                        size = int(found[1]) if found else None
                    case 416:  # nothing has no first byte
                        found = re.fullmatch(r"bytes \*/0", response.headers.get("Content-Range", "").strip())
                        size = 0 if found else None
                    case 200:
                        size = response.length_remaining
                    case _:
                        return judge_status(response, self._link, self._name)
                if size is None:
                    return Failure(reason="the server does not say how long the file is")
                self._probed = SourceFacts(size_bytes=size, is_ranged=response.status != 200, version=version)
                return None
        except (HTTPError, OSError) as error:
            return Failure(reason=describe(error))

    def _fetch(self, start: int, view: memoryview) -> tuple[int, Failure | None]:
        """One ranged GET: how many bytes came, and what went wrong."""
        from urllib3.exceptions import HTTPError

        received = 0
        headers = {"Range": f"bytes={start}-{start + len(view) - 1}"}
        version = self.facts.version
        if version.startswith('"'):  # a weak ETag or a date never matches
            headers["If-Match"] = version
        try:
            with self._connections.get(self._link, headers) as response:
                failure = self._judge_range(response, start, len(view))
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

    def _judge_range(self, response: "BaseHTTPResponse", start: int, count: int) -> Failure | None:
        size, version = self.facts.size_bytes, self.facts.version
        if response.status == 200:
            return Failure(reason="the server sent the whole file instead of a part")
        if response.status != 206:
            return judge_status(response, self._link, self._name)
        asked = f"bytes {start}-{start + count - 1}/{size}"
        found = response.headers.get("Content-Range", "").strip()
        etag = response.headers.get("ETag")
        if etag != version if version.startswith('"') and etag else found.rpartition("/")[2] != str(size):
            message = f"{self.name}: changed at the source while it was copied; delete what is there and start again"
            return Failure(reason=message, final=TransferError(message))
        if found != asked:
            return Failure(reason=f"the server sent another range than {asked}")
        return None

    def _fetch_in_order(self, start: int, view: memoryview) -> tuple[int, Failure | None]:
        """The next bytes of the one stream, which is opened anew where it has passed `start`."""
        with self._stream_lock:
            if self._stream is None or self._stream.position > start or self._stream.is_broken:
                if self._stream is not None:
                    self._stream.close()
                self._stream = HttpStream(self._connections, self._link, self._name, self.size_bytes)
            skipped = self._stream.skip(start, self._pace)
            return (0, skipped) if skipped is not None else self._stream.read_into(view, self._pace)

    def _wait_or_raise(self, failure: Failure, num_failures: int) -> None:
        """Before the next try.

        Raises:
            TransferError: There is to be none.
        """
        if failure.final is not None:
            raise failure.final
        if self._connections.closed.is_set():
            raise TransferError(f"{self.name}: the transfer was stopped; the same command goes on from here")
        if num_failures >= self._patience.num_tries:
            raise TransferError(
                f"{self.name}: {failure.reason}, {num_failures} times in a row; the same command goes on from here"
            )
        wait_s = self._patience.wait_s(num_failures, failure.retry_after_s)
        self._on_retry(f"{self.name}: {failure.reason}; next try in {wait_s:.0f} s")
        self._connections.closed.wait(wait_s)
