"""Links in a text whose lines were cut anywhere, also within a percent escape, an option or the name of a file.

A line break within a link has to go and the one behind it has to stay. In quotation marks all breaks go. Without
them, one goes as long as the link is not whole: a parameter of its signature is missing, or the last one is shorter
than such values are. Each link is looked for between its own beginning and the next one's, so time grows with the
length of the text.
"""

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from mrikit.transfer.link import is_file_name
from mrikit.transfer.mail_gateways import ANCHOR_OPEN, CLOSING, CUT, MAX_CHARACTERS, SCHEME, is_stop

ARCHIVE_SUFFIX = re.compile(r"\.(?:tar(?:\.(?:xz|gz|bz2|zst))?|tgz|txz|tbz2?|zip)$", re.IGNORECASE)

_OUTPUT = re.compile(rf"(?:^|(?<=\s))(?:-{CUT}-{CUT}{CUT.join('output')}(?:\s*=\s*|\s+)|-{CUT}o\s+)")
_WORD = re.compile(r"[A-Za-z0-9%&=+/._~:;,?-]+")
_CUT_HERE = re.compile(CUT)
_SPACE = re.compile(r"\s+")
_PUNCTUATION = ".,;:"
_MAX_WORDS = 128
_COMMAND_CHARACTERS = 400

# What each way of signing needs, in lower case.
_SIGNATURES = (
    ("awsaccesskeyid", "signature", "expires"),
    ("x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signature"),
    ("sv", "se", "sig"),
)
_SIGNATURE_NAMES = frozenset(name for names in _SIGNATURES for name in names) | {"x-amz-algorithm"}
_AWS_KEY = re.compile(r"A[A-Z0-9]{19}")
_VALUES = {
    "expires": re.compile(r"\d{9,11}"),
    "x-amz-date": re.compile(r"\d{8}T\d{6}Z"),
    "x-amz-expires": re.compile(r"\d{1,6}"),
}
# Values that are as long as they will get, so that a line break behind them ends the link.
_CLOSED = {
    "awsaccesskeyid": re.compile(r".{20,}"),
    "signature": re.compile(r".*(?:%3D|=)", re.IGNORECASE),
    "expires": re.compile(r"\d{10,}"),
    "x-amz-algorithm": re.compile(r"AWS4-HMAC-SHA256"),
    "x-amz-credential": re.compile(r".*aws4_request"),
    "x-amz-date": re.compile(r".{16,}"),
    "x-amz-signedheaders": re.compile(r".*host"),
    "x-amz-signature": re.compile(r".{64,}"),
    "se": re.compile(r".*Z"),
    "sig": re.compile(r".*(?:%3D|=)", re.IGNORECASE),
}
_LONGEST_EXPIRES = 604_800


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundLink:
    """A link as it stands in a text."""

    url: str = field(repr=False)
    """The whole URL, put together again, with its credential."""
    output: str | None
    """The file name that the command around it asks for."""
    is_anchor: bool
    """Whether it is the address of an HTML anchor, whose text may name it a second time."""
    start: int
    """Where it begins in the text."""
    end: int
    """Where its quotation, or it itself, ends."""


def find_links(text: str) -> list[FoundLink]:
    """Every http(s) link of a text in order; those in prose too."""
    schemes = list(SCHEME.finditer(text))
    starts = [scheme.start() for scheme in schemes] + [len(text)]
    links: list[FoundLink] = []
    previous_end = 0
    for scheme, following in zip(schemes, starts[1:], strict=True):
        start, limit = scheme.start(), min(following, scheme.start() + MAX_CHARACTERS)
        opening = text[max(0, start - 4) : start].rstrip()[-1:]
        quoted = _quoted_url(text, scheme, limit, CLOSING[opening]) if opening in CLOSING else None
        url, end = quoted or _bare_url(text, scheme, limit)
        own_name = unquote(url.partition("?")[0].rpartition("/")[2])
        output = _output_after(text[end : min(following, end + _COMMAND_CHARACTERS)], own_name)
        if output is None:
            output = _output_before(text[max(previous_end, start - _COMMAND_CHARACTERS) : start], own_name)
        is_anchor = opening == ANCHOR_OPEN and quoted is not None
        links.append(FoundLink(url=url, output=output, is_anchor=is_anchor, start=start, end=end))
        previous_end = end
    return links


def signature_state(url: str) -> str:
    """`whole`, `damaged` (parts of a signature are there, or its place is empty), or `none`."""
    _, mark, query = url.partition("?")
    pairs = [pair.partition("=") for pair in query.split("&")]
    values = {name.lower(): value for name, _, value in pairs}
    if any(all(_is_plausible(name, values) for name in names) for names in _SIGNATURES):
        return "whole"
    last_name, equals, _ = pairs[-1]
    is_cut = not equals and any(name.startswith(last_name.lower()) for name in _SIGNATURE_NAMES)
    return "damaged" if mark and (is_cut or _SIGNATURE_NAMES & values.keys()) else "none"


