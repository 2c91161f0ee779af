"""How long to try again, and how long to wait in between."""

import random
from dataclasses import dataclass, replace

from mrikit.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """Exponential backoff with full jitter: many clients that failed together do not come back together."""

    give_up_after_s: float = 900.0
    """Time in which nothing new came before giving up: a link is worth waiting for a network that comes back."""
    num_tries: int = 5
    """Tries in a row that brought nothing new, too, at least 1."""
    absent_after_s: float = 10.0
    """Time before giving up a server that nobody has reached yet, where `num_tries` do not come first: such a link is
    dead, rather than its network away for a while."""
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

    def is_over(self, num_failures: int, seconds: float) -> bool:
        """Whether to give up after so many failures in a row, in so many seconds without anything new."""
        return num_failures >= self.num_tries and seconds >= self.give_up_after_s

    def is_absent(self, num_failures: int, seconds: float) -> bool:
        """Whether to give up a server that has never answered, after so many failures, in so many seconds."""
        return num_failures >= self.num_tries or (num_failures > 1 and seconds >= self.absent_after_s)

    def briefly(self, give_up_after_s: float = 30.0) -> "Patience":
        """The same for a question whose answer somebody waits for."""
        return replace(self, give_up_after_s=min(self.give_up_after_s, give_up_after_s))

    def wait_s(self, num_failures: int, retry_after_s: float | None = None) -> float:
        """Seconds to wait after so many failures in a row; never less than the server asks for, within the bound."""
        most = min(self.max_wait_s, self.first_wait_s * 2.0 ** min(num_failures - 1, 30))
        wait = random.uniform(0, most)  # noqa: S311 - spreads load; reproducing it would defeat it
        return min(self.max_wait_s, max(wait, retry_after_s or 0.0))
