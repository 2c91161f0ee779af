"""Scores in words: what the terminal and the report both say."""

from collections.abc import Iterable, Sequence

from mrikit.evaluate.bootstrap import Interval
from mrikit.evaluate.rows import Unscored

NUM_NAMES = 8


def format_bounds(interval: Interval, digits: int, sign: str = "") -> tuple[str, str, str] | tuple[str]:
    """Mean, low and high as text; the mean alone where there are no bounds."""
    form = f"{sign}.{digits}f"
    if interval.low is None or interval.high is None:
        return (format(interval.mean, form),)
    return format(interval.mean, form), format(interval.low, form), format(interval.high, form)


def group_reasons(unscored: Iterable[Unscored]) -> list[tuple[str, int, str]]:
    """Every reason once, with the number of volumes and the names of some of them."""
    volumes: dict[str, dict[str, None]] = {}
    for volume in unscored:
        volumes.setdefault(volume.reason, {})[volume.volume_id] = None
    return [(reason, len(names), name_some(list(names))) for reason, names in volumes.items()]


def name_some(names: Sequence[str]) -> str:
    """The first names, and whether there are more."""
    return ", ".join(names[:NUM_NAMES]) + (", ..." if len(names) > NUM_NAMES else "")
