"""Waiting for what another thread or process does."""

import time

HANG_S = 240
"""Ends a hang and measures nothing: a busy machine takes many times as long as a quiet one."""


def until(fact, process=None):
    """Wait until something is so; what it is then.

    Args:
        fact: Called until what it returns counts as true.
        process: Has to live as long.
    """
    end = time.monotonic() + HANG_S
    while not (found := fact()):
        assert process is None or process.poll() is None, f"it ended with {process.returncode}"
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.01)
    return found
