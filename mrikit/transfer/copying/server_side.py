"""Whether Azure fetches blocks by itself."""

import threading
from collections.abc import Callable

from mrikit.transfer.copying.blob_target import Refusal


class ServerSide:
    """Put Block From URL for one run: a refusal for good, of a block that this machine could fetch, ends it for all.

    A service that is busy or a connection that breaks costs one block its help. Since May 2025 signed links of S3 are
    refused with 403 CannotVerifyCopySource (https://github.com/Azure/azure-storage-azcopy/issues/3039), so this helps
    with other links, and with those again once that ends; it costs one request to know.

    Args:
        is_allowed: Whether to try at all.
        on_refusal: Called once, with why, on one line.
    """

    def __init__(self, *, is_allowed: bool, on_refusal: Callable[[str], None]) -> None:
        self._is_allowed, self._on_refusal = is_allowed, on_refusal
        self._lock = threading.Lock()

    @property
    def is_allowed(self) -> bool:
        """Whether to ask for the next block."""
        with self._lock:
            return self._is_allowed

    def note(self, refusal: Refusal) -> None:
        """This machine has fetched what was refused to the service: the link itself is good."""
        if not refusal.is_for_good:
            return
        with self._lock:
            was_allowed, self._is_allowed = self._is_allowed, False
        if was_allowed:
            self._on_refusal(
                f"Azure does not fetch from the links itself ({refusal.reason}); the bytes go through this machine "
                f"instead"
            )
