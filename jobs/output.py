"""Where commands write."""

import os

from rich.console import Console

_WIDE = 10_000
"""Columns where no terminal would cut lines off: a pipe counts as narrow, and rich drops what is beyond."""


def results_console() -> Console:
    """Standard output, as wide as it has to be."""
    return _console(is_stderr=False)


def messages_console() -> Console:
    """Standard error, for plans, progress and warnings."""
    return _console(is_stderr=True)


def are_one(output: Console, messages: Console) -> bool:
    """Whether both write to one place, such as a terminal or a log: what one has said the other need not repeat."""
    try:
        return os.path.sameopenfile(output.file.fileno(), messages.file.fileno())
    except (OSError, ValueError):  # what is no file at all
        return False


def _console(*, is_stderr: bool) -> Console:
    console = Console(stderr=is_stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _WIDE
    return console
