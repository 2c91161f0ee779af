"""Shards: the volumes of a folder shared out among processes that know nothing of each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mrikit.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """The part of the work that one process does."""

    rank: int = 0
    """Number of this process, from 0."""
    num_shards: int = 1
    """Number of processes."""

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.num_shards:
            found = f"{self.rank + 1} of {self.num_shards}"
            raise ConfigError(f"a shard is one of 1 to the number of shards, found {found}; write --shard 1/4")

    def __str__(self) -> str:
        return f"{self.rank + 1}/{self.num_shards}"


def parse_shard(text: str) -> Shard:
    """`1/4`, the first of four, as a Shard.

    Raises:
        ConfigError: It is not written so.
    """
    number, _, num_shards = text.partition("/")
    try:
        return Shard(rank=int(number) - 1, num_shards=int(num_shards))
    except ValueError as error:
        raise ConfigError(f"a shard is written number/shards, such as 1/4, found {text!r}") from error


def launched_shard(environment: Mapping[str, str]) -> Shard:
    """The part of a process that torchrun started, or another launcher that sets RANK and WORLD_SIZE; else everything.

    Raises:
        ConfigError: Only one of the two is set, or they are no numbers.
    """
    rank, world_size = environment.get("RANK"), environment.get("WORLD_SIZE")
    if rank is None and world_size is None:
        return Shard()
    try:
        return Shard(rank=int(rank or ""), num_shards=int(world_size or ""))
    except ValueError as error:
        found = f"RANK={rank} and WORLD_SIZE={world_size}"
        raise ConfigError(
            f"the environment sets {found}, of which both are whole numbers or neither is set; or give --shard"
        ) from error


def share(num_slices: Sequence[int], shard: Shard) -> list[int]:
    """The volumes of one process, as positions in order.

    The largest volume left goes to the process with the fewest slices: no process has more slices than another by more
    than its smallest volume.

    Args:
        num_slices: Of every volume; all processes see the same.
        shard: This process.
    """
    loads = [0] * shard.num_shards
    own = []
    for position in sorted(range(len(num_slices)), key=lambda position: -num_slices[position]):
        rank = loads.index(min(loads))
        # A volume costs something even if its slices could not be counted.
        loads[rank] += max(num_slices[position], 1)
        if rank == shard.rank:
            own.append(position)
    return sorted(own)
