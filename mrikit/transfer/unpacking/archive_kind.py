"""What a file is, by its first bytes, and what it was meant to be, by its name, which is often wrong."""

import re
import tarfile
from typing import Literal

Compression = Literal["none", "xz", "gz", "zst", "bz2"]

ARCHIVE_NAME = re.compile(r".+\.(tar(\.(xz|gz|zst|bz2))?|t(xz|gz|zst|bz2?))", re.IGNORECASE)
"""How archives are called: a file of such a name that is none was meant to be one."""
HEAD_BYTES = 512
"""How many of the first bytes are enough to tell."""

_COMPRESSIONS: tuple[tuple[bytes, Compression], ...] = (
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x1f\x8b", "gz"),
    (b"\x28\xb5\x2f\xfd", "zst"),
    (b"BZh", "bz2"),
)
_OTHERS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"PK\x03\x04", "a zip file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"%PDF", "a PDF"),
)
_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<error")


def find_compression(head: bytes) -> Compression | None:
    """How a file that begins with `head` is compressed, "none" for a plain tar; None if it is no archive at all."""
    for magic, compression in _COMPRESSIONS:
        if head.startswith(magic):
            return compression
    if head[1:4] == b"\x2a\x4d\x18" and head[0] >> 4 == 5:
        return "zst"  # begins with a skippable frame
    return "none" if is_tar(head) else None


def is_tar(head: bytes) -> bool:
    """Whether these are the first 512 bytes of a tar: they hold their own checksum, in old and new tars alike."""
    try:
        tarfile.TarInfo.frombuf(head[:HEAD_BYTES], "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def describe_head(head: bytes) -> str:
    """What a file that is no archive seems to be, in a few words."""
    if not head:
        return "empty"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_PAGES):
        return "HTML/XML, an error page that was saved in place of an archive"
    for magic, what in _OTHERS:
        if head.startswith(magic):
            return f"{what}, not an archive"
    if not any(head):
        return "zero bytes, as of a file that never arrived"
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        return "text, not an archive"
    return f"unknown bytes {head[:4].hex(' ')}, not an archive"
