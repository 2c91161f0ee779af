"""Links as they were before a mail gateway rewrote them.

A gateway sends each click through a server of its own and keeps the address inside the new link: in a parameter, in
the path, or, as URL Defense v3 does, with each odd character taken out and noted behind. A link may have gone through
several gateways. Of some, such as Mimecast, nobody else knows the address.
"""

import base64
import binascii
import re
from collections.abc import Callable
from urllib.parse import unquote

# Opens and closes the address of an anchor, so that it is known from the text that repeats it.
ANCHOR_OPEN, ANCHOR_CLOSE = "\ue000", "\ue001"
CLOSING = {'"': '"', "'": "'", ANCHOR_OPEN: ANCHOR_CLOSE}
"""Marks around a link, and what ends it."""
CUT = r"(?:[ \t]{0,8}\n[ \t]{0,16}){0,2}"
"""A mail client's cut: spaces at the end of a line, and those that indent the next."""
SCHEME = re.compile(CUT.join("http") + rf"{CUT}(?:s{CUT})?:{CUT}/{CUT}/", re.IGNORECASE)
MAX_CHARACTERS = 8192
"""Of one link."""

_MAX_LAYERS = 4
_HEAD_CHARACTERS = 120
_ADDRESS = re.compile(r"https?://[!#-&(-;=?-_a-z~]+", re.IGNORECASE)
_PARAMETERS = (
    (r"[\w.-]+\.safelinks\.protection\.[\w.]+", "url"),
    (r"urldefense\.proofpoint\.com/v1/url", "u"),
    (r"www\.google\.[a-z.]+/url", "(?:q|url)"),
    (r"linkprotect\.cudasvc\.com/url", "a"),
    (r"[\w.-]+\.trendmicro\.com(?::\d+)?/wis/clicktime/v1/query", "url"),
    (r"protect\d*\.fireeye\.com/v1/url", "u"),
)
"""Host, and where it matters path, of gateways that keep the address percent-encoded in a parameter."""
_V2 = re.compile(r"https?://urldefense\.proofpoint\.com/v2/url\?(?:[^&]*&)*?u=(?P<address>[\w.~%-]+)(?=&|$)", re.I)
_V3 = re.compile(
    r"https?://urldefense(?:\.proofpoint)?\.com/v3/__(?P<address>.+?)__;(?P<taken>[\w-]*)={0,2}!.{0,400}?(?:\$|$)", re.I
)
_IN_PATH = re.compile(r"https?://secure-web\.cisco\.com/[^/]+/(?P<address>https?%3A[^/?&]+)", re.IGNORECASE)
_IN_PARAMETER = re.compile(
    "|".join(
        rf"https?://{place}/?[^?]{{0,80}}\?(?:[^&]*&)*?{name}=(?P<address{number}>[\w%.~!*()+-]+|https?:[^&]+)(?=&|$)"
        for number, (place, name) in enumerate(_PARAMETERS)
    ),
    re.IGNORECASE,
)
_GATEWAY = re.compile(
    r"https?://(?:urldefense(?:\.proofpoint)?\.com/|secure-web\.cisco\.com/|"
    + "|".join(place for place, _ in _PARAMETERS)
    + ")",
    re.IGNORECASE,
)
_OPAQUE = re.compile(r"https?://[\w.-]*mimecast(?:protect)?\.com/s/", re.IGNORECASE)
# Characters that stood next to each other are written as ** and how many they are, from 2 on, as one of these.
_LENGTHS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def undo_gateways(text: str) -> str:
    """A text with the links that its sender wrote; what cannot be read back stays as it is."""
    for _ in range(_MAX_LAYERS):
        pieces, position = list[str](), 0
        for scheme in SCHEME.finditer(text):
            if scheme.start() < position or not _is_gateway(text, scheme.start()):
                continue
            found = _original(text, scheme.start())
            if found is not None:
                address, end = found
                pieces += [text[position : scheme.start()], address]
                position = end
        if not pieces:
            break
        text = "".join([*pieces, text[position:]])
    return text


