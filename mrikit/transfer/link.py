"""A signed download link: everybody may see where it leads, nobody its query, for the query is the credential."""

import re
from datetime import UTC, datetime, timedelta
from typing import NoReturn
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from mrikit.errors import ConfigError

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~+-]|%[0-9A-Fa-f]{2})+)+")
_QUERY = re.compile(r"[A-Za-z0-9%&=+/._~:;,@!$'()*?-]*")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}")
# A path that holds one of these has swallowed its own query, and a path is shown.
_SIGNATURE_WORDS = re.compile("signature|accesskey|x-amz-|credential", re.IGNORECASE)


class Link:
    """A link whose query is shown by `reveal` and `relative_url_reveal` only.

    It cannot be pickled; its texts leave out the query; two links are equal if their whole URLs are.

    Args:
        url: http or https, with a host and a path whose last part is a plain file name.

    Raises:
        ConfigError: Another scheme, no host, no path, or a path that could lead out of a folder.
    """

    __slots__ = ("_parts", "_url")

    def __init__(self, url: str) -> None:
        self._parts = _checked_parts(url)
        self._url = url

    @property
    def name(self) -> str:
        """Last part of the path."""
        return unquote(self.path.rpartition("/")[2])

    @property
    def host(self) -> str:
        """Host without port, in lower case."""
        return self._parts.hostname or ""

    @property
    def path(self) -> str:
        """Path with its leading slash, percent-encoded as in the URL."""
        return self._parts.path

    @property
    def base_url(self) -> str:
        """`scheme://host[:port]/`."""
        return f"{self._parts.scheme}://{self._parts.netloc}/"

    @property
    def expires_at(self) -> datetime | None:
        """When the signature ends, UTC; None where the link does not say so."""
        values = {key.lower(): value for key, value in parse_qsl(self._parts.query)}
        try:
            if "expires" in values:
                return datetime.fromtimestamp(int(values["expires"]), UTC)
            if "x-amz-expires" in values:
                signed_at = datetime.strptime(values["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                return signed_at + timedelta(seconds=int(values["x-amz-expires"]))
            if "se" in values and "sig" in values:
                ends_at = datetime.fromisoformat(values["se"])
                return ends_at.replace(tzinfo=ends_at.tzinfo or UTC).astimezone(UTC)
        except (ValueError, OverflowError, OSError, KeyError):
            return None
        return None

    def reveal(self) -> str:
        """The whole URL with its credential: for a request only, never for a text that is kept or shown."""
        return self._url

    def relative_url_reveal(self) -> str:
        """Path without leading slash, and query, with its credential."""
        query = f"?{self._parts.query}" if self._parts.query else ""
        return self.path.removeprefix("/") + query

    def __repr__(self) -> str:
        return f"{self.base_url}{self.path.removeprefix('/')}" + ("?..." if self._parts.query else "")

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        return self._url == other._url if isinstance(other, Link) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._url)

    def __copy__(self) -> "Link":
        return self

    def __deepcopy__(self, memo: object) -> "Link":
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"{self}: a link holds a credential and is never pickled; hand over its name instead")

    def __getstate__(self) -> NoReturn:
        raise TypeError(f"{self}: a link holds a credential and has no state to keep")


def is_file_name(text: str) -> bool:
    """Whether a text is safe as the name of a file: letters, digits, _ . + -, and nothing that leads elsewhere."""
    return _NAME.fullmatch(text) is not None and _SIGNATURE_WORDS.search(text) is None


def _checked_parts(url: str) -> SplitResult:
    """The parts of a URL that may be requested; no message holds more of it than what is known to be harmless."""
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https"):
        raise ConfigError("a link begins with http:// or https://, found another text; paste the mail as it came")
    if parts.username is not None or parts.hostname is None or _HOST.fullmatch(parts.hostname) is None:
        raise ConfigError("a link without a plain host name; paste the mail as it came")
    host = parts.hostname
    if parts.path in ("", "/"):
        raise ConfigError(f"the link to {host} has no path; is it cut off?")
    if _PATH.fullmatch(parts.path) is None or _SIGNATURE_WORDS.search(unquote(parts.path)) is not None:
        raise ConfigError(f"the path of the link to {host} is not one of a file; is the mail damaged?")
    folders = unquote(parts.path).split("/")
    if any(part in (".", "..") for part in folders) or not all(
        is_file_name(unquote(part)) for part in parts.path.rsplit("/", 1)[1:]
    ):
        raise ConfigError(f"the path of the link to {host} could lead elsewhere; file names are letters, digits, _.+-")
    if parts.fragment or _QUERY.fullmatch(parts.query) is None or not url.isascii():
        raise ConfigError(f"the query of the link to {host} has characters that no signature has; paste the mail again")
    return parts


def _split(url: str) -> SplitResult | None:
    """Parts of a URL; None if it has none. Returned rather than raised: urllib's errors quote the URL."""
    # urlsplit drops line breaks and tabs in silence.
    if any(character.isspace() for character in url):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts
