"""How an archive is cut into blocks: the same way at every start, whatever signature its link has."""

import hashlib
from dataclasses import dataclass

_MOST_BLOCKS = 50_000  # that a blob may have


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockPlan:
    """The blocks of an archive; equal plans may go on with each other's work."""

    name: str
    """File name of the archive."""
    size_bytes: int
    """Of the archive."""
    version: str
    """What the source says that changes with its content, such as an ETag; "" if it says nothing."""
    block_bytes: int
    """Size of each block but the last."""

    @property
    def num_blocks(self) -> int:
        """0 for an empty archive."""
        return -(-self.size_bytes // self.block_bytes)

    @property
    def key(self) -> str:
        """24 hex digits that name this plan."""
        parts = (self.name, str(self.size_bytes), self.version, str(self.block_bytes))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]

    def span(self, number: int) -> tuple[int, int]:
        """First byte and number of bytes of a block."""
        start = number * self.block_bytes
        return start, min(self.block_bytes, self.size_bytes - start)

    def count_bytes(self, numbers: frozenset[int] | set[int]) -> int:
        """Bytes of these blocks together."""
        return sum(self.span(number)[1] for number in numbers)


def plan_blocks(name: str, size_bytes: int, version: str, block_bytes: int) -> BlockPlan:
    """Blocks of `block_bytes`, or of the least multiple of it with which a blob may hold the archive."""
    times = max(1, -(-size_bytes // (block_bytes * _MOST_BLOCKS)))
    return BlockPlan(name=name, size_bytes=size_bytes, version=version, block_bytes=block_bytes * times)
