"""What the options of `mrikit data copy` mean, and which of them do not go together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from mrikit.errors import ConfigError
from mrikit.storage import BlobPath, Location

if TYPE_CHECKING:
    from mrikit.transfer.copying.stream import CopySettings
    from mrikit.transfer.mail import MailArchive

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*(|K|M|G|KI|MI|GI)B?(/S)?", re.IGNORECASE)


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
            else int(parse_quantity(self.memory, "--memory", "192MB")),
        )


def parse_quantity(text: str, option: str, example: str) -> float:
    """Bytes, or bytes per second, such as 192MB, 1GiB or 50MB/s.

    Raises:
        ConfigError: It is something else.
    """
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or bool(match[3]) != example.endswith("/s"):
        raise ConfigError(f"{option} {text}: a number with a unit is needed, such as {example}")
    return float(match[1]) * _UNITS[match[2].upper()]


def choose_archives(archives: "Sequence[MailArchive]", only: Sequence[str]) -> "list[MailArchive]":
    """Archives by name, with or without suffix; a name without its `_batch_0` means all batches, `*` anything.

    Raises:
        ConfigError: A name that no archive of the mail has.
    """
    offered = [one for one in archives if not one.is_checksums]
    if not offered:
        raise ConfigError("the mail offers a list of digests but no archive; paste all of it")
    unknown = [name for name in only if not any(_is_meant(one.name, name) for one in offered)]
    if unknown:
        names = [one.name for one in offered]
        near = get_close_matches(unknown[0], names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"it offers {', '.join(names[:4])}{', ...' if names[4:] else ''}"
        raise ConfigError(f"--only {unknown[0]}: not in the mail; {hint}")
    return [one for one in offered if not only or any(_is_meant(one.name, name) for name in only)]


def _is_meant(name: str, wanted: str) -> bool:
    from mrikit.transfer.catalogue import archive_stem

    stem = archive_stem(name)
    return fnmatchcase(name, wanted) or fnmatchcase(stem, wanted) or stem.startswith(f"{wanted}_batch")
