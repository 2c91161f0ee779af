"""What is drawn for an episode: its slice and its number of given lines; our way and the published one."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from mrikit.randomness import generator

_PUBLISHED_OFFSET = {"all": 0, "train": 0, "val": 1, "test": 2}


class Draw(NamedTuple):
    """One episode."""

    position: int
    """Of its slice."""
    num_lines: int
    """Given."""


class Chance(Protocol):
    """Decides which episodes come, for each row of a batch."""

    def reseed(self, row: int, seed: int) -> None:
        """Begin the row's episodes anew."""
        ...

    def draw(self, rows: Sequence[int], split: str, num_slices: int, num_lines: tuple[int, int]) -> list[Draw]:
        """The next episode of each row, with a number of lines between the fewest and the most."""
        ...


class KeyedChance:
    """Each row goes through all slices in an order of its own, a new one each time.

    Everything is a function of the row's seed, the split and the number of the episode, so that no split moves when
    another is used, and no two have the same order.
    """

    def __init__(self) -> None:
        self._episodes: dict[int, tuple[int, int]] = {}

    def reseed(self, row: int, seed: int) -> None:
        """Begin the row's episodes anew."""
        self._episodes[row] = (seed, 0)

    def draw(self, rows: Sequence[int], split: str, num_slices: int, num_lines: tuple[int, int]) -> list[Draw]:
        """The next episode of each row."""
        return [self._draw(row, split, num_slices, num_lines) for row in rows]

    def _draw(self, row: int, split: str, num_slices: int, num_lines: tuple[int, int]) -> Draw:
        seed, episode = self._episodes[row]
        self._episodes[row] = (seed, episode + 1)
        round_number, place = divmod(episode, num_slices)
        order = generator(seed, split, "order", round_number).permutation(num_slices)
        lines = generator(seed, split, "lines", episode).integers(num_lines[0], num_lines[1] + 1)
        return Draw(int(order[place]), int(lines))


class PublishedChance:
    """The order and the given lines of active-mri-acquisition, with its leak, to repeat published numbers.

    The splits are in orders of seed, seed + 1 and seed + 2, each repeated without end; a reseeding gives all three the
    same seed, so that evaluation moves the training too. One generator draws the lines of all splits, in pairs. (There
    val and test have no seed at all where the seed is 0; here they have 1 and 2.)

    Source:
        Pineda et al., Active MR k-space sampling with reinforcement learning, MICCAI 2020, arXiv:2007.10469.

    Args:
        seed: Until the first reseeding.
    """

    def __init__(self, seed: int) -> None:
        self._lines = np.random.RandomState(seed)
        self._seeds = {split: seed + offset for split, offset in _PUBLISHED_OFFSET.items()}
        self._next = dict.fromkeys(_PUBLISHED_OFFSET, 0)

    def reseed(self, row: int, seed: int) -> None:
        """All splits begin anew with one seed; the rows of a batch share it, and the first one's counts."""
        if row == 0:
            self._lines = np.random.RandomState(seed)
            self._seeds = dict.fromkeys(_PUBLISHED_OFFSET, seed)
            self._next = dict.fromkeys(_PUBLISHED_OFFSET, 0)

    def draw(self, rows: Sequence[int], split: str, num_slices: int, num_lines: tuple[int, int]) -> list[Draw]:
        """The next episodes of the split, for the rows in their order."""
        order = np.random.RandomState(self._seeds[split]).permutation(num_slices)
        first = self._next[split]
        self._next[split] += len(rows)
        pairs = self._lines.randint(num_lines[0] // 2, num_lines[1] // 2 + 1, size=len(rows))
        return [
            Draw(int(order[(first + place) % num_slices]), 2 * int(pair)) for place, pair in enumerate(pairs.tolist())
        ]
