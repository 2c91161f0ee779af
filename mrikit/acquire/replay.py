"""Replay: past decisions as places in the data and packed masks."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from mrikit.errors import ConfigError, DataError

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Transitions:
    """Some decisions and what came of them."""

    volume_index: npt.NDArray[np.int32]
    """(batch,) the volume, counted as the training data counts."""
    slice_index: npt.NDArray[np.int32]
    """(batch,) the slice in it."""
    mask: npt.NDArray[np.bool_]
    """(batch, phase) the lines measured before the decision."""
    line: npt.NDArray[np.int32]
    """(batch,) the line chosen."""
    num_decisions: npt.NDArray[np.int32]
    """(batch,) decisions of the episode before this one."""
    reward: npt.NDArray[np.float32]
    """(batch,) gain of the score."""
    is_done: npt.NDArray[np.bool_]
    """(batch,) whether the episode ended with it."""

    @property
    def next_mask(self) -> npt.NDArray[np.bool_]:
        """(batch, phase) bool, the lines measured after the decision."""
        after = self.mask.copy()
        after[np.arange(len(after)), self.line] = True
        return after


class Replay:
    """The last `capacity` transitions, from which any are drawn with the same chance.

    Images are left out: `volume_index`, `slice_index` and a mask are all that is needed to make one again. The
    published buffer holds two images of float32 for each transition, of 640 x 368 about 3.8 MB, this one 67 bytes.

    Args:
        capacity: Transitions that are kept, at least 1; a further one takes the place of the oldest.
        width: Columns of k-space.
    """

    def __init__(self, capacity: int, width: int) -> None:
        if capacity < 1 or width < 1:
            raise ConfigError(f"a replay needs capacity >= 1 and width >= 1, found {capacity} and {width}")
        self.capacity, self.width = capacity, width
        self._arrays: Arrays = {
            "volume_index": np.zeros(capacity, np.int32),
            "slice_index": np.zeros(capacity, np.int32),
            "mask": np.zeros((capacity, -(-width // 8)), np.uint8),
            "line": np.zeros(capacity, np.int32),
            "num_decisions": np.zeros(capacity, np.int32),
            "reward": np.zeros(capacity, np.float32),
            "is_done": np.zeros(capacity, np.bool_),
        }
        self._num_added = 0

    def __len__(self) -> int:
        """Transitions that it holds."""
        return min(self._num_added, self.capacity)

    @property
    def size_bytes(self) -> int:
        """Memory of all that is kept when it is full, which is taken at once."""
        return sum(array.nbytes for array in self._arrays.values())

    def add(self, transitions: Transitions) -> None:
        """Keep some more, in their order.

        Raises:
            DataError: Masks of another width, or fields of different lengths.
        """
        given = {field.name: getattr(transitions, field.name) for field in fields(Transitions)}
        batch = len(given["line"])
        if given["mask"].shape != (batch, self.width) or any(len(array) != batch for array in given.values()):
            shapes = {name: array.shape for name, array in given.items()}
            raise DataError(
                f"a replay of width {self.width} needs masks (batch, width) and as many others, got {shapes}"
            )
        given["mask"] = np.packbits(given["mask"], axis=-1)
        kept = slice(max(0, batch - self.capacity), None)
        places = (self._num_added + np.arange(batch)[kept]) % self.capacity
        for name, array in self._arrays.items():
            array[places] = given[name][kept]
        self._num_added += batch

    def sample(self, batch_size: int, rng: np.random.Generator) -> Transitions:
        """Transitions drawn with replacement, each with the same chance.

        Args:
            batch_size: How many.
            rng: From which as many numbers are drawn.

        Raises:
            DataError: Nothing was added yet.
        """
        if not len(self):
            raise DataError("nothing to replay yet; add transitions before sampling")
        rows = rng.integers(0, len(self), batch_size)
        drawn = {name: array[rows] for name, array in self._arrays.items()}
        drawn["mask"] = np.unpackbits(drawn["mask"], axis=-1, count=self.width).view(np.bool_)
        return Transitions(**drawn)

    def state(self) -> Arrays:
        """Copies of all that it holds, by name; of a replay that is not full, only the part in use."""
        used = {name: array[: len(self)].copy() for name, array in self._arrays.items()}
        facts = {"capacity": self.capacity, "width": self.width, "num_added": self._num_added}
        return used | {name: np.array(value) for name, value in facts.items()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go on from what `state` gave: what is drawn and replaced from now on is the same.

        Raises:
            DataError: A state that lacks something, or of another capacity or width.
        """
        missing = [name for name in (*self._arrays, "capacity", "width", "num_added") if name not in state]
        if missing:
            raise DataError(f"the state of a replay lacks {', '.join(missing)}; what `Replay.state` gave would do")
        if (found := (int(state["capacity"]), int(state["width"]))) != (self.capacity, self.width):
            raise DataError(
                f"the state of a replay of capacity {found[0]} and width {found[1]} does not fit one of "
                f"{self.capacity} and {self.width}; make the replay as it was"
            )
        self._num_added = int(state["num_added"])
        for name, array in self._arrays.items():
            array[: len(self)] = state[name]
