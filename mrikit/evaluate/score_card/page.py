"""The files of a score card: JSON, and the same as one self-contained HTML page."""

import json
from pathlib import Path
from typing import Any

import jinja2

from mrikit.storage import write_text
from mrikit.words import in_bytes

CARD_FILE = "score-card.json"
PAGE_FILE = "score-card.html"


def write_card(folder: Path, card: dict[str, Any]) -> list[Path]:
    """Write a card as JSON and as a page that needs nothing else, not even a network.

    Returns:
        The files written.

    Raises:
        StorageError: The folder cannot be written.
    """
    text = json.dumps(card, indent=2, allow_nan=False)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mrikit.evaluate.score_card", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"interval": interval_words, "bytes": in_bytes}
    write_text(folder / CARD_FILE, f"{text}\n")
    write_text(folder / PAGE_FILE, environment.get_template("card.html").render(card=card, text=text))
    return [folder / CARD_FILE, folder / PAGE_FILE]


def interval_words(interval: dict[str, float | None], digits: int) -> str:
    """Mean and bounds of a card as text."""
    mean, low, high = (
        "inf" if interval[name] is None else f"{interval[name]:.{digits}f}" for name in ("mean", "low", "high")
    )
    return mean if interval["low"] is None else f"{mean} [{low}, {high}]"
