"""What may be wrong with an archive."""

from typing import Literal

from mrikit.errors import DataError, TransferError

ArchiveState = Literal["whole", "truncated", "damaged", "trailing bytes", "stopped", "partial"]
"""What the archive's own end and checks say.

`whole`: it came to its end, and no check of what was decoded failed; parts with nothing but finished members may have
been skipped, and a plain tar checks nothing but its headers; `truncated`: it ends too early; `damaged`: a check or a
header failed; `trailing bytes`: whole, but something follows; `stopped`: its end was not asked for; `partial`: an
unpack that was interrupted, or still goes on.
"""


class ArchiveError(TransferError):
    """The archive cannot be read on from here.

    Args:
        state: In what way.
        where: In which place, and why; one line without the archive's name.
    """

    def __init__(self, state: ArchiveState, where: str) -> None:
        super().__init__(f"{state}: {where}")
        self.state, self.where = state, where


class LimitError(DataError):
    """Nothing is wrong with the archive, but it takes more than it was allowed; one line without its name."""


class NotAnArchiveError(DataError):
    """Another kind of file."""
