"""Numbered pieces of work, done ahead on threads and handed out in order."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")
_LOOK_S = 0.1  # how soon a thread that waits for its consumer sees that there is none any more


class ReadAhead(Generic[T]):
    """Results of `work(0)`, `work(1)`, ... in order, the next few of them under way on threads.

    After a jump only one is under way, then two, then four: who jumps often asks for little in vain.

    Args:
        pool: The threads; others may use them too.
        work: Changes nothing that another call sees.
        num_items: How many there are.
        depth: At most so many results are held or under way.
    """

    def __init__(self, pool: ThreadPoolExecutor, work: Callable[[int], T], num_items: int, depth: int) -> None:
        self._pool, self._work = pool, work
        self._num_items, self._depth = num_items, depth
        self._pending: deque[Future[T]] = deque()
        self._position = 0
        self._window = 1

    @property
    def position(self) -> int:
        """The number of the next result."""
        return self._position

    def next(self) -> T | None:
        """The next result; None after the last. What its work raised is raised here."""
        self._submit()
        if not self._pending:
            return None
        result = self._pending.popleft().result()
        self._position += 1
        self._window = min(2 * self._window, self._depth)
        self._submit()
        return result

    def jump(self, position: int) -> None:
        """Go on with a later number, as if those between did not exist."""
        if position <= self._position:
            return
        for _ in range(min(position - self._position, len(self._pending))):
            self._pending.popleft().cancel()
        self._position = position
        self._window = 1

    def close(self) -> None:
        """Forget what has not begun, and wait for what has."""
        for future in self._pending:
            future.cancel()
        for future in self._pending:
            if not future.cancelled():
                future.exception()
        self._pending.clear()

    def _submit(self) -> None:
        while len(self._pending) < self._window and self._position + len(self._pending) < self._num_items:
            self._pending.append(self._pool.submit(self._work, self._position + len(self._pending)))


class OnThread(Generic[T]):
    """What an iterator yields, made on a thread of its own, at most `depth` ahead."""

    def __init__(self, items: Iterator[T], depth: int) -> None:
        self._items = items
        self._queue: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(depth)
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mrikit-decode", daemon=True)
        self._thread.start()

    def next(self) -> T | None:
        """The next item; None after the last. What the iterator raised is raised here."""
        item, error = self._queue.get()
        if item is None:
            self._queue.put((None, error))  # the end stays the end
        if error is not None:
            raise error
        return item

    def close(self) -> None:
        """Stop the thread and wait for it."""
        self._is_closed.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(item, None):
                    return
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self._put(None, error)
        else:
            self._put(None, None)

    def _put(self, item: T | None, error: BaseException | None) -> bool:
        while not self._is_closed.is_set():
            try:
                self._queue.put((item, error), timeout=_LOOK_S)
            except queue.Full:
                continue
            return True
        return False
