"""Makers of download mails. Every secret part of a link is made of CANARY, so that any leak can be searched for."""

import quopri
import textwrap
from collections.abc import Sequence
from email.message import EmailMessage
from html import escape
from urllib.parse import quote

CANARY = "CANARY"
HOST = "fastmri-dataset.s3.amazonaws.com"
EXPIRES = 1_800_000_000  # 2027-01-15 08:00:00 UTC
KEY = "AKIACANARYCANARYCANA"
SIGNATURE_V2 = "CANARYxCANARY/CANARY+CANARY="
SIGNATURE_V4 = ("CANARY" * 11)[:64]
KNEE = ("knee_multicoil_val.tar.xz", "knee_multicoil_train_batch_0.tar.xz", "knee_singlecoil_test.tar.xz")


def make_url(
    name: str,
    *,
    base_url: str = f"https://{HOST}/",
    folder: str = "v2.0",
    expires: int = EXPIRES,
    kind: str = "v2",
    valid_seconds: int = 604_800,
) -> str:
    """A signed URL: `kind` is v2 or v4 (S3) or sas (Azure)."""
    path = f"{folder}/{name}" if folder else name
    return f"{base_url}{path}?{make_query(kind, expires, valid_seconds)}"


def make_query(kind: str = "v2", expires: int = EXPIRES, valid_seconds: int = 604_800) -> str:
    """The signed query of a URL, without the question mark."""
    from datetime import UTC, datetime

    if kind == "v2":
        return f"AWSAccessKeyId={KEY}&Signature={quote(SIGNATURE_V2, safe='')}&Expires={expires}"
    if kind == "v4":
        signed_at = datetime.fromtimestamp(expires - valid_seconds, UTC)
        credential = quote(f"{KEY}/{signed_at:%Y%m%d}/us-east-1/s3/aws4_request", safe="")
        return (
            f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={signed_at:%Y%m%dT%H%M%SZ}"
            f"&X-Amz-Expires={valid_seconds}&X-Amz-SignedHeaders=host&X-Amz-Signature={SIGNATURE_V4}"
        )
    ends_at = quote(f"{datetime.fromtimestamp(expires, UTC):%Y-%m-%dT%H:%M:%SZ}", safe="")
    signature = quote(f"{'CANARY' * 7}A=", safe="")
    return f"sv=2024-11-04&se={ends_at}&sr=b&sp=r&sig={signature}"


def make_line(url: str, output: str | None = None, quotes: str = '""', flag: str = "--output ") -> str:
    """`curl -C - "URL" --output NAME`; `quotes` are the opening and the closing one, or nothing."""
    opening, closing = quotes or ("", "")
    name = output or url.partition("?")[0].rpartition("/")[2]
    return f"curl -C - {opening}{url}{closing} {flag}{name}"


def make_mail(names: Sequence[str] = KNEE, width: int | None = None, prefix: str = "", **link) -> str:
    """A mail of one line for each name, each hard-wrapped at a width; `prefix` is what a reply puts before a line."""
    lines = [make_line(make_url(name, **link)) for name in names]
    parts = [part for line in lines for part in wrap(line, width)]
    body = ["Thank you for your interest in the fastMRI dataset.", "", *parts]
    return "".join(f"{prefix}{line}\n" for line in body)


def wrap(line: str, width: int | None) -> list[str]:
    """A line cut to a width, as a mail client does it: at a space where there is one, else anywhere."""
    return textwrap.wrap(line, width, break_on_hyphens=False) if width else [line]


def cut_anywhere(line: str, positions: Sequence[int], joint: str = "\n") -> str:
    """A line cut at positions, whatever stands there."""
    cuts = sorted({position % len(line) for position in positions} - {0})
    return joint.join(line[a:b] for a, b in zip([0, *cuts], [*cuts, len(line)], strict=True))


def as_quoted_printable(text: str) -> str:
    """The source of a quoted-printable mail."""
    return quopri.encodestring(text.encode()).decode("ascii")


def as_html(urls: Sequence[str]) -> str:
    """The source of an HTML mail whose links are anchors with their address as text."""
    lines = (
        f'<p>curl -C - &quot;<a href="{escape(url)}">{escape(url)}</a>&quot; --output '
        f"{url.partition('?')[0].rpartition('/')[2]}<br></p>"
        for url in urls
    )
    return f"<html><body><h2>Knee</h2>{''.join(lines)}</body></html>"


def as_eml(plain: str | None = None, html: str | None = None, encoding: str = "base64") -> str:
    """A whole message."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "fastmri@example.org", "me@example.org", "fastMRI dataset"
    if plain is not None:
        message.set_content(plain, cte=encoding)
        if html is not None:
            message.add_alternative(html, subtype="html", cte=encoding)
    else:
        message.set_content(html, subtype="html", cte=encoding)
    return message.as_string()
