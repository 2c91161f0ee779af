"""Whether all members that were published are there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

CompletenessState = Literal["complete", "incomplete", "unknown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Completeness:
    """What is there, compared with what was published."""

    state: CompletenessState = "unknown"
    """`unknown`: nothing is published, or the rest was not asked for."""
    num_expected: int | None = None
    """How many members were published."""
    num_missing: int = 0
    """How many of those are not in the folder."""
    missing: tuple[str, ...] = ()
    """Their names, where names were published."""
    num_unexpected: int = 0
    """How many volumes are in the folder that were not published."""


def judge_completeness(
    names: Iterable[str],
    published: Sequence[str] | None,
    num_published: int | None,
    *,
    is_stopped: bool,
    earlier: Completeness | None = None,
) -> Completeness:
    """Compare the members that are there with what was published.

    Args:
        names: Of the archive's members that are there.
        published: Names of all its volumes, with or without folders; None if no list is known.
        num_published: How many they are, where only that is known.
        is_stopped: The rest was not asked for.
        earlier: What was found when something published was known; it counts if nothing is known now.
    """
    present = {_base(name) for name in names}
    # Some archives carry `._a.h5` beside `a.h5`: what macOS keeps about a file.
    volumes = {name for name in present if name.endswith(".h5") and not name.startswith(".")}
    if published is not None:
        expected = {_base(name) for name in published}
        missing = tuple(sorted(expected - present))
        found = Completeness(
            num_expected=len(expected),
            num_missing=len(missing),
            missing=missing,
            num_unexpected=len(volumes - expected),
        )
    elif num_published is not None:
        found = _compare_counts(len(volumes), num_published)
    elif earlier is not None and earlier.num_expected is not None:
        counted = _compare_counts(len(volumes), earlier.num_expected)
        missing = tuple(name for name in earlier.missing if name not in present)
        found = replace(counted, missing=missing, num_missing=max(len(missing), counted.num_missing))
    else:
        return Completeness()
    state: CompletenessState = "incomplete" if found.num_missing else "complete"
    return replace(found, state="unknown" if is_stopped and found.num_missing else state)


def _compare_counts(found: int, expected: int) -> Completeness:
    return Completeness(
        num_expected=expected, num_missing=max(0, expected - found), num_unexpected=max(0, found - expected)
    )


def _base(name: str) -> str:
    return name.rpartition("/")[2]
