"""The published list of SHA256 digests."""

import re

from mrikit.errors import DataError

_LINE = re.compile(r"([0-9a-fA-F]{64})(?:[ \t]+\*?|[ \t]*\*)(\S.*)")


def parse_checksums(text: str, owner: str = "SHA256") -> dict[str, str]:
    """Digests, 64 hexadecimal digits in lower case, by the names of their files.

    Args:
        text: One `<digest>  <name>` or `<digest> *<name>` on each line, as sha256sum writes them.
        owner: The file, for messages.

    Returns:
        A file in folders stands there by every end of its path: `v2.0/knee/train.tar`, `knee/train.tar`, `train.tar`;
        not by those that mean another file with another digest, too.

    Raises:
        DataError: A line is neither empty nor of this form, a file has two digests, or there is no digest at all.
            What stands there is not quoted: the answer of a server may come in place of the list.
    """
    listed: dict[str, str] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line.strip())
        path = found[2].replace("\\", "/").removeprefix("./").lstrip("/") if found else ""
        if found is None or not path or path.endswith("/"):
            raise DataError(f"{owner}: line {number} is not `<64 hexadecimal digits>  NAME`; download the list again")
        digest = found[1].lower()
        if listed.setdefault(path, digest) != digest:
            raise DataError(f"{owner}: line {number} gives {path} a second digest; download the list again")
    if not listed:
        raise DataError(f"{owner}: no digest in it; download the list again")
    meant: dict[str, set[str]] = {}
    for path, digest in listed.items():
        for end in path_ends(path):
            meant.setdefault(end, set()).add(digest)
    # A whole path means its file, even if another one's path ends so.
    return {end: digest for end, (digest, *others) in meant.items() if not others} | listed


def path_ends(path: str) -> list[str]:
    """The path, then what is left of it without its first folder, and so on to the name."""
    parts = path.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]
