"""A report of the first day for whoever helps."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mrikit import __version__
from mrikit.estate.diagnosis import Diagnosis
from mrikit.estate.first_day.step import FAILED, Outcome
from mrikit.storage import write_text
from mrikit.storage.estate import Estate
from mrikit.transfer.redaction import redact

_TOKEN = re.compile(r"(?i)bearer\s+[\w.~+/=-]+|eyJ[\w.-]+")
_GUID = re.compile(r"\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE)
_WIDTH = len("not asked")


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All that was found."""

    estate: Estate
    """Where."""
    began_at: str
    """When, in ISO 8601."""
    diagnoses: tuple[Diagnosis, ...]
    """Of this machine and of Azure, before anything was tried."""
    outcomes: tuple[Outcome, ...]
    """Of the steps."""

    @property
    def failed(self) -> list[Outcome]:
        """Steps that did not work."""
        return [one for one in self.outcomes if one.state == FAILED]

    @property
    def next(self) -> str:
        """What to do first; empty if nothing is known to be wrong."""
        return next((one.remedy for one in self.failed if one.remedy), "")


def as_json(report: Report) -> dict[str, Any]:
    """The report as JSON takes it, without secrets."""
    facts = {
        "mrikit": __version__,
        "began_at": report.began_at,
        "location": report.estate.location,
        "network": report.estate.network,
        "findings": [asdict(one) for one in report.diagnoses],
        "steps": [{**asdict(one), "seconds": round(one.seconds, 1)} for one in report.outcomes],
        "num_failed": len(report.failed),
        "next": report.next or None,
    }
    cleaned: dict[str, Any] = _cleaned(facts)
    return cleaned


def in_lines(outcome: Outcome, width: int) -> list[str]:
    """One step, and what mends it below."""
    seconds = f"{outcome.seconds:6.1f} s" if outcome.seconds else " " * 8
    lines = [clean(f"{outcome.state:<{_WIDTH}}  {outcome.name:<{width}}  {seconds}  {outcome.what}")]
    space = " " * (_WIDTH + 2 + width + 12)
    lines += [f"{space}-> {clean(one)}" for one in (outcome.remedy, outcome.page) if one]
    return lines


def write_report(report: Report, file: Path) -> None:
    """Write it: JSON where the file's name says so, lines of text else.

    Raises:
        StorageError: It cannot be written.
    """
    facts = as_json(report)
    if file.suffix == ".json":
        write_text(file, json.dumps(facts, indent=2) + "\n")
        return
    lines = [f"mrikit {__version__}, {report.began_at}, {facts['location']}, network {facts['network']}", ""]
    lines += [f"{one['state']:<{_WIDTH}}  {one['subject']}: {one['what']}" for one in facts["findings"]]
    width = max((len(one.name) for one in report.outcomes), default=0)
    lines += ["", *(line for one in report.outcomes for line in in_lines(one, width))]
    write_text(file, "\n".join(lines) + "\n")


def clean(text: str) -> str:
    """A text without tokens, queries of addresses and signatures; of GUIDs, which name people too, the first part."""
    return _GUID.sub(r"\1-...", redact(_TOKEN.sub("...", text)))


def _cleaned(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {key: _cleaned(one) for key, one in value.items()}
    return [_cleaned(one) for one in value] if isinstance(value, Sequence) else value
