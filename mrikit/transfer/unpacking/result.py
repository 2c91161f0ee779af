"""How to unpack, what is said meanwhile, and what has become of an archive."""

import os
from dataclasses import dataclass

from mrikit.errors import ConfigError
from mrikit.transfer.unpacking.manifest import Manifest, Member


@dataclass(frozen=True, kw_only=True, slots=True)
class UnpackSettings:
    """How to unpack."""

    num_workers: int = os.cpu_count() or 1
    """Threads that read and decode."""
    memory_bytes: int = 2**30
    """For the blocks of .xz archives in flight, all archives together; 60 MiB for each archive come on top."""
    max_expansion: float = 50.0
    """An archive that unpacks to more than this many times its size, and 64 MiB, is taken for a decompression bomb."""
    num_volumes: int | None = None
    """Stop after so many files; None for all."""

    def __post_init__(self) -> None:
        for name in ("num_workers", "memory_bytes", "num_volumes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} = {value}: at least 1 is needed")
        if not self.max_expansion > 0:
            raise ConfigError(f"max_expansion = {self.max_expansion}: more than 0 is needed")


@dataclass(frozen=True, kw_only=True, slots=True)
class UnpackEvent:
    """An unpack has gone on."""

    archive: str
    """File name of the archive."""
    position_bytes: int
    """How much of the archive has been used."""
    member: Member | None = None
    """What was just finished."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UnpackResult:
    """What has become of an archive."""

    manifest: Manifest
    """States and members."""
    num_written: int
    """Files that this run wrote; the others were there."""
    written_bytes: int
    """Size of those."""
    seconds: float
    """How long it took."""

    @property
    def is_ok(self) -> bool:
        """Whether nothing speaks against it."""
        return self.manifest.is_ok

    @property
    def is_settled(self) -> bool:
        """Whether the archive is not needed any more: its end was reached, too."""
        return self.is_ok and self.manifest.archive.state == "whole"
