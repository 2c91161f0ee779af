"""Where the blocks of an archive go."""

from typing import Protocol

from mrikit.storage import Location
from mrikit.storage.location import BlobPath
from mrikit.transfer.copying.blocks import BlockPlan
from mrikit.transfer.copying.folder_target import FolderTarget


class Target(Protocol):
    """The place of one archive; `put` may be called from many threads, the rest from one."""

    @property
    def location(self) -> str:
        """Path or URI of the whole archive."""

    def is_complete(self) -> bool:
        """Whether the archive is there already, whole; changes nothing.

        Raises:
            StorageError: Something else is there under its name.
        """

    def present(self) -> frozenset[int]:
        """Blocks that are there; changes nothing.

        Raises:
            StorageError: It cannot be known.
        """

    def space_bytes(self) -> int:
        """What the archive still takes of a local disk; changes nothing."""

    def open(self) -> frozenset[int] | None:
        """Take hold of the place.

        Returns:
            Blocks that are there; None if the archive is complete and nothing is held.

        Raises:
            StorageError: It cannot be written, or someone else holds it.
        """

    def put(self, number: int, data: memoryview) -> None:
        """Write a block; once it returns the block survives a kill.

        Raises:
            StorageError: It cannot be written.
        """

    def commit(self, sha256: str | None) -> None:
        """Make the archive whole, under its name.

        Raises:
            StorageError: It cannot be written, is not as large as it has to be, or something else has its name by now.
        """

    def close(self) -> None:
        """Let go of the place; blocks that are there stay."""


def open_target(folder: Location, plan: BlockPlan) -> Target:
    """The place of an archive in a folder or below a prefix."""
    if isinstance(folder, BlobPath):
        from mrikit.transfer.copying.blob_target import BlobTarget

        return BlobTarget(folder / plan.name, plan)
    return FolderTarget(folder, plan)
