"""Finding: one thing that is wrong, or odd, with the files of a data folder, in words and for programs."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, Literal

Severity = Literal["error", "warning"]

UNREAD = "cannot_be_read"
"""The kind of what a disk refuses to give; nothing is known of the file itself, so the next check tries again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What is wrong with one file, or with several for the same reason."""

    severity: Severity
    """`error`: data are lost, damaged or contradict themselves. `warning`: something is missing or looks odd."""
    kind: str
    """A word that stays the same from version to version, such as `not_finite`."""
    files: tuple[str, ...]
    """Names relative to the data folder; empty if it concerns the folder as a whole."""
    what: str
    """What was found."""
    remedy: str
    """What would do."""

    def as_json(self) -> dict[str, Any]:
        """The fields as a JSON object."""
        return asdict(self) | {"files": list(self.files)}


def make_finding(severity: Severity, kind: str, files: tuple[str, ...], what: str, remedy: str) -> Finding:
    """A finding by its words in order, for where many are made."""
    return Finding(severity=severity, kind=kind, files=files, what=what, remedy=remedy)


def finding_of(found: dict[str, Any]) -> Finding:
    """The finding that `as_json` described."""
    return Finding(**(found | {"files": tuple(found["files"])}))


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first, then by file and kind."""
    return sorted(findings, key=lambda finding: (finding.severity, finding.files, finding.kind, finding.what))


def in_ranges(numbers: Iterable[int]) -> str:
    """Ascending numbers in words: `3, 7-9`."""
    runs = groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    members = [[number for _, number in run] for _, run in runs]
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in members)


def slices_in_words(numbers: Sequence[int]) -> str:
    """`slice 3`, or `slices 3, 7-9`."""
    return f"slice{'s' * (len(numbers) != 1)} {in_ranges(numbers)}"
