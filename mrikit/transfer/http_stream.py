"""A whole file over one connection, for servers that give no parts."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from mrikit.transfer.http import Connections
from mrikit.transfer.http_answer import Failure, SourceFacts, describe, judge_status, judge_version
from mrikit.transfer.link import Link

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

PIECE_BYTES = 2**16
"""Asked of a connection at once; larger pieces hardly save time."""


class HttpStream:
    """One GET of a whole file, read from front to back."""

    def __init__(self, connections: Connections, link: Link, name: str, facts: SourceFacts) -> None:
        self.position = 0
        self.is_broken = False
        self._connections, self._link, self._name, self._facts = connections, link, name, facts
        self._stack = ExitStack()
        self._response: BaseHTTPResponse | None = None

    def skip(self, start: int, pace: Callable[[int], None]) -> Failure | None:
        """Read what comes before `start` to nowhere."""
        nowhere = memoryview(bytearray(PIECE_BYTES))
        while self.position < start:
            _, failure = self.read_into(nowhere[: start - self.position], pace)
            if failure is not None:
                return failure
        return None

    def read_into(self, view: memoryview, pace: Callable[[int], None]) -> tuple[int, Failure | None]:
        """How many of the next bytes came, and what went wrong."""
        from urllib3.exceptions import HTTPError

        received = 0
        failure = None
        try:
            if self._response is None:
                self._response = self._stack.enter_context(self._connections.get(self._link, {}))
                failure = self._judge(self._response)
            while failure is None and received < len(view):
                num_bytes = self._response.readinto(view[received : received + PIECE_BYTES])
                if not num_bytes:
                    failure = Failure(reason=f"the answer ended {len(view) - received} bytes early")
                received += num_bytes
                self.position += num_bytes
                pace(num_bytes)
        except (HTTPError, OSError) as error:
            failure = Failure(reason=describe(error))
        if failure is not None:
            self.close()
        return received, failure

    def _judge(self, response: "BaseHTTPResponse") -> Failure | None:
        if response.status != 200:
            return judge_status(response, self._link, self._name)
        return judge_version(response, self._facts, response.length_remaining, self._name)

    def close(self) -> None:
        """Give the connection back."""
        self.is_broken = True
        self._stack.close()
