"""The published SHA256 digests that a mail links to."""

import re
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import unquote

from mrikit.errors import DataError, TransferError
from mrikit.transfer.checksums import parse_checksums, path_ends
from mrikit.transfer.mail import MailArchive
from mrikit.transfer.retry import Patience
from mrikit.transfer.source import HttpSource

_MOST_BYTES = 2**20
_DIGEST = re.compile(r"\s*[0-9a-fA-F]{64}")


def fetch_digests(
    archives: Sequence[MailArchive],
    *,
    patience: Patience | None = None,
    on_failure: Callable[[str], None] = lambda _message: None,
    on_retry: Callable[[str], None] = lambda _message: None,
) -> dict[str, str]:
    """The digest of each archive of a mail that a list in the same mail names.

    Args:
        archives: All that the mail offers.
        patience: How long to try.
        on_failure: Called with why a list cannot be had, on one line; copying goes on without it.
        on_retry: Called with what failed, on one line, before it is tried again.

    Returns:
        Hex digits in lower case, by the name of the archive.
    """
    published: dict[str, str] = {}
    for one in archives:
        if not one.is_checksums:
            continue
        source = HttpSource(one.link, name=one.name, num_connections=1, patience=patience, on_retry=on_retry)
        try:
            if source.size_bytes > _MOST_BYTES:
                on_failure(f"{one.name}: {source.size_bytes} bytes are no list of digests; nothing is compared with it")
                continue
            published |= parse_checksums(_lines_of_digests(source.read(0, source.size_bytes)), one.name)
        except (TransferError, DataError) as error:
            on_failure(f"{error}; no digests are compared")
        finally:
            source.close()
    found = {one.name: _digest_of(one, published) for one in archives}
    return {name: digest for name, digest in found.items() if digest}


def _digest_of(archive: MailArchive, published: Mapping[str, str]) -> str | None:
    """By the longest end of the link's path that the list knows, or by the name on disk."""
    ends = [*path_ends(unquote(archive.link.path).lstrip("/")), archive.name]
    return next((published[end] for end in ends if end in published), None)


def _lines_of_digests(list_file: bytes) -> str:
    """The list without headings and remarks, which its publisher may have put in."""
    lines = list_file.decode("utf-8", "replace").splitlines()
    return "\n".join(line for line in lines if _DIGEST.match(line))
