"""Keep-alive HTTP connections that many threads share."""

import contextlib
import os
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from mrikit.errors import TransferError
from mrikit.transfer.http_answer import is_proxy_login
from mrikit.transfer.link import Link
from mrikit.transfer.redaction import install_log_redaction
from mrikit.transfer.retry import Patience

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

_PROXY_LOGIN = 407


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
            TransferError: The proxy that the environment names cannot be used.
        """
        response = self._request(link, headers)
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

    def _request(self, link: Link, headers: Mapping[str, str]) -> "BaseHTTPResponse":
        from urllib3.exceptions import HTTPError

        proxy = _proxy(link)
        try:
            # Content must arrive as it is stored, also where its server calls it encoded: no range and no size would
            # mean anything otherwise.
            response = self._manager(proxy).request(
                "GET",
                link.reveal(),
                headers={"Accept-Encoding": "identity", "User-Agent": "mrikit", **headers},
                preload_content=False,
                decode_content=False,
                retries=False,
            )
        except HTTPError as error:
            if proxy is None or not is_proxy_login(error):
                raise
            response = None
        if proxy is not None and (response is None or response.status == _PROXY_LOGIN):
            if response is not None:
                response.close()
            raise TransferError(
                f"{proxy.variable}: this proxy wants a name and a password (407); give it as "
                f"http://USER:PASSWORD@HOST:PORT"
            )
        assert response is not None, "only the answer of a proxy is left out"
        return response

    def _manager(self, proxy: "_Proxy | None") -> "PoolManager":
        url = proxy.url if proxy else None
        with self._lock:
            if url not in self._managers:
                self._managers[url] = self._new_manager(proxy)
            return self._managers[url]

    def _new_manager(self, proxy: "_Proxy | None") -> "PoolManager":
        import urllib3

        timeout = urllib3.Timeout(connect=self._patience.connect_timeout_s, read=self._patience.read_timeout_s)
        if proxy is None:
            return urllib3.PoolManager(maxsize=self._num_connections, block=True, timeout=timeout)
        return urllib3.ProxyManager(
            proxy.url,
            proxy_headers=urllib3.make_headers(proxy_basic_auth=proxy.login),
            maxsize=self._num_connections,
            block=True,
            timeout=timeout,
        )


class _Proxy(NamedTuple):
    """What the environment names."""

    variable: str
    url: str
    login: str | None


def _proxy(link: Link) -> _Proxy | None:
    """The proxy that the environment names for this link.

    Raises:
        TransferError: It is none that could be used.
    """
    scheme = urlsplit(link.base_url).scheme
    proxies = urllib.request.getproxies()
    name = scheme if proxies.get(scheme) else "all"
    url = proxies.get(name)
    if not url or urllib.request.proxy_bypass(link.host):
        return None
    variable = next((word for word in (f"{name}_proxy", f"{name}_PROXY".upper()) if os.environ.get(word)), "the proxy")
    url = url if "://" in url else f"http://{url}"
    # Nothing of it is quoted, nor chained: there may be a password in it.
    login, is_usable = None, False
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
    if not is_usable:
        raise TransferError(
            f"{variable}: only a proxy such as http://HOST:PORT can be used; set that, or name {link.host} in no_proxy"
        )
    return _Proxy(variable, url, login)
