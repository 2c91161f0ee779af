"""Bytes in words."""

_UNITS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def in_bytes(count: float) -> str:
    """Decimal units, as links and disks are sold: `93.8 GB`."""
    for size, unit in _UNITS:
        if abs(count) >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"
