"""The SHA256 of an archive whose blocks come in any order."""

import hashlib
import threading
from collections.abc import Callable


class InOrderDigest:
    """Takes blocks as they come, and hashes each when all before it are hashed.

    Whichever thread brings the next one hashes it, and those behind it that wait. What waits is held in memory; where
    it can be read back from the target, only so many blocks are.

    Args:
        num_blocks: Of the archive.
        present: Blocks that the target holds from an earlier run.
        read_back: See `Target.read_back`; None where nothing can be read back.
        on_damage: Called with the number of a block that is not as it was written; it has to come again.
        most_held: Blocks that wait in memory although they could be read back.
    """

    def __init__(
        self,
        num_blocks: int,
        present: frozenset[int],
        read_back: Callable[[int, Callable[[memoryview], object]], bool] | None,
        on_damage: Callable[[int], None],
        most_held: int = 0,
    ) -> None:
        self._num_blocks, self._read_back, self._on_damage = num_blocks, read_back, on_damage
        self._most_held = most_held
        self._ready = set(present)
        self._held: dict[int, tuple[memoryview, Callable[[], None]]] = {}
        self._next = 0
        self._is_busy = self._is_dropped = False
        self._digest = hashlib.sha256()
        self._lock = threading.Lock()

    @property
    def position(self) -> int:
        """The block that is to be hashed next."""
        with self._lock:
            return self._next

    @property
    def is_memory_bound(self) -> bool:
        """Whether blocks that wait to be hashed are held in memory."""
        with self._lock:
            return self._read_back is None and not self._is_dropped

    @property
    def hexdigest(self) -> str | None:
        """Of the whole archive; None as long as it is not complete."""
        with self._lock:
            is_whole = self._next == self._num_blocks and not self._is_dropped
            return self._digest.hexdigest() if is_whole else None

    def add(self, number: int, data: memoryview, release: Callable[[], None]) -> None:
        """A block is at the target; `release` is called when `data` is no longer needed."""
        with self._lock:
            is_next = number == self._next and not self._is_busy
            is_room = self._read_back is None or is_next or len(self._held) < self._most_held
            is_held = not self._is_dropped and is_room
            if is_held:
                self._held[number] = (data, release)
            else:
                self._ready.add(number)
        if not is_held:
            release()
        self.advance()

    def advance(self) -> None:
        """Hash what can be hashed, unless another thread does."""
        with self._lock:
            if self._is_busy:
                return
            self._is_busy = True
        while (step := self._next_step()) is not None:
            number, data, release = step
            if data is None:
                self._hash_from_target(number)
            else:
                self._digest.update(data)
                release()
                with self._lock:
                    self._next += 1

    def drop(self) -> None:
        """Give up: there will be no digest, and nothing is held."""
        with self._lock:
            self._is_dropped = True
            held = list(self._held.values())
            self._held.clear()
        for _, release in held:
            release()

    def _next_step(self) -> tuple[int, memoryview | None, Callable[[], None]] | None:
        """The next block, its bytes where they are held; None, and nobody is busy, if it is not there yet."""
        with self._lock:
            number = self._next
            if number in self._held:
                data, release = self._held.pop(number)
                return number, data, release
            if number in self._ready and not self._is_dropped and self._read_back is not None:
                self._ready.discard(number)
                return number, None, _nothing
            self._is_busy = False
            return None

    def _hash_from_target(self, number: int) -> None:
        assert self._read_back is not None, "only blocks of a target that can be read are ready"
        trial = self._digest.copy()
        if self._read_back(number, trial.update):
            with self._lock:
                self._digest = trial
                self._next += 1
        else:
            self._on_damage(number)


def _nothing() -> None:
    """Release what was never held."""
