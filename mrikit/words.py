"""Amounts in words: bytes, times, counts."""

from collections.abc import Sequence
from datetime import timedelta

_UNITS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def in_bytes(count: float) -> str:
    """Decimal units, as links and disks are sold: `93.8 GB`."""
    for size, unit in _UNITS:
        if abs(count) >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"


def in_time(seconds: float) -> str:
    """The two largest units: `6 d 3 h`, `2 h 5 min`, `40 s`."""
    time_span = timedelta(seconds=abs(seconds))
    minutes, rest = divmod(time_span.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if time_span.days:
        return f"{time_span.days} d {hours} h" if time_span.days < 10 and hours else f"{time_span.days} d"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{rest} s"


def expiry(seconds_left: float | None) -> str:
    """When a link ends, by this machine's clock: `in 6 d 3 h`, `expired 3 d ago`, `?` where it does not say."""
    if seconds_left is None:
        return "?"
    return f"in {in_time(seconds_left)}" if seconds_left > 0 else f"expired {in_time(seconds_left)} ago"


def counted(count: int, noun: str) -> str:
    """`1 archive`, `2 archives`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def left_out(names: Sequence[str], num_volumes: int, what: str) -> str:
    """`left out: 2 of 5 volumes are undersampled, such as knee_1`."""
    are = "is" if len(names) == 1 else "are"
    return f"left out: {len(names):,} of {counted(num_volumes, 'volume')} {are} {what}, such as {names[0]}"
