"""What a scan shows, as its header, its protocol and the name of its file have it."""

import re

from mrikit.errors import DataError
from mrikit.volumes.fastmri import ANATOMY_OF_PROTOCOL
from mrikit.volumes.snu import ANATOMIES
from mrikit.volumes.volume import ScanInfo

_ANATOMY_OF_BODY_PART = {"head": "brain"}
"""Other words of DICOM for the same."""


def anatomy_of(info: ScanInfo) -> str | None:
    """The anatomy in lower case, such as `knee`; None if neither header nor protocol nor file name says it.

    Raises:
        DataError: The file's name says `knee` and its header `brain`, or the other way round.
    """
    named, stated = named_anatomy(info.volume_id), _stated(info)
    if named and stated in ANATOMIES and stated != named:
        raise DataError(
            f"{info.source or info.volume_id}: the name says {named} and the header {stated}; rename the file, or mend "
            f"its header"
        )
    return stated or named


def named_anatomy(name: str) -> str | None:
    """The anatomy that is a word of a name; None if there is none, or more than one."""
    words = set(re.split(r"[\W\d_]+", name.lower()))
    found = [anatomy for anatomy in ANATOMIES if anatomy in words]
    return found[0] if len(found) == 1 else None


def _stated(info: ScanInfo) -> str | None:
    """What the header says, or else the name of the protocol."""
    if info.anatomy:
        word = info.anatomy.strip().lower()
        return named_anatomy(word) or _ANATOMY_OF_BODY_PART.get(word, word)
    protocol = info.acquisition or ""
    by_fastmri = (anatomy for start, anatomy in ANATOMY_OF_PROTOCOL.items() if protocol.startswith(start))
    return named_anatomy(protocol) or next(by_fastmri, None)
