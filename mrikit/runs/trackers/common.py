"""What trackers share: names of numbers, redaction, and the ids of runs."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mrikit.run_files import TRACKERS_FILE
from mrikit.storage import read_json, write_json
from mrikit.words import in_unicode

PROJECT = "mrikit"


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a row by the names that services show, such as `train/loss`."""
    return {
        f"{row['kind']}/{key}": value
        for key, value in row.items()
        if key != "step" and isinstance(value, int | float) and not isinstance(value, bool)
    }


def redact(text: str) -> str:
    """The same text, in Unicode, without passwords and queries, which hold signatures, in its URLs."""
    text = in_unicode(text)
    return re.sub(r"(://[^\s?'\"]*)\?[^\s'\"]*", r"\1", re.sub(r"(?<=://)[^/\s@:]*:[^/\s@]*@", "", text))


def redact_all(value: Any) -> Any:  # noqa: ANN401 - anything that JSON holds
    """The same JSON with `redact` for all its texts."""
    if isinstance(value, Mapping):
        return {key: redact_all(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact_all(item) for item in value]
    return redact(value) if isinstance(value, str) else value


def kept_id(folder: Path, name: str) -> str | None:
    """Under which id a service knows the run of a folder; None if it does not yet."""
    path = folder / TRACKERS_FILE
    kept: dict[str, str] = read_json(path) if path.exists() else {}
    return kept.get(name)


def keep_id(folder: Path, name: str, run_id: str) -> None:
    """Keep the id for when the run is resumed."""
    path = folder / TRACKERS_FILE
    kept = read_json(path) if path.exists() else {}
    if kept.get(name) != run_id:
        write_json(path, kept | {name: run_id})
