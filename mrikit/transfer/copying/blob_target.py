"""Where the blocks of an archive go: the blocks of a blob, staged under names that every run of the command knows."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from mrikit.errors import StorageError
from mrikit.storage import BlobPath, file_state, remove
from mrikit.storage.blob import blob_client, blob_errors, error_code
from mrikit.transfer.copying.blocks import BlockPlan
from mrikit.transfer.link import Link

if TYPE_CHECKING:
    from azure.core.exceptions import AzureError
    from azure.storage.blob import BlobBlock

_REFUSED_FOR_GOOD = frozenset({400, 403, 404, 409})
_PLACE_HOLDER = "mrikit_discarding"
"""Metadata of an empty blob that is there for a moment only."""
_MOST_STAGED = 100_000  # blocks that a blob may have without being committed


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why the service has not fetched a block from a link."""

    reason: str
    """In words, without the query of the link."""
    is_for_good: bool
    """Whether it would refuse every block of every link like this one."""


class BlobTarget:
    """Blocks that are staged but not committed survive a kill, for a week.

    Two copies at once stage the same bytes under the same names, and the second one to commit finds the blob done.
    """

    def __init__(self, path: BlobPath, plan: BlockPlan) -> None:
        self._path, self._plan = path, plan

    @property
    def location(self) -> str:
        """URI of the archive."""
        return str(self._path)

    def is_complete(self) -> bool:
        """Whether the blob is there at its full size.

        Raises:
            StorageError: A blob of another size is there.
        """
        state = file_state(self._path)
        if state is None or _PLACE_HOLDER in state.metadata:
            return False
        if state.size_bytes == self._plan.size_bytes:
            return True
        raise StorageError(
            f"{self._path}: is there already with {state.size_bytes} bytes, but the archive has "
            f"{self._plan.size_bytes}; delete it"
        )

    def present(self) -> frozenset[int]:
        """Blocks that are staged at the right size."""
        numbers = {self._block_id(number): number for number in range(self._plan.num_blocks)}
        return frozenset(
            numbers[block.id]
            for block in self._staged()
            if block.id in numbers and block.size == self._plan.span(numbers[block.id])[1]
        )

    def space_bytes(self) -> int:
        """None of a local disk."""
        return 0

    def open(self) -> frozenset[int] | None:
        """Nothing to hold: see `present`."""
        if self.is_complete():
            return None
        self._remove_place_holder()  # of one that was killed between the two steps of discarding
        self._discard_foreign_blocks()
        return self.present()

    def put(self, number: int, data: memoryview) -> None:
        """Stage a block."""
        # The client sends any buffer as it is, although its types do not say so; a copy would double the memory.
        body = cast("bytes", data)
        with blob_errors(self._path):
            blob_client(self._path).stage_block(self._block_id(number), body, length=len(data))

    def put_from(self, link: Link, number: int) -> Refusal | None:
        """Let the service fetch a block from the link itself.

        Returns:
            None if the block is staged; else why not.
        """
        from azure.core.exceptions import AzureError

        start, count = self._plan.span(number)
        try:
            blob_client(self._path).stage_block_from_url(
                self._block_id(number), link.reveal(), source_offset=start, source_length=count
            )
        except AzureError as error:
            # Its text and what it holds quote the link: nothing of it may be chained.
            return _refusal(error)
        return None

    def commit(self, sha256: str | None) -> None:
        """Make a blob of the staged blocks."""
        from azure.core import MatchConditions
        from azure.core.exceptions import HttpResponseError
        from azure.storage.blob import BlobBlock

        blocks = [BlobBlock(self._block_id(number)) for number in range(self._plan.num_blocks)]
        metadata = {"mrikit_size": str(self._plan.size_bytes)} | ({"sha256": sha256} if sha256 else {})
        with blob_errors(self._path):
            try:
                blob_client(self._path).commit_block_list(
                    blocks, metadata=metadata, match_condition=MatchConditions.IfMissing
                )
            except HttpResponseError as error:
                # Another copy of the same command may have committed: its blocks are no longer staged.
                if error_code(error) not in ("InvalidBlockList", "BlobAlreadyExists", "ConditionNotMet"):
                    raise
                if not self._is_by_the_same_command():
                    raise
        if not self.is_complete():
            raise StorageError(f"{self._path}: vanished after it was written; is another program at work there?")

    def _is_by_the_same_command(self) -> bool:
        state = file_state(self._path)
        if state is None:
            return False
        if state.metadata.get("mrikit_size") != str(self._plan.size_bytes):
            raise StorageError(
                f"{self._path}: has appeared while it was copied, which dropped the blocks that were staged; delete it "
                f"and give the same command again, or choose another prefix"
            )
        return True

    def _staged(self) -> "list[BlobBlock]":
        from azure.core.exceptions import ResourceNotFoundError

        with blob_errors(self._path):
            try:
                _, staged = blob_client(self._path).get_block_list("uncommitted")
            except ResourceNotFoundError as error:
                if error_code(error) == "ContainerNotFound":
                    raise
                return []
        return staged

    def _discard_foreign_blocks(self) -> None:
        """The service would refuse our blocks beside some of another program with longer names, or too many of them."""
        from azure.core import MatchConditions

        staged = self._staged()
        own_ids = {self._block_id(number) for number in range(self._plan.num_blocks)}
        num_foreign = sum(block.id not in own_ids for block in staged)
        is_other_length = any(len(block.id) != len(self._block_id(0)) for block in staged)
        if not is_other_length and num_foreign + self._plan.num_blocks <= _MOST_STAGED:
            return
        # What a commit leaves out is gone. A blob that has appeared meanwhile stays.
        with blob_errors(self._path):
            blob_client(self._path).commit_block_list(
                [], metadata={_PLACE_HOLDER: "1"}, match_condition=MatchConditions.IfMissing
            )
        self._remove_place_holder()

    def _remove_place_holder(self) -> None:
        state = file_state(self._path)
        if state is not None and _PLACE_HOLDER in state.metadata:
            remove(self._path, if_version=state.version)

    def close(self) -> None:
        """Nothing is held."""

    def _block_id(self, number: int) -> str:
        return f"{self._plan.key}-{number:06d}"


def _refusal(error: "AzureError") -> Refusal:
    code = error_code(error)
    status = getattr(error, "status_code", None)
    word = code if re.fullmatch(r"[A-Za-z]{1,60}", code) else type(error).__name__
    return Refusal(
        reason=f"{status} {word}" if isinstance(status, int) else word, is_for_good=status in _REFUSED_FOR_GOOD
    )
