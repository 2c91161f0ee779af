"""What the answers and failures of a server mean.

Nothing here lets the query of a link into an exception: errors of urllib3, which quote URLs, become words without them
and are not chained.
"""

import datetime as dt
import email.utils
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mrikit.errors import TransferError
from mrikit.transfer.link import Link

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_MAX_EXPLANATION_BYTES = 2**16  # of a server's error page
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_STRONG_ETAG = re.compile(r'"[^"]*"')
# Of S3, of its temporary keys, and of Azure's SAS.
_EXPIRED = re.compile(r"Request has expired|<Code>ExpiredToken<")
_OUTSIDE_ITS_TIME = re.compile(
    r"Signature not valid in the specified time frame|<Code>(AccessDenied|AuthenticationFailed)<"
)


class LinkExpired(TransferError):  # noqa: N818 - the state that it leads to
    """The signature of a link is too old; a new mail brings a new one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFacts:
    """What a server says of a file."""

    size_bytes: int
    """Of the whole."""
    is_ranged: bool
    """Whether it gives parts."""
    version: str
    """ETag or else date of change; "" if it says neither."""

    @property
    def strong_etag(self) -> str | None:
        """The version, if a request may be bound to it: a weak ETag or a date never matches."""
        return self.version if _STRONG_ETAG.fullmatch(self.version) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a request did not bring what was asked for."""

    reason: str
    """In words, without the query of the link."""
    is_absent: bool = False
    """Whether nobody was there to answer."""
    retry_after_s: float | None = None
    """What the server asks to wait."""
    final: TransferError | None = None
    """What to raise at once, where another try cannot help."""


def version_of(headers: Mapping[str, str]) -> str:
    """ETag or else date of change; "" if an answer has neither."""
    return (headers.get("ETag") or headers.get("Last-Modified") or "").strip()


def changed(name: str) -> TransferError:
    """The source is not what it was."""
    return TransferError(f"{name}: changed at the source while it was copied; the same command copies it anew")


def judge_part(
    response: "BaseHTTPResponse", facts: SourceFacts, start: int, count: int, link: Link, name: str
) -> Failure | None:
    """Whether an answer holds `count` bytes from `start` on of the file that the others were of."""
    if response.status == 416:
        return _final(changed(name))  # it is shorter now
    if response.status not in (200, 206):
        return judge_status(response, link, name)
    found = response.headers.get("Content-Range", "").strip()
    size = found.rpartition("/")[2] if response.status == 206 else ""
    failure = judge_version(response, facts, int(size) if size.isdecimal() else None, name)
    if failure is not None:
        return failure
    if response.status == 200:
        return Failure(reason="the server sent the whole file instead of a part")
    asked = f"bytes {start}-{start + count - 1}/{facts.size_bytes}"
    return None if found == asked else Failure(reason=f"the server sent another range than {asked}")


def judge_version(
    response: "BaseHTTPResponse", facts: SourceFacts, size_bytes: int | None, name: str
) -> Failure | None:
    """Whether an answer is of the file that the others were of.

    Args:
        response: The answer.
        facts: What the server said at first.
        size_bytes: Of the whole file by this answer; None if it does not say.
        name: For the message.
    """
    found = version_of(response.headers)
    is_other = found != "" and facts.version not in ("", found)
    return _final(changed(name)) if is_other or size_bytes not in (None, facts.size_bytes) else None


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
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the server's certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, ConnectionError):
            return "the connection was reset"
    if isinstance(error, exceptions.IncompleteRead):
        return "the connection closed early"
    return f"the connection failed ({type(error).__name__})"


def is_absent(error: Exception) -> bool:
    """Whether nobody was there to answer: no such name, or nothing that takes a connection."""
    from urllib3 import exceptions

    if isinstance(error, exceptions.ProxyError):
        error = error.original_error
    return isinstance(error, exceptions.ConnectTimeoutError | exceptions.NewConnectionError)


def is_proxy_login(error: Exception) -> bool:
    """Whether a proxy refused to connect to anybody without a password."""
    return any(isinstance(cause, OSError) and "Tunnel connection failed: 407" in str(cause) for cause in _causes(error))


def judge_status(response: "BaseHTTPResponse", link: Link, name: str) -> Failure:
    """What an answer other than the one that was asked for means; reads its body.

    The clock of this machine decides nothing: whether a link is too old the server says, by its words or its Date.
    """
    status = response.status
    if status in _BUSY:
        return Failure(reason=f"the server is busy ({status})", retry_after_s=_retry_after_s(response))
    if status in (404, 410):
        return _final(TransferError(f"{name}: does not exist at the source ({status} for {link}); ask for a new mail"))
    if status == 412:
        return _final(changed(name))
    if status in _REDIRECTS:
        return _final(
            TransferError(
                f"{name}: {link.host} answers {status} and points to {_host_of(response)}, but a signature holds for "
                f"one host; is a proxy or a login page in between? If not, ask for a new mail"
            )
        )
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
    if _EXPIRED.search(page) or (is_late and (not code or _OUTSIDE_ITS_TIME.search(page))):
        remedy = "paste a new mail: the same command with it goes on from here"
        return _final(LinkExpired(f"{name}: the link expired{_when(link, clock)}; {remedy}"))
    named = f"{status} {code}".strip()
    return _final(
        TransferError(
            f"{name}: the link was refused ({named}); is its line of the mail complete? If so, ask for a new mail"
        )
    )


def _when(link: Link, clock: dt.datetime | None) -> str:
    """When a link expired; a key of the server may end long before the links that it signed."""
    server = f"server clock {clock:%Y-%m-%d %H:%M} UTC" if clock else ""
    if link.expires_at is None:
        return f" ({server})" if server else ""
    if link.expires_at > (clock or dt.datetime.now(dt.UTC)):
        return f", its server says, before the time in it ({link.expires_at:%Y-%m-%d %H:%M} UTC)"
    return f" on {link.expires_at:%Y-%m-%d %H:%M} UTC" + (f" ({server})" if server else "")


def _final(error: TransferError) -> Failure:
    return Failure(reason=str(error), final=error)


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


def _host_of(response: "BaseHTTPResponse") -> str:
    """Where a redirect leads, without path and query."""
    try:
        host = urlsplit(response.headers.get("Location", "")).hostname
    except ValueError:
        host = None
    return host if host and re.fullmatch(r"[A-Za-z0-9.-]{1,253}", host) else "another place"


def _causes(error: Exception) -> Iterator[Exception]:
    """An error and what it holds, as urllib3 nests them."""
    yield error
    for cause in (*error.args, getattr(error, "original_error", None)):
        if isinstance(cause, Exception):
            yield from _causes(cause)
