"""The headers of a tar, one after the other, and its end.

The headers themselves are parsed by Python's tarfile. Its loop over them is not used, because it takes a damaged or a
missing header for the end of the archive, and reads extended headers of any size into memory.
"""

import re
import tarfile
from collections.abc import Iterator

from mrikit.transfer.unpacking.archive_kind import describe_head
from mrikit.transfer.unpacking.damage import ArchiveError, NotAnArchiveError
from mrikit.transfer.unpacking.decode import DecodedStream

_MAX_EXTENDED_BYTES = 2**20  # a name and a few notes
_EXTENDED = frozenset(
    (
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    )
)
# Links, devices and folders have no data, whatever their size field says.
_WITHOUT_DATA = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)
_OLD_GNU_MAGIC = b"ustar  \x00"
_SPARSE = "GNU.sparse."
_RECORD = re.compile(rb"([1-9]\d{0,8}) ([^=]{1,1024})=")


def read_headers(stream: DecodedStream, archive: str) -> Iterator[tarfile.TarInfo]:
    """The header of each member; while it is looked at, the stream stands at or inside the member's data.

    Args:
        stream: The tar from its start.
        archive: File name, for messages.

    Raises:
        NotAnArchiveError: This is not a tar at all, or one without anything in it.
        LimitError: A member is larger than all that the archive may hold.
        ArchiveError: The tar is truncated or damaged; after every member before that.
    """
    extended: dict[str, str] = {}
    is_first = True
    while True:
        start = stream.tell()
        block = stream.read(tarfile.BLOCKSIZE)
        if block and not any(block) and not is_first:
            _require_end(stream, start)
            return
        info = _parse(block, start, archive, is_first=is_first)
        is_first = False
        if info.type in _EXTENDED:
            extended |= _read_extended(stream, info, start)
            continue
        _extend(info, extended, start)
        extended = {}
        if info.type == tarfile.GNUTYPE_SPARSE and block[482]:
            _skip_sparse_map(stream)
        size = 0 if info.type in _WITHOUT_DATA else info.size
        data_start = stream.tell()
        claim = f"the header at byte {start} of the tar claims a member of {size} bytes"
        if size < 0:
            raise ArchiveError("damaged", claim)
        stream.require_plausible(data_start + size, claim)
        info.size = size
        yield info
        stream.skip(data_start + size + -size % tarfile.BLOCKSIZE - stream.tell())


def read_rest(stream: DecodedStream) -> str | None:
    """What follows the end of a tar, on one line; None if that is nothing but zeros. Reads the stream to its end."""
    while True:
        start = stream.tell()
        data = stream.read(2**18)
        if not data:
            return stream.trailer
        if any(data):
            where = f"bytes that belong to no member follow the end of the tar, from byte {start} on"
            while stream.read(2**18):  # the checks of what is compressed come at the end
                pass
            return where


def _parse(block: bytes, start: int, archive: str, *, is_first: bool) -> tarfile.TarInfo:
    if len(block) < tarfile.BLOCKSIZE and not is_first:
        where = f"the tar ends at byte {start + len(block)} without the two empty blocks that mark its end"
        raise ArchiveError("truncated", where)
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError) as error:
        if is_first:
            raise NotAnArchiveError(
                f"{archive}: holds {describe_head(block)}; only tar archives are unpacked"
            ) from None
        raise ArchiveError("damaged", f"the header at byte {start} of the tar: {error}") from None
    if block[257:265] == _OLD_GNU_MAGIC and any(block[345:500]):
        # Old GNU headers keep times where others keep the first part of a name.
        name = block[:100].split(b"\x00", 1)[0].decode("utf-8", "surrogateescape")
        info.name = name.rstrip("/") if info.isdir() else name
    return info


def _require_end(stream: DecodedStream, start: int) -> None:
    """A tar ends with two empty blocks."""
    block = stream.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        raise ArchiveError("truncated", f"the tar ends at byte {start + 512 + len(block)}, inside its end mark")
    if any(block):
        raise ArchiveError("damaged", f"an empty block at byte {start} of the tar, but members may follow")


def _read_extended(stream: DecodedStream, info: tarfile.TarInfo, start: int) -> dict[str, str]:
    """What an extended header says about the next member."""
    if not 0 <= info.size <= _MAX_EXTENDED_BYTES:
        raise ArchiveError("damaged", f"the extended header at byte {start} of the tar claims {info.size} bytes")
    data = stream.read(info.size)
    stream.skip(info.size - len(data) + -info.size % tarfile.BLOCKSIZE)
    if info.type == tarfile.GNUTYPE_LONGNAME:
        return {"path": data.split(b"\x00", 1)[0].decode("utf-8", "surrogateescape")}
    if info.type in (tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE):
        return {}  # where a link leads does not matter: links are refused; and no member has its name from a global
    try:
        return _parse_records(data)
    except ValueError:
        raise ArchiveError("damaged", f"the extended header at byte {start} of the tar is malformed") from None


def _parse_records(data: bytes) -> dict[str, str]:
    """Those that matter of records such as `30 mtime=1321711775.9198899`, each of them a line."""
    records = {}
    position, end = 0, len(data.rstrip(b"\x00"))
    while position < end:
        match = _RECORD.match(data, position)
        if match is None:
            raise ValueError("no record")
        stop = position + int(match[1])
        if stop > len(data) or stop <= match.end() or data[stop - 1] != ord("\n"):
            raise ValueError("a record of another length")
        key = match[2].decode("utf-8", "surrogateescape")
        if key in ("path", "size"):
            records[key] = data[match.end() : stop - 1].decode("utf-8", "surrogateescape")
        elif key.startswith(_SPARSE):
            records[_SPARSE] = ""  # that there is one is all that matters
        position = stop
    return records


def _extend(info: tarfile.TarInfo, extended: dict[str, str], start: int) -> None:
    info.name = extended.get("path", info.name)
    size = extended.get("size", "0")
    if not re.fullmatch(r"[0-9]{1,19}", size):
        raise ArchiveError("damaged", f"the header at byte {start} of the tar claims a size of {size[:20]!r}")
    if "size" in extended:
        info.size = int(size)
    if _SPARSE in extended:
        info.type = tarfile.GNUTYPE_SPARSE


def _skip_sparse_map(stream: DecodedStream) -> None:
    """The further blocks of an old sparse header; each says whether one more follows."""
    while True:
        block = stream.read(tarfile.BLOCKSIZE)
        if len(block) < tarfile.BLOCKSIZE:
            raise ArchiveError("truncated", f"the tar ends at byte {stream.tell()}, inside a header")
        if not block[504]:
            return
