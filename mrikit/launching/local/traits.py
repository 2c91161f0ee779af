"""What this machine is like as a back end."""

from mrikit.launching.job import Backend
from mrikit.launching.traits import Traits

DEFAULTS = {"grace_s": 60.0, "kills": 3.0, "kill_within_s": 60.0}
"""Seconds from SIGTERM to SIGKILL; for --simulate-preemption how often, and how long after a start at most."""


def _open() -> Backend:
    from mrikit.launching.local.backend import LocalBackend

    return LocalBackend()


LOCAL = Traits(
    name="local",
    open=_open,
    resources=tuple(DEFAULTS),
    rehearses_preemption=True,
    uses_this_machine=lambda: True,
)
