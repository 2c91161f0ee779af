"""The text of a mail as its sender wrote it: no headers, HTML, marks of a reply, curly quotes or gateway's links.

Line breaks stay where they are: whether one belongs to a link is for `mail_links` to say. Every step reads the text
once, whatever the text is.
"""

import email
import html
import re
from email.message import Message

from mrikit.transfer.mail_gateways import ANCHOR_CLOSE, ANCHOR_OPEN, undo_gateways

_QUOTES = str.maketrans(
    {
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u00b4`", "'"),
        **dict.fromkeys("\u2013\u2212\u2010\u2011", "-"),
        "\u2014": "--",
        "\u00a0": " ",
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad" + ANCHOR_OPEN + ANCHOR_CLOSE, None),
    }
)
_REPLY_MARKS = re.compile(r"^[ \t]*(?:(?:>|&gt;)[ \t]*)+", re.MULTILINE)
_TAG = re.compile(r"<[^<>]*>")
_TAG_NAME = re.compile(r"</?\s*([a-zA-Z][a-zA-Z0-9]*)")
_HREF = re.compile(r"\bhref\s{0,8}=\s{0,8}[\"']?([^\"'<>]*)", re.IGNORECASE)
_LINE_TAGS = re.compile("br|p|div|li|ul|ol|tr|td|table|h[1-6]|pre|blockquote|hr|body|html|head|title")
_SILENT_TAGS = re.compile("a|wbr|span|b|i|u|em|strong|font|code|tt")
_AMPERSAND = re.compile(r"&\s?(?:a\s?m\s?p\s?;\s?)+")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,8});")
_SHELL_ESCAPE = re.compile(r"\\(?=[?=&%\n])")
_PLAIN_PARAMETER = re.compile(r"(?:AWSAccessKeyId|Signature|Expires|X-Amz-\w+|href)=(?!3[Dd]|\s)")
_HEADER = re.compile(r"(?:From |[A-Za-z][A-Za-z0-9-]*:)")
_MAIL_HEADERS = re.compile(
    r"^(?:MIME-Version|Content-Type|Content-Transfer-Encoding|Received|Message-ID|From|Subject|Date|To):",
    re.IGNORECASE | re.MULTILINE,
)
_HEADER_CHARACTERS = 65_536


def mail_bodies(text: str) -> list[str]:
    """The bodies of a mail, each with the same content in another form: the pasted text, or a message's own parts."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff \n\t")
    parts = _message_parts(text)
    bodies = ["\n".join(parts[kind]) for kind in ("plain", "html") if parts.get(kind)] or [text]
    return [_clean(body) for body in bodies]


def _clean(text: str) -> str:
    """One body, in plain characters."""
    text = _REPLY_MARKS.sub("", text)
    text = "\n\n".join(_decode_quoted_printable(block) for block in text.split("\n\n"))
    text = _REPLY_MARKS.sub("", text).translate(_QUOTES)
    text = _TAG.sub(_without_tag, text)
    text = _ENTITY.sub(lambda found: html.unescape(found.group()), _AMPERSAND.sub("&", text))
    return undo_gateways(_SHELL_ESCAPE.sub("", text.translate(_QUOTES_AFTER_TAGS)))


_QUOTES_AFTER_TAGS = {key: value for key, value in _QUOTES.items() if chr(key) not in (ANCHOR_OPEN, ANCHOR_CLOSE)}


def _decode_quoted_printable(block: str) -> str:
    """A paragraph decoded, if it is quoted-printable: then each = of a link is written =3D.

    Asked of each paragraph, as people paste mails of both kinds below each other. A plain one must stay:
    `Expires=17...` would decode too.
    """
    if not re.search(r"=3[Dd]", block) or _PLAIN_PARAMETER.search(block):
        return block
    block = re.sub(r"=[ \t]*\n", "", block)
    octets = re.sub(
        rb"=([0-9A-Fa-f]{2})", lambda found: bytes.fromhex(found[1].decode()), block.encode("utf-8", "replace")
    )
    return octets.decode("utf-8", "replace")


def _without_tag(found: re.Match[str]) -> str:
    """What a tag leaves behind: the address of an anchor, a line break, or nothing; other <...> stays."""
    inside = found.group()[1:-1].strip()
    if re.match(r"https?:", inside, re.IGNORECASE):
        return f" {ANCHOR_OPEN}{inside}{ANCHOR_CLOSE} "
    tag = _TAG_NAME.match(found.group())
    name = tag[1].lower() if tag else ""
    href = _HREF.search(inside) if name == "a" else None
    if href is not None:
        return f" {ANCHOR_OPEN}{href[1]}{ANCHOR_CLOSE} "
    if _LINE_TAGS.fullmatch(name):
        return "\n"
    return "" if _SILENT_TAGS.fullmatch(name) else found.group()


def _message_parts(text: str) -> dict[str, list[str]]:
    """The texts of a whole message by kind, `plain` and `html`; nothing if the text does not begin with headers."""
    head = text[:_HEADER_CHARACTERS].partition("\n\n")[0]
    if _HEADER.match(text) is None or len(_MAIL_HEADERS.findall(head)) < 2:
        return {}
    parts: dict[str, list[str]] = {}
    try:
        for part in email.message_from_string(text).walk():
            kind = part.get_content_type()
            if part.is_multipart() or not (kind.startswith("text/") or (part.get_filename() or "").endswith(".txt")):
                continue
            parts.setdefault("html" if kind == "text/html" else "plain", []).append(_part_text(part))
    # The parser of the standard library is not proof against every malformed message; the text itself remains.
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}
    return parts


def _part_text(part: Message) -> str:
    """The decoded text of one part."""
    encoding = str(part.get("Content-Transfer-Encoding", "")).strip().lower()
    if encoding not in ("base64", "quoted-printable"):
        return str(part.get_payload())
    octets = part.get_payload(decode=True)
    assert isinstance(octets, bytes)
    try:
        text = octets.decode(part.get_content_charset() or "utf-8", "replace")
    except LookupError:
        text = octets.decode("utf-8", "replace")
    return text.replace("\r\n", "\n")
