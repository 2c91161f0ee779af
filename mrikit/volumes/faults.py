"""Faults: what kind of thing is wrong with a file, and what would do about it."""

import errno
import json
from dataclasses import asdict, dataclass
from typing import ClassVar

from mrikit.errors import DataError

_MEND = "mend what the message names, or leave it out"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Why a file cannot be read, in words that the index keeps."""

    message: str
    """On one line; it begins with the path."""
    kind: str = "content"
    """`damage`, `lock`, `access`, `format`, `header`, or `content` for what only the message says."""
    remedy: str = _MEND
    """What would do."""

    @property
    def passes(self) -> bool:
        """Whether nothing is known of the file itself, so that it may be read another time."""
        return self.kind in (LockError.kind, AccessError.kind)


class FaultError(DataError):
    """A file cannot be read for a reason of a known kind; its remedy may be given where it is raised."""

    kind: ClassVar[str] = "content"
    remedy: str = _MEND

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy or self.remedy


class DamageError(FaultError):
    """Bytes are missing or wrong."""

    kind = "damage"
    remedy = "copy or unpack it again, or leave it out"


class LockError(FaultError):
    """Somebody writes it."""

    kind = "lock"
    remedy = "wait until the program that writes it has closed it"


class AccessError(FaultError):
    """The system does not give it."""

    kind = "access"
    remedy = "look after the disk or the network, then try again"


class FormatError(FaultError):
    """It is whole, but of a form that is not read."""

    kind = "format"
    remedy = "bring its array in with `mrikit data import FILE --axes ...`, or leave it out"


class HeaderError(FaultError):
    """Its header does not say what it has to."""

    kind = "header"
    remedy = "mend the header, or bring the array in without it: `mrikit data import FILE --axes ...`"


def fault_of(error: DataError) -> Fault:
    """What an error of a reader says of its file."""
    if isinstance(error, FaultError):
        return Fault(message=str(error), kind=error.kind, remedy=error.remedy)
    return Fault(message=str(error))


def at_path(error: DataError, path: object) -> DataError:
    """The same error, its message beginning with the path of its file."""
    if str(error).startswith(str(path)):
        return error
    message = f"{path}: {error}"
    return type(error)(message, error.remedy) if isinstance(error, FaultError) else type(error)(message)


def system_fault(message: str, error: OSError) -> DataError:
    """What the system refuses: because of permissions, of a disk or network that fails, or because nothing is there."""
    message = f"{message}: {error.strerror or error}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return AccessError(message, "make it readable for you, such as with `chmod u+r`")
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
        return DataError(message)
    return AccessError(message)


def dump_fault(error: DataError) -> str:
    """JSON of what an error says of its file."""
    return json.dumps(asdict(fault_of(error)))


def load_fault(line: str) -> Fault:
    """What `dump_fault` wrote, or an older index, which kept the message alone."""
    known = json.loads(line)
    return Fault(message=known) if isinstance(known, str) else Fault(**known)
