"""One result of `mrikit doctor`, with its remedy."""

from dataclasses import dataclass
from typing import Literal

OK: Literal["ok"] = "ok"
MISSING: Literal["missing"] = "missing"
WARNING: Literal["warning"] = "warning"
UNKNOWN: Literal["unknown"] = "unknown"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One line of `mrikit doctor`."""

    subject: str
    """What was looked at, such as `login`."""
    state: Literal["ok", "missing", "warning", "unknown"]
    """Whether it is as it has to be; unknown, if that could not be asked."""
    what: str
    """What was found, on one line."""
    remedy: str = ""
    """The command that mends it, or what to do where no command does; empty if nothing is to be done."""