def _is_plausible(name: str, values: dict[str, str]) -> bool:
    """Whether a needed parameter is there with a value that may be whole."""
    value = values.get(name, "")
    key = values.get("awsaccesskeyid") or values.get("x-amz-credential", "")
    if name in ("signature", "x-amz-signature") and _AWS_KEY.match(key):
        # Keys of the real service come with signatures of a known length; base64 of 20 bytes, and 64 hexadecimals.
        return len(unquote(value)) == (28 if name == "signature" else 64)
    return _VALUES[name].fullmatch(value) is not None if name in _VALUES else value != ""


def _quoted_url(text: str, scheme: re.Match[str], limit: int, closing: str) -> tuple[str, int] | None:
    """The URL up to its closing mark, and where that ends; None if the mark is missing or not this link's."""
    end = text.find(closing, scheme.end(), limit)
    if end < 0:
        return None
    words = text[scheme.end() : end].split()
    joined = "".join(words)
    if not words or _WORD.fullmatch(joined) is None or any(is_stop(word) for word in words[1:]):
        return None
    url = _scheme_text(scheme) + joined
    if len(words) > 1 and signature_state(url) == "damaged":
        return None
    return url, end + 1


def _bare_url(text: str, scheme: re.Match[str], limit: int) -> tuple[str, int]:
    """The URL without the help of quotation marks, and where it ends."""
    cut = _CUT_HERE.match(text, scheme.end(), limit)
    position = cut.end() if cut else scheme.end()
    words: list[str] = []
    ends: list[int] = []
    while len(words) < _MAX_WORDS and (word := _WORD.match(text, position, limit)):
        if words and is_stop(word.group()):
            break
        words.append(word.group())
        ends.append(word.end())
        space = _SPACE.match(text, word.end(), limit)
        if space is None:
            break
        position = space.end()
    if not words:
        return _scheme_text(scheme), scheme.end()
    count = _count_words(words)
    return _scheme_text(scheme) + "".join(words[:count]).rstrip(_PUNCTUATION), ends[count - 1]


def _count_words(words: list[str]) -> int:
    """How many words make up the link: 1 unless more of them make a whole signature."""
    full = "".join(words)
    begins = _last_needed_begins(full)
    if begins is None:
        return 1
    count, url = 0, ""
    while count < len(words) and (len(url) <= begins or _goes_on(url, words[count])):
        url += words[count]
        count += 1
    return count if signature_state(url.rstrip(_PUNCTUATION)) == "whole" else 1


def _last_needed_begins(full: str) -> int | None:
    """Where the last parameter that a signature needs begins; None if no signature has all of its parameters."""
    begins: dict[str, int] = {}
    for found in re.finditer(r"[?&]([A-Za-z0-9-]+)=", full):
        begins.setdefault(found[1].lower(), found.end() - 1)
    whole = [max(begins[name] for name in names) for names in _SIGNATURES if all(name in begins for name in names)]
    return min(whole, default=None)


def _goes_on(url: str, word: str) -> bool:
    """Whether a link that was cut behind `url` goes on with `word`; its needed parameters have all begun."""
    if word[0] in "&%" or re.search(r"(?:[&=?]|%[0-9A-Fa-f]?)$", url[-2:]):
        return True
    name, equals, value = re.split("[?&]", url[-MAX_CHARACTERS:])[-1].lower().partition("=")
    if not equals:
        return "=" in word or any(known.startswith(name) for known in _CLOSED)
    value = url[len(url) - len(value) :]
    if name == "x-amz-expires":
        digits = re.match(r"(\d+)(?:&|$)", word)
        return digits is not None and int((value + digits[1])[:9] or 0) <= _LONGEST_EXPIRES
    if name in _CLOSED:
        return _CLOSED[name].fullmatch(value) is None
    # A parameter of unknown length: a word of plain letters is rather the next heading.
    return not word.strip(".,;:").isalpha()


def _scheme_text(scheme: re.Match[str]) -> str:
    return "".join(scheme.group().split()).lower()


def _output_after(command: str, own_name: str) -> str | None:
    """The file name of `--output NAME` behind a link."""
    command = re.split(r"\bcurl\b", command, maxsplit=1)[0]
    found = _OUTPUT.search(command)
    return _file_name(command[found.end() :], own_name) if found else None


def _output_before(text: str, own_name: str) -> str | None:
    """The file name of `curl --output NAME` in front of a link."""
    _, curl, command = text.rpartition("curl")
    found = _OUTPUT.search(command) if curl else None
    return _file_name(command[found.end() :], own_name) if found else None


def _file_name(text: str, own_name: str) -> str | None:
    """The name at the beginning of a text, quoted or cut by line breaks; None where it is none of a file we know."""
    closing = CLOSING.get(text[:1])
    if closing:
        names = ["".join(text[1:].partition(closing)[0].split())]
    else:
        words = [word.rstrip("\"'<>;,") for word in text.split(maxsplit=4)[:4]]
        names = ["".join(words[:count]) for count in range(1, len(words) + 1)]
        if own_name in names:
            return own_name
        # A suffix is whole unless the next line goes on with another one.
        names = [name for name, after in zip(names, [*words, ""][1:], strict=True) if not after.startswith(".")]
    known = (name for name in names if ARCHIVE_SUFFIX.search(name) or "sha256" in name.lower() or name == own_name)
    return next((name for name in known if is_file_name(name)), None)
