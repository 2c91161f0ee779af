"""Which of the files of a prefix a mirror needs, or may write."""

from collections.abc import Callable, Collection

Choose = Callable[[Collection[str]], Collection[str]]
"""Picks some of the names below a prefix."""


def everything(names: Collection[str]) -> Collection[str]:
    """All names."""
    return names


def nothing(_names: Collection[str]) -> Collection[str]:
    """No name."""
    return ()


def only(*chosen: str) -> Choose:
    """Names in this list."""
    return lambda names: set(chosen) & set(names)