def has_opaque_links(text: str) -> bool:
    """Whether a gateway has rewritten links in such a way that it alone knows where they lead."""
    return _OPAQUE.search(text) is not None


def is_stop(word: str) -> bool:
    """Whether a word of a command cannot be a part of its link."""
    return word.startswith("--") or word in ("-o", "curl")


def _is_gateway(text: str, start: int) -> bool:
    return _GATEWAY.match("".join(text[start : start + _HEAD_CHARACTERS].split())) is not None


def _original(text: str, start: int) -> tuple[str, int] | None:
    """The address in the link that begins at `start`, as it is to stand in the text, and where the link ends."""
    opening = text[max(0, start - 4) : start].rstrip()[-1:]
    end = text.find(CLOSING[opening], start, start + MAX_CHARACTERS) if opening in CLOSING else -1
    words = text[start:end].split() if end >= 0 else []
    if words and not any(is_stop(word) for word in words[1:]):
        found = _decode("".join(words))
        return None if found is None else (found[0], end)
    words_and_ends = _words(text, start)
    # As much as one link of a gateway can be, then the first line of it.
    for count in (len(words_and_ends), 1):
        link = "".join(word for word, _ in words_and_ends[:count])
        found = _decode(link)
        if found is not None:
            return f'"{found[0]}"', _end(words_and_ends, found[1])
    return None


def _words(text: str, start: int) -> list[tuple[str, int]]:
    """The words that may be a link from `start` on, each with where it ends."""
    words: list[tuple[str, int]] = []
    for found in re.finditer(r"\S+", text[start : start + MAX_CHARACTERS]):
        word = found.group()
        is_next_link = bool(words) and word.lower().startswith("http") and not words[-1][0].endswith("__")
        if words and (is_stop(word) or is_next_link):
            break
        words.append((word, start + found.end()))
        if re.search(r"[\"'<>" + ANCHOR_OPEN + ANCHOR_CLOSE + "]", word):
            break
    return words


def _end(words: list[tuple[str, int]], num_characters: int) -> int:
    """Where in the text a link ends of which so many characters were needed, with the parameters behind them."""
    position = 0
    for number, (word, end) in enumerate(words):
        position += len(word)
        if position < num_characters:
            continue
        if "&" not in word[len(word) - (position - num_characters) :]:
            return end - (position - num_characters)
        # What a gateway adds may be cut into lines, too.
        for later, later_end in words[number + 1 :]:
            if not re.search("[&=%]", later):
                break
            end = later_end
        return end
    return words[-1][1]


def _decode(link: str) -> tuple[str, int] | None:
    """The address inside a link without spaces, and how many characters of the link it took; None without one."""
    ways: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str | None]], ...] = (
        (_V3, _put_back),
        (_V2, lambda found: unquote(found["address"].replace("-", "%").replace("_", "/"))),
        (_IN_PATH, lambda found: unquote(found["address"])),
        (_IN_PARAMETER, lambda found: unquote(next(one for one in found.groups() if one is not None))),
    )
    for pattern, decode in ways:
        found = pattern.match(link)
        address = decode(found) if found else None
        if found and address and _ADDRESS.fullmatch(address):
            return address, found.end()
    return None


def _put_back(found: re.Match[str]) -> str | None:
    """The address of URL Defense v3: each * is the next character of those that were taken out, ** a run of them."""
    taken = found["taken"]
    try:
        characters = base64.urlsafe_b64decode(taken + "=" * (-len(taken) % 4)).decode()
    except (binascii.Error, ValueError):
        return None
    position = 0

    def next_ones(mark: re.Match[str]) -> str:
        nonlocal position
        count = _LENGTHS.index(mark[1]) + 2 if mark[1] else 1
        position += count
        return characters[position - count : position]

    address = re.sub(r"\*(?:\*([\w-]))?", next_ones, found["address"], flags=re.ASCII)
    # It writes one slash where a client took two for a comment.
    address = re.sub(r"^(https?:)/(?=[^/])", r"\1//", address)
    return address if position == len(characters) else None
