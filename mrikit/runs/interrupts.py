"""Ctrl-C and termination as a wish that the loop grants at the end of a step."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


class StopRequest:
    """Whether somebody asked the run to stop."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None


@contextlib.contextmanager
def stop_requests(say: Callable[[str], None]) -> Iterator[StopRequest]:
    """Take note of SIGINT and SIGTERM instead of dying of them; a second Ctrl-C acts as before.

    A second SIGTERM does not: a scheduler and torchrun may both pass on the same one, milliseconds apart.

    Args:
        say: Called with one line when a signal comes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # signals come to the main thread alone
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def take_note(number: int, _frame: FrameType | None) -> None:
        request.signal = signal.Signals(number)
        if number == signal.SIGINT:
            signal.signal(number, before[request.signal])
        with contextlib.suppress(RuntimeError):  # it came while a line was being written
            say("stopping after this step; Ctrl-C again stops at once and loses what came after the last checkpoint")

    for number in before:
        signal.signal(number, take_note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
