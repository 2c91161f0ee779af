"""What a copy will do: sizes, what is there already, what is to come."""

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from mrikit.errors import ConfigError, MrikitError, StorageError, TransferError
from mrikit.storage import BlobPath, Location
from mrikit.transfer.copying.blocks import BlockPlan, plan_blocks
from mrikit.transfer.copying.copied import Copied, copied_before
from mrikit.transfer.copying.targets import open_target
from mrikit.transfer.http import Connections
from mrikit.transfer.mail import MailArchive
from mrikit.transfer.retry import Patience
from mrikit.transfer.selection import require_own_names
from mrikit.transfer.source import HttpSource, SourceFacts
from mrikit.words import in_bytes

_MARGIN_BYTES = 2**16  # what a file system needs besides the data


@dataclass(frozen=True, kw_only=True, slots=True)
class CopySettings:
    """How a copy goes about it; none of it changes the result."""

    num_connections: int = 8
    """To the source, all archives together, at least 1."""
    archives_at_once: int = 4
    """Archives on their way together, at least 1."""
    memory_bytes: int = 128 * 2**20
    """Blocks in memory together, at least one block; about 80 MiB for the program itself come on top."""
    max_rate: float | None = None
    """Bytes per second, all together; None for no bound."""
    block_bytes: int = 8 * 2**20
    """Size of a block, but for archives of more than 50,000 of them."""
    is_server_side: bool = True
    """Whether to let Azure fetch from the links itself, if it does; with `max_rate` it is not asked to."""
    patience: Patience = field(default_factory=Patience)
    """How long to try again."""

    def __post_init__(self) -> None:
        for name in ("num_connections", "archives_at_once", "block_bytes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; at least 1 is needed")
        if self.memory_bytes < self.block_bytes:
            raise ConfigError(f"memory is {self.memory_bytes} bytes; one block of {self.block_bytes} has to fit")
        if self.max_rate is not None and self.max_rate <= 0:
            raise ConfigError(f"max_rate is {self.max_rate} bytes per second; more than 0 is needed")


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedArchive:
    """What is known of an archive before anything is changed."""

    archive: MailArchive
    """What the mail says."""
    facts: SourceFacts | None = None
    """What its server says; None if it was not asked or refused."""
    blocks: BlockPlan | None = None
    """How it is cut; None without facts."""
    present_bytes: int = 0
    """At the target already."""
    space_bytes: int = 0
    """Of a local disk that it still takes."""
    copied: Copied | None = None
    """What an earlier run noted, where the archive is complete."""
    is_complete: bool = False
    """Whether it is at the target, whole."""
    error: MrikitError | None = None
    """Why it cannot be copied."""

    @property
    def size_bytes(self) -> int:
        """Of the archive; 0 if unknown."""
        if self.copied is not None:
            return self.copied.size_bytes
        return self.facts.size_bytes if self.facts else 0

    @property
    def missing_bytes(self) -> int:
        """Still to come; 0 if unknown."""
        return self.size_bytes - self.present_bytes


def plan_copy(
    archives: Sequence[MailArchive],
    to: Location,
    *,
    settings: CopySettings | None = None,
    on_retry: Callable[[str], None] = lambda _message: None,
) -> list[PlannedArchive]:
    """Ask the links for sizes and look at the target, with little patience; changes nothing.

    Args:
        archives: What to copy.
        to: A folder, or a prefix of blobs.
        settings: Bounds.
        on_retry: Called with what failed, on one line, before it is tried again; from any thread.

    Raises:
        ConfigError: The target cannot be used at all, or two archives have one name.
    """
    settings = settings or CopySettings()
    require_own_names(archives)
    _require_folder(to)
    connections = Connections(settings.num_connections, settings.patience)
    pool = ThreadPoolExecutor(settings.num_connections)
    try:
        return list(pool.map(lambda archive: _plan(archive, to, settings, connections, on_retry), archives))
    finally:
        connections.close()
        pool.shutdown(cancel_futures=True)


def require_space(plans: Sequence[PlannedArchive], to: Location) -> None:
    """Refuse what a local disk cannot hold.

    Raises:
        StorageError: More bytes are to come than are free.
    """
    if isinstance(to, BlobPath):
        return
    needed, free = sum(plan.space_bytes for plan in plans if plan.error is None), free_bytes(to)
    if needed and needed + _MARGIN_BYTES > free:
        raise StorageError(
            f"{to}: {in_bytes(needed)} are to come but only {in_bytes(free)} of disk are free; free some space"
            f"{_hidden_files(plans, to)}, choose another folder or fewer archives"
        )


def free_bytes(folder: Path) -> int:
    """Of the disk that will hold the folder.

    Raises:
        StorageError: There is none.
    """
    for place in (folder.absolute(), *folder.absolute().parents):
        if place.is_dir():
            return shutil.disk_usage(place).free
    raise StorageError(f"{folder}: no such disk")


def _require_folder(to: Location) -> None:
    """Refuse a file, or a folder below one."""
    if isinstance(to, BlobPath):
        return
    for place in (to, *to.parents):
        if place.exists() and not place.is_dir():
            raise ConfigError(f"{place}: a file, but archives go into a folder; choose another one")


def _hidden_files(plans: Sequence[PlannedArchive], folder: Path) -> str:
    """A hint at what earlier copies of other archives hold."""
    wanted = {f".{plan.archive.name}.partial" for plan in plans}
    others = [path for path in sorted(folder.glob(".*.partial")) if path.name not in wanted]
    return f" (earlier copies left {', '.join(path.name for path in others)})" if others else ""


def _plan(
    archive: MailArchive,
    to: Location,
    settings: CopySettings,
    connections: Connections,
    on_retry: Callable[[str], None],
) -> PlannedArchive:
    patience = settings.patience.briefly()
    source = HttpSource(archive.link, name=archive.name, connections=connections, patience=patience, on_retry=on_retry)
    try:
        copied = copied_before(to, archive.name)
        if copied is not None:
            return PlannedArchive(archive=archive, present_bytes=copied.size_bytes, copied=copied, is_complete=True)
        facts = source.facts
        blocks = plan_blocks(archive.name, facts.size_bytes, facts.version, settings.block_bytes)
        target = open_target(to, blocks)
        is_complete = target.is_complete()
        present = facts.size_bytes if is_complete else blocks.count_bytes(target.present())
        space = 0 if is_complete else target.space_bytes()
    except (TransferError, StorageError) as error:
        return PlannedArchive(archive=archive, error=error)
    return PlannedArchive(
        archive=archive,
        facts=facts,
        blocks=blocks,
        present_bytes=present,
        space_bytes=space,
        is_complete=is_complete,
    )
