"""Where the blocks of an archive go: the blocks of a blob, staged under names that every run of the command knows."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from mrikit.errors import StorageError
from mrikit.storage import BlobPath, file_state
from mrikit.storage.blob import blob_client, blob_errors, error_code
from mrikit.transfer.copying.blocks import BlockPlan
from mrikit.transfer.link import Link

if TYPE_CHECKING:
    from azure.core.exceptions import AzureError


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
        if state is None:
            return False
        if state.size_bytes == self._plan.size_bytes:
            return True
        raise StorageError(
            f"{self._path}: is there already with {state.size_bytes} bytes, but the archive has "
            f"{self._plan.size_bytes}; delete it"
        )

    def present(self) -> frozenset[int]:
        """Blocks that are staged at the right size."""
        from azure.core.exceptions import ResourceNotFoundError

        numbers = {self._block_id(number): number for number in range(self._plan.num_blocks)}
        with blob_errors(self._path):
            try:
                _, staged = blob_client(self._path).get_block_list("uncommitted")
            except ResourceNotFoundError as error:
                if error_code(error) == "ContainerNotFound":
                    raise
                return frozenset()
        return frozenset(
            numbers[block.id]
            for block in staged
            if block.id in numbers and block.size == self._plan.span(numbers[block.id])[1]
        )

    def open(self) -> frozenset[int] | None:
        """Nothing to hold: see `present`."""
        return None if self.is_complete() else self.present()

    def put(self, number: int, data: memoryview) -> None:
        """Stage a block."""
        # The client sends any buffer as it is, although its types do not say so; a copy would double the memory.
        body = cast("bytes", data)
        with blob_errors(self._path):
            blob_client(self._path).stage_block(self._block_id(number), body, length=len(data))

    def put_from(self, link: Link, number: int) -> str | None:
        """Let the service fetch a block from the link itself.

        Returns:
            None if the block is staged; else why not, in words without the query of the link.
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

    def read_back(self, number: int, feed: Callable[[memoryview], object]) -> bool | None:
        """Staged blocks cannot be read."""
        del number, feed
        return None

    def commit(self, sha256: str | None) -> None:
        """Make a blob of the staged blocks."""
        from azure.core.exceptions import HttpResponseError
        from azure.storage.blob import BlobBlock

        blocks = [BlobBlock(self._block_id(number)) for number in range(self._plan.num_blocks)]
        metadata = {"mrikit_size": str(self._plan.size_bytes)} | ({"sha256": sha256} if sha256 else {})
        with blob_errors(self._path):
            try:
                blob_client(self._path).commit_block_list(blocks, metadata=metadata)
            except HttpResponseError as error:
                # Another copy of the same command has committed: its blocks are no longer staged.
                if error_code(error) != "InvalidBlockList" or not self.is_complete():
                    raise
        if not self.is_complete():
            raise StorageError(f"{self._path}: vanished after it was written; is another program at work there?")

    def close(self) -> None:
        """Nothing is held."""

    def _block_id(self, number: int) -> str:
        return f"{self._plan.key}-{number:06d}"


def _refusal(error: "AzureError") -> str:
    code = error_code(error)
    status = getattr(error, "status_code", None)
    word = code if re.fullmatch(r"[A-Za-z]{1,60}", code) else type(error).__name__
    return f"{status} {word}" if isinstance(status, int) else word
