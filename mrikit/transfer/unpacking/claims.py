"""Several archives, one folder: who writes a name, writes it alone."""

import contextlib
import threading
from collections.abc import Callable, Iterator

from mrikit.transfer.unpacking.members import name_key

_LOOK_S = 0.1


class Claims:
    """The names that archives of this process are writing now."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._held: set[str] = set()

    @contextlib.contextmanager
    def hold(self, name: str, check: Callable[[], None]) -> Iterator[None]:
        """Wait until nobody else has the name, and keep it for the block.

        Args:
            name: Below the folder.
            check: Called while waiting; raises to stop.
        """
        key = name_key(name)
        with self._condition:
            while key in self._held:
                check()
                self._condition.wait(_LOOK_S)
            self._held.add(key)
        try:
            yield
        finally:
            with self._condition:
                self._held.remove(key)
                self._condition.notify_all()
