"""What the options of `mrikit data copy` mean, and which of them do not go together."""

import math
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mrikit.errors import ConfigError
from mrikit.storage import BlobPath, Location
from mrikit.words import in_bytes

if TYPE_CHECKING:
    from mrikit.transfer.copying.stream import CopySettings
    from mrikit.transfer.datafactory import DataFactorySettings

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]I?)?B?(/S)?", re.IGNORECASE)
_MB, _MIB = 10**6, 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyOptions:
    """The options as they were given; None where they were not."""

    engine: str
    """stream or datafactory."""
    keep_archives: bool | None
    """Whether archives stay once they are unpacked."""
    volumes: int | None
    """Volumes to take from each archive."""
    connections: int | None
    """To the source."""
    archives_at_once: int | None
    """Archives on their way together."""
    max_rate: str | None
    """Such as 50MB/s."""
    memory: str | None
    """Such as 192MB."""

    @property
    def mode(self) -> Literal["copy", "unpack", "volumes"]:
        """Keep the archives; unpack and delete each; or take volumes from the links without keeping any archive."""
        if self.volumes is not None:
            return "volumes"
        return "unpack" if self.keep_archives is False else "copy"

    def require_sense(self, to: Location) -> None:
        """Refuse what does not go together.

        Raises:
            ConfigError: On one line.
        """
        if self.engine not in ("stream", "datafactory"):
            raise ConfigError(f"--engine {self.engine}: stream or datafactory is needed")
        if self.volumes is not None and self.keep_archives:
            raise ConfigError("--volumes takes volumes from the links and keeps no archive; leave out --keep-archives")
        if self.volumes is not None and (self.max_rate or self.memory or self.connections):
            raise ConfigError(
                "--volumes reads with bounds of its own; leave out --max-rate, --memory and --connections"
            )
        if self.engine == "stream":
            return
        if not isinstance(to, BlobPath):
            raise ConfigError(
                f"--engine datafactory copies into Blob, found --to {to}; give --to az://container/prefix"
            )
        if self.volumes is not None:
            raise ConfigError("--volumes needs --engine stream; Data Factory copies whole archives")
        if self.connections or self.max_rate or self.memory:
            raise ConfigError(
                "--connections, --max-rate and --memory bound this machine; Data Factory has its own bounds"
            )

    def settings(self) -> "CopySettings":
        """The bounds of a stream.

        Raises:
            ConfigError: They make no sense.
        """
        from mrikit.transfer.copying.stream import CopySettings

        usual = CopySettings()
        return CopySettings(
            num_connections=usual.num_connections if self.connections is None else self.connections,
            archives_at_once=usual.archives_at_once if self.archives_at_once is None else self.archives_at_once,
            max_rate=None if self.max_rate is None else parse_quantity(self.max_rate, "--max-rate", "50MB/s"),
            memory_bytes=usual.memory_bytes
            if self.memory is None
            else parse_memory(self.memory, "--memory", "192MB", usual.block_bytes),
        )

    def engine_settings(self) -> "CopySettings | DataFactorySettings":
        """The settings of the engine that was chosen.

        Raises:
            ConfigError: They make no sense.
        """
        if self.engine != "datafactory":
            return self.settings()
        from mrikit.transfer.datafactory import DataFactorySettings

        num_runs = self.archives_at_once or DataFactorySettings().num_runs
        return DataFactorySettings(num_runs=num_runs, unpacks=self.mode == "unpack")

    def unpack_memory_bytes(self) -> int | None:
        """What --memory leaves for unpacking, which goes on beside the stream; None for what is usual there.

        Raises:
            ConfigError: It makes no sense.
        """
        return None if self.memory is None else self.settings().memory_bytes


def parse_memory(text: str, option: str, example: str, least_bytes: int) -> int:
    """Bytes of this machine's memory, such as 192MB; what is meant by 8MB may be 8 MiB, where that is the least.

    Raises:
        ConfigError: It is something else, less than `least_bytes`, or more than the machine has.
    """
    found = int(parse_quantity(text, option, example))
    has_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if found > has_bytes:
        raise ConfigError(
            f"{option} {text}: this machine has {in_bytes(has_bytes)}; give a part of it, such as {example}"
        )
    if found < least_bytes * _MB / _MIB:
        raise ConfigError(f"{option} {text}: at least {math.ceil(least_bytes / _MIB)}MB is needed")
    return max(found, least_bytes)


def parse_quantity(text: str, option: str, example: str) -> float:
    """Bytes, or bytes per second, such as 192MB, 1GiB or 50MB/s.

    Raises:
        ConfigError: It is something else.
    """
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or bool(match[3]) != example.endswith("/s"):
        raise ConfigError(f"{option} {text}: a number with a unit is needed, such as {example}")
    found = float(match[1]) * _UNITS[(match[2] or "").upper()]
    if not found:
        raise ConfigError(f"{option} {text}: more than 0 is needed, such as {example}")
    return found
