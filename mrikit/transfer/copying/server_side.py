"""Blocks that Azure fetches by itself, as long as it does not refuse."""

import threading
from collections.abc import Callable

from mrikit.transfer.copying.blob_target import BlobTarget
from mrikit.transfer.link import Link


class ServerSide:
    """Put Block From URL for one run: the first attempt decides for all threads, a refusal for the rest of the run.

    Args:
        is_allowed: Whether to try at all.
        on_refusal: Called once, with why, on one line.
    """

    def __init__(self, *, is_allowed: bool, on_refusal: Callable[[str], None]) -> None:
        self._is_allowed, self._is_tried = is_allowed, False
        self._on_refusal = on_refusal
        self._lock = threading.RLock()

    def stage(self, target: BlobTarget, link: Link, number: int) -> bool:
        """Whether the service has staged the block; otherwise this process has to."""
        if not self._is_allowed:
            return False
        if self._is_tried:
            return self._try(target, link, number)
        with self._lock:
            if not self._is_tried:
                is_staged = self._try(target, link, number)
                self._is_tried = True
                return is_staged
        return self.stage(target, link, number)

    def _try(self, target: BlobTarget, link: Link, number: int) -> bool:
        refusal = target.put_from(link, number)
        if refusal is None:
            return True
        with self._lock:
            was_allowed, self._is_allowed = self._is_allowed, False
        if was_allowed:
            self._on_refusal(
                f"Azure does not fetch from the links itself ({refusal}); the bytes go through this machine instead"
            )
        return False
