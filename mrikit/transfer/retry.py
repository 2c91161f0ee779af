"""How long to try again, and how long to wait in between."""

import random
from dataclasses import dataclass

from mrikit.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """Exponential backoff with full jitter: many clients that failed together do not come back together."""

    num_tries: int = 8
    """Tries in a row that bring nothing new before giving up, at least 1."""
    first_wait_s: float = 0.5
    """Longest wait after the first failure; doubles with each further one."""
    max_wait_s: float = 30.0
    """Longest wait of all, also where a server asks for more by Retry-After."""
    connect_timeout_s: float = 10.0
    """Time to reach the server."""
    read_timeout_s: float = 60.0
    """Longest silence of the server."""

    def __post_init__(self) -> None:
        if self.num_tries < 1:
            raise ConfigError(f"num_tries is {self.num_tries}; at least one try is needed")

    def wait_s(self, num_failures: int, retry_after_s: float | None = None) -> float:
        """Seconds to wait after so many failures in a row; never less than the server asks for, within the bound."""
        most = min(self.max_wait_s, self.first_wait_s * 2.0 ** min(num_failures - 1, 30))
        wait = random.uniform(0, most)  # noqa: S311 - spreads load; reproducing it would defeat it
        return min(self.max_wait_s, max(wait, retry_after_s or 0.0))
