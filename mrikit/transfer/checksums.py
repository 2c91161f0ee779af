"""The published list of SHA256 digests."""

import re

from mrikit.errors import DataError

_LINE = re.compile(r"([0-9a-fA-F]{64})(?:[ \t]+\*?|[ \t]*\*)(\S.*)")


def parse_checksums(text: str, owner: str = "SHA256") -> dict[str, str]:
    """File name to digest, 64 hexadecimal digits in lower case.

    Args:
        text: One `<digest>  <name>` or `<digest> *<name>` on each line, as sha256sum writes them; of a name with
            folders the last part counts.
        owner: The file, for messages.

    Raises:
        DataError: A line is neither empty nor of this form, a file has two digests, or there is no digest at all.
            What stands there is not quoted: the answer of a server may come in place of the list.
    """
    digests: dict[str, str] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line.strip())
        name = found[2].replace("\\", "/").rpartition("/")[2] if found else ""
        if found is None or not name:
            raise DataError(f"{owner}: line {number} is not `<64 hexadecimal digits>  NAME`; download the list again")
        digest = found[1].lower()
        if digests.setdefault(name, digest) != digest:
            raise DataError(f"{owner}: line {number} gives {name} a second digest; download the list again")
    if not digests:
        raise DataError(f"{owner}: no digest in it; download the list again")
    return digests
