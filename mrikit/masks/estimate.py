"""What a stored mask says about itself: its centre block and its acceleration."""

import numpy as np
import numpy.typing as npt

from mrikit.masks.mask import Mask, measured


def stored_mask(lines: npt.NDArray[np.bool_], padding: tuple[int, int] | None = None) -> Mask:
    """A Mask from the lines of a file, its centre and nominal acceleration estimated.

    The centre is the widest sampled block that is placed as mask functions place it; 0 where the middle is not
    sampled. The acceleration is the one of the lines outside the sampled run around the middle, which is what a regular
    mask was drawn with; 1 for a fully sampled one. For a 2-D pattern it is the overall one.

    Args:
        lines: (phase,) or (readout, phase) bool.
        padding: [left, right) columns that the scanner acquired; all of them if None.

    Returns:
        A Mask of kind `full` or `stored`.

    Raises:
        DataError: No line is sampled.
    """
    left, right = padding or (0, lines.shape[-1])
    inside = np.zeros_like(lines)
    inside[..., left:right] = lines[..., left:right]
    is_full = bool(inside[..., left:right].all())
    return measured(
        inside,
        kind="full" if is_full else "stored",
        acceleration=1.0 if is_full else _acceleration(inside, left, right),
        num_center_lines=_center_size(inside),
        padding=padding,
    )


def _acceleration(lines: npt.NDArray[np.bool_], left: int, right: int) -> float:
    if lines.ndim == 2:
        return float(lines[:, left:right].size / max(lines.sum(), 1))
    first, last = _center_run(lines)
    num_outer = int(lines.sum()) - (last - first)
    if num_outer == 0:
        return (right - left) / max(last - first, 1)
    return (right - left - (last - first)) / num_outer


def _center_run(lines: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """[first, last) of the sampled run that holds the middle column; empty if that is not sampled."""
    middle = lines.shape[0] // 2
    first = last = middle
    while last < lines.shape[0] and lines[last]:
        last += 1
    while first > 0 and last > middle and lines[first - 1]:
        first -= 1
    return first, last


def _center_size(lines: npt.NDArray[np.bool_]) -> int:
    """Largest n whose centred block, a square for a 2-D pattern, is fully sampled."""
    size = 0
    while size < min(lines.shape):
        block = tuple(slice((n - size) // 2, (n - size) // 2 + size + 1) for n in lines.shape)
        if not lines[block].all():
            break
        size += 1
    return size
