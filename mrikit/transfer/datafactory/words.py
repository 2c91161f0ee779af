"""What Azure says, on one line and without the signature of a link."""

from collections.abc import Iterable
from urllib.parse import quote, unquote

from mrikit.transfer.redaction import redact

_MAX_LETTERS = 400
_SHORTEST_SECRET = 8


def hide(text: str, secrets: Iterable[str] = ()) -> str:
    """The first words of a message, without queries of URLs, signatures, or any part of a query among `secrets`.

    Args:
        text: What a service said; it may repeat what it was given, also an older link that this process never knew.
        secrets: Texts of which only what stands before a `?` may be shown.
    """
    for secret in secrets:
        for form in _forms(secret.partition("?")[2]):
            text = text.replace(form, "...")
    line = " ".join(redact(text).split())
    return line if len(line) <= _MAX_LETTERS else f"{line[:_MAX_LETTERS]}..."


def _forms(query: str) -> list[str]:
    """How a query may be written, the longest first: as it is, quoted again, unquoted, and each of its values."""
    parts = [query, *(pair.partition("=")[2] for pair in query.split("&"))]
    forms = {form for part in parts for form in (part, unquote(part), quote(part, safe=""))}
    return sorted((form for form in forms if len(form) >= _SHORTEST_SECRET), key=len, reverse=True)
