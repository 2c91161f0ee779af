"""Keep-alive HTTP connections that many threads share, and what their failures mean.

Nothing here lets the query of a link into an exception: errors of urllib3, which quote URLs, become words without them
and are not chained.
"""

import contextlib
import datetime as dt
import email.utils
import re
import ssl
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from mrikit.errors import TransferError
from mrikit.transfer.link import Link
from mrikit.transfer.redaction import install_log_redaction
from mrikit.transfer.retry import Patience

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

_MAX_EXPLANATION_BYTES = 2**16  # of a server's error page
_BUSY = frozenset({408, 429, 500, 502, 503, 504})


class LinkExpired(TransferError):  # noqa: N818 - the state that it leads to
    """The signature of a link is too old; a new mail brings a new one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a request did not bring what was asked for."""

    reason: str
    """In words, without the query of the link."""
    retry_after_s: float | None = None
    """What the server asks to wait."""
    final: TransferError | None = None
    """What to raise at once, where another try cannot help."""


class Connections:
    """Connections to any number of hosts, through the proxies of the environment.

    Args:
        num_connections: At most so many to each host; more threads wait.
        patience: Its timeouts.
    """

    def __init__(self, num_connections: int, patience: Patience) -> None:
        install_log_redaction()
        self._num_connections, self._patience = num_connections, patience
        self._managers: dict[str | None, PoolManager] = {}
        self._in_flight: set[BaseHTTPResponse] = set()
        self._lock = threading.Lock()
        self.closed = threading.Event()

    @contextlib.contextmanager
    def get(self, link: Link, headers: Mapping[str, str]) -> "Iterator[BaseHTTPResponse]":
        """The answer to a GET, its body unread.

        Raises:
            urllib3.exceptions.HTTPError: The request failed; the text of the error may hold the query.
            OSError: The connection failed.
        """
        # Content must arrive as it is stored, or no range and no size would mean anything.
        response = self._manager(link).request(
            "GET",
            link.reveal(),
            headers={"Accept-Encoding": "identity", "User-Agent": "mrikit", **headers},
            preload_content=False,
            retries=False,
        )
        with self._lock:
            self._in_flight.add(response)
        try:
            if self.closed.is_set():
                raise ConnectionAbortedError
            yield response
        finally:
            with self._lock:
                self._in_flight.discard(response)
            if response.length_remaining != 0:
                response.close()  # what is left of it would come before the next answer
            response.release_conn()

    def close(self) -> None:
        """Cut all connections at once, also those that another thread reads from."""
        self.closed.set()
        with self._lock:
            in_flight, managers = list(self._in_flight), list(self._managers.values())
        for response in in_flight:
            with contextlib.suppress(OSError, ValueError, RuntimeError):  # it may end on its own just now
                response.shutdown()
        for manager in managers:
            manager.clear()

    def _manager(self, link: Link) -> "PoolManager":
        proxy = _proxy(link)
        with self._lock:
            if proxy not in self._managers:
                self._managers[proxy] = self._new_manager(proxy)
            return self._managers[proxy]

    def _new_manager(self, proxy: str | None) -> "PoolManager":
        import urllib3

        timeout = urllib3.Timeout(connect=self._patience.connect_timeout_s, read=self._patience.read_timeout_s)
        if proxy is None:
            return urllib3.PoolManager(maxsize=self._num_connections, block=True, timeout=timeout)
        parts = urlsplit(proxy)
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
        return urllib3.ProxyManager(
            proxy,
            proxy_headers=urllib3.make_headers(proxy_basic_auth=user),
            maxsize=self._num_connections,
            block=True,
            timeout=timeout,
        )


def describe(error: Exception) -> str:
    """A failed connection in words; never the text of the error, which may hold the URL."""
    from urllib3 import exceptions

    if isinstance(error, exceptions.ReadTimeoutError):
        return "the server fell silent"
    if isinstance(error, exceptions.NameResolutionError):
        return "the name of the server cannot be resolved"
    if isinstance(error, exceptions.ProxyError):
        return "the proxy refused or cannot be reached"
    if isinstance(error, exceptions.ConnectTimeoutError | exceptions.NewConnectionError):
        return "the server cannot be reached"
    causes = [error, *(cause for cause in error.args if isinstance(cause, Exception))]
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the server's certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, ConnectionError):
            return "the connection was reset"
    if isinstance(error, exceptions.IncompleteRead):
        return "the connection closed early"
    return f"the connection failed ({type(error).__name__})"


def judge_status(response: "BaseHTTPResponse", link: Link, name: str) -> Failure:
    """What an answer other than the one that was asked for means; reads its body.

    The clock of this machine decides nothing: whether a link is too old the server says, by its words or its Date.
    """
    status = response.status
    if status in _BUSY:
        return Failure(reason=f"the server is busy ({status})", retry_after_s=_retry_after_s(response))
    if status in (404, 410):
        return _final(f"{name}: does not exist at the source ({status} for {link}); ask for a new mail")
    if status == 412:
        return _final(f"{name}: changed at the source while it was copied; delete what is there and start again")
    if status in (400, 401, 403):
        page = response.read(_MAX_EXPLANATION_BYTES).decode("utf-8", "replace")
        return _refused(link, name, status, page, response.headers.get("Date"))
    return Failure(reason=f"the server answered {status} instead of the asked-for bytes")


def _refused(link: Link, name: str, status: int, page: str, date: str | None) -> Failure:
    # Error pages quote signatures, so nothing but the code, a plain word, is taken from them.
    match = re.search(r"<Code>([A-Za-z]{1,40})</Code>", page)
    code = match[1] if match else ""
    clock = _parse_date(date)
    is_late = clock is not None and link.expires_at is not None and clock > link.expires_at
    if "Request has expired" in page or code == "ExpiredToken" or (is_late and code in ("", "AccessDenied")):
        when = f" on {link.expires_at:%Y-%m-%d %H:%M} UTC" if link.expires_at else ""
        server = f" (server clock {clock:%Y-%m-%d %H:%M} UTC)" if clock else ""
        message = (
            f"{name}: the link expired{when}{server}; paste a new mail: the same command with it goes on from here"
        )
        return Failure(reason="the link expired", final=LinkExpired(message))
    named = f"{status} {code}".strip()
    return _final(
        f"{name}: the link was refused ({named}); is its line of the mail complete? If so, ask for a new mail"
    )


def _final(message: str) -> Failure:
    return Failure(reason=message, final=TransferError(message))


def _retry_after_s(response: "BaseHTTPResponse") -> float | None:
    """Seconds; a date is compared with the server's own clock."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    until, now = _parse_date(value), _parse_date(response.headers.get("Date"))
    return max((until - now).total_seconds(), 0.0) if until and now else None


def _parse_date(value: str | None) -> dt.datetime | None:
    try:
        date = email.utils.parsedate_to_datetime(value or "")
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=dt.UTC)


def _proxy(link: Link) -> str | None:
    """The proxy that the environment names for this link."""
    scheme = urlsplit(link.base_url).scheme
    proxies = urllib.request.getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass(link.host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
