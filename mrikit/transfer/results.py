"""What a copy says while it runs, and what has become of each archive."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

CopyState = Literal["copied", "present", "expired", "failed"]
"""`present`: it was there already, whole; `expired`: the link is too old, a new mail goes on from here."""

ChecksumState = Literal["ok", "mismatch", "unpublished", "not checked"]
"""`unpublished`: no digest is known to compare with; `not checked`: not all bytes passed through this process."""

EventKind = Literal["begin", "moved", "retry", "note", "end"]
"""`begin`: sizes are known; `moved`: more bytes have come, or fewer than was said; `retry`: something failed and is
tried again; `note`: worth saying once; `end`: this archive is over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyEvent:
    """Something happened to an archive."""

    kind: EventKind
    """What happened."""
    name: str
    """The archive, or "" for what concerns all of them."""
    num_bytes: int = 0
    """`begin`: bytes that are at the target already; `moved`: bytes that came since the last such event, less those
    that have to come again."""
    size_bytes: int = 0
    """`begin`: the whole archive."""
    message: str = ""
    """`retry`, `note` and `end`: what to tell the user, on one line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyResult:
    """What has become of one archive."""

    name: str
    """File name of the archive."""
    target: str
    """Where it is or will be: a path, or `az://container/key`."""
    state: CopyState
    """Whether it is there."""
    checksum: ChecksumState
    """Whether its SHA256 is the published one."""
    size_bytes: int
    """Of the whole archive; 0 if it could not be learnt."""
    moved_bytes: int
    """What this run brought to the target."""
    seconds: float
    """How long it took."""
    message: str = ""
    """Why it failed, expired or mismatches, on one line; empty if all is well."""
    sha256: str | None = None
    """Hex digest of what is at the target, if all bytes passed through this process."""
    is_unpacked: bool = False
    """Whether its members are there instead, with their manifest."""

    @property
    def is_ok(self) -> bool:
        """Whether the archive is there and nothing speaks against it."""
        return self.state in ("copied", "present") and self.checksum != "mismatch"


OnEvent = Callable[[CopyEvent], None]
"""Called from any thread, one call at a time."""


def judge_digest(name: str, expected: str | None, found: str | None) -> tuple[ChecksumState, str]:
    """The state of a checksum, and what to say of a mismatch."""
    if expected is None:
        return "unpublished", ""
    if found is None:
        return "not checked", ""
    if found.lower() == expected.lower():
        return "ok", ""
    return "mismatch", (
        f"{name}: SHA256 is {found[:12]}... but {expected[:12]}... is published; the archive is kept: `mrikit data "
        f"unpack` tells whether it is damaged, deleting it and copying again may mend it"
    )
