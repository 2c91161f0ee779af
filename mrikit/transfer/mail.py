"""The download mail: which archives it offers, in the order of the mail."""

import re
import warnings
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import unquote

from mrikit.errors import ConfigError
from mrikit.transfer.link import Link, is_file_name
from mrikit.transfer.mail_gateways import has_opaque_links
from mrikit.transfer.mail_links import ARCHIVE_SUFFIX, FoundLink, find_links, signature_state
from mrikit.transfer.mail_text import mail_bodies

_ANATOMY = re.compile(r"\b(knee|brain|prostate|breast)s?\b", re.IGNORECASE)
_DICOM = re.compile(r"\bdicoms?\b", re.IGNORECASE)
_CHECKSUMS_NAME = re.compile(r"(?:[A-Za-z0-9.-]{1,20}_)?SHA256(?:\.txt)?", re.IGNORECASE)
_HEADING_CHARACTERS = 60
_MAX_NAMED = 8
_SIGNED_QUERY = re.compile(r"Signature\s*=|X-Amz-|AWSAccessKeyId")
_S3_PARAMETER = re.compile(r"[?&](?:AWSAccessKeyId|Signature|X-Amz-)", re.IGNORECASE)
_PLACE_HOLDER = re.compile(r"<[A-Za-z][A-Za-z _-]{0,40}>|=\.\.\.")
_V1_NAME = re.compile(r"\b(?:multicoil|singlecoil)_(?:train|val|test|challenge)\w*\.tar\.gz")
_NO_DATE = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class MailArchive:
    """One file that the mail offers."""

    link: Link
    """Where it is fetched from."""
    name: str
    """What it is called on disk: the `--output` of its line, else the link's own name."""
    section: str | None = None
    """The heading it stands under, in plain words such as `knee` or `brain dicom`; None where there is none."""

    @property
    def is_checksums(self) -> bool:
        """Whether it is a list of SHA256 digests rather than an archive."""
        return is_checksums_name(self.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mail:
    """All that one mail says."""

    archives: tuple[MailArchive, ...]
    """What it offers, in its order, each once; the list of digests too."""
    num_duplicates: int
    """Links left out because another one leads to the same file and lasts as long or longer."""
    damaged: tuple[str, ...]
    """Names of files whose links lost part of their signature."""


def read_mail(text: str) -> list[MailArchive]:
    """What a mail offers, in its order, each file once; warns of links that are damaged.

    Args:
        text: A pasted mail of any version, a whole .eml, or a list of links.

    Raises:
        ConfigError: No usable link.
    """
    mail = parse_mail(text)
    if mail.damaged:
        warnings.warn(describe_damaged(mail.damaged), stacklevel=2)
    return list(mail.archives)


def parse_mail(text: str) -> Mail:
    """What a mail offers, how often it repeats itself, and which links are damaged.

    Raises:
        ConfigError: No usable link.
    """
    bodies = mail_bodies(text)
    mails = [_read_body(body) for body in bodies]
    # A message says the same in plain text and in HTML; one of them may have been cut.
    mail = max(mails, key=lambda one: (len(one.archives), -len(one.damaged)))
    if not mail.archives:
        raise ConfigError(_nothing_found(bodies[0], mail.damaged))
    return mail


def describe_damaged(names: Sequence[str]) -> str:
    """One line for links that lost part of their signature."""
    shown = ", ".join(names[:_MAX_NAMED]) + (f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else "")
    return f"links without their whole signature are left out: {shown}; copy them from the mail again"


def is_checksums_name(name: str) -> bool:
    """Whether a file of this name is a list of SHA256 digests."""
    return "sha256" in name.lower() and ARCHIVE_SUFFIX.search(name) is None


def _read_body(text: str) -> Mail:
    """The mail that one text is."""
    is_signed = _SIGNED_QUERY.search(text) is not None
    offers: list[_Offer] = []
    damaged: dict[str, None] = {}
    section, end, number = None, 0, 0
    for found in find_links(text):
        section = _section(text[end : found.start]) or section
        end = found.end
        if not _is_offer(found):
            continue
        number += 1
        link = _usable_link(found, is_signed)
        if link is None:
            damaged[_shown_name(found.url) or f"link {number} of the mail"] = None
        else:
            offers.append(_Offer(link, found.output, section, found.is_anchor))
    archives, num_duplicates = _merge(offers)
    names = {name for archive in archives for name in (archive.name, archive.link.name)}
    lost = tuple(name for name in damaged if name not in names)
    return Mail(archives=archives, num_duplicates=num_duplicates, damaged=lost)


class _Offer(NamedTuple):
    """One occurrence of a link."""

    link: Link
    output: str | None
    section: str | None
    is_anchor: bool


def _is_offer(found: FoundLink) -> bool:
    """Whether a link leads to a file of the mail rather than to a web page."""
    if _shown_name(found.url) is not None or signature_state(found.url) == "whole":
        return True
    return _S3_PARAMETER.search(found.url) is not None


def _usable_link(found: FoundLink, is_signed: bool) -> Link | None:
    """The link, if it is whole: in a mail with signatures one without any query has lost its own."""
    state = signature_state(found.url)
    if state == "damaged" or (state == "none" and is_signed and "?" not in found.url):
        return None
    try:
        return Link(found.url)
    except ConfigError:
        return None


def _shown_name(url: str) -> str | None:
    """The file name in a URL, if it is surely one: a damaged link may have parts of its signature anywhere."""
    name = url.partition("?")[0].rpartition("/")[2]
    is_known = ARCHIVE_SUFFIX.search(name) is not None or _CHECKSUMS_NAME.fullmatch(name) is not None
    return name if is_known and is_file_name(name) else None


def _section(gap: str) -> str | None:
    """The last heading in the text between two links, in words of our own: a gap may hold the rest of a signature."""
    for line in reversed(gap.splitlines()):
        anatomies = {found.lower() for found in _ANATOMY.findall(line)}
        if len(line) > _HEADING_CHARACTERS or "curl" in line or "--" in line:
            continue
        words = [*anatomies, *(["dicom"] if _DICOM.search(line) else [])]
        if words and len(anatomies) < 2:
            return " ".join(words)
    return None


def _merge(offers: Sequence[_Offer]) -> tuple[tuple[MailArchive, ...], int]:
    """Each file once, with the link that lasts longest, under a name of its own; and how many links that left out."""
    groups: dict[tuple[str, str], list[_Offer]] = {}
    for offer in offers:
        groups.setdefault((offer.link.host, unquote(offer.link.path)), []).append(offer)
    archives: list[MailArchive] = []
    num_duplicates = 0
    for name, group in zip(_own_names(groups), groups.values(), strict=True):
        latest = max(group, key=lambda one: one.link.expires_at or _NO_DATE)
        section = next((one.section for one in group if one.section), None)
        archives.append(MailArchive(link=latest.link, name=name, section=section))
        # An anchor and its text are one offer.
        num_duplicates += max(len([one for one in group if not one.is_anchor]), 1) - 1
    return tuple(archives), num_duplicates


def _own_names(groups: Mapping[tuple[str, str], Sequence[_Offer]]) -> list[str]:
    """A name for each file that no other has: the mail's, else the link's, else one with its folders, its host, too."""
    choices: list[deque[str]] = []
    for number, ((host, path), group) in enumerate(groups.items(), 1):
        own = group[0].link.name
        wanted = next((one.output for one in group if one.output), own)
        flat = path.strip("/").replace("/", "_")
        choices.append(deque([wanted, own, flat, f"{host}_{flat}", f"{number}_{host}_{flat}"]))
    while True:
        counts = Counter(names[0] for names in choices)
        shared = [names for names in choices if counts[names[0]] > 1 and len(names) > 1]
        if not shared:
            return [names[0] for names in choices]
        for names in shared:
            names.popleft()


def _nothing_found(text: str, damaged: Sequence[str]) -> str:
    """What is wrong with a text without a usable link; quotes nothing but names of files."""
    if damaged:
        return f"no download link is whole; {describe_damaged(damaged)}"
    lines = [line for line in text.splitlines() if line.strip()]
    num_commands = sum("curl" in line for line in lines)
    found = f"no download link in {len(lines)} lines, {num_commands} of them with curl"
    if has_opaque_links(text):
        return (
            f"{found}; a mail gateway has rewritten the links, and it alone knows where they lead; open each in a "
            f"browser and paste its address, or have the mail sent to an address without this gateway"
        )
    if _PLACE_HOLDER.search(text):
        return f"{found}; what stands there are place holders such as <...>; paste the mail that came to you"
    if _V1_NAME.search(text):
        return f"{found}; names of the first release stand there, but without links; paste the mail that came to you"
    return f"{found}; paste the whole mail, with the lines that begin with curl"
