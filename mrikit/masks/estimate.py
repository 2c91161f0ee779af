"""What a stored mask says about itself: its centre block and its acceleration."""

import numpy as np
import numpy.typing as npt

from mrikit.masks.mask import Mask, measured

_FEWEST_BINS = 3  # fewer could hold one line each by chance


def stored_mask(lines: npt.NDArray[np.bool_], padding: tuple[int, int] | None = None) -> Mask:
    """A Mask from the lines of a file, its centre and nominal acceleration estimated.

    The centre is the widest sampled block that is placed as mask functions place it; 0 where the middle is not
    sampled. A mask with one line in every R columns around its centre, such as `equispaced`, `magic` or `fixed`, was
    drawn with acceleration R; any other, such as `random` or `equispaced_fraction`, with about the overall one. For a
    `magic_fraction` mask R is the distance that it was stretched to.

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
    step = _bin_width(lines, left, right) if lines.ndim == 1 else None
    return float(step or lines[..., left:right].size / max(lines.sum(), 1))


def _bin_width(lines: npt.NDArray[np.bool_], left: int, right: int) -> int | None:
    """The R for which every R columns outside the centre hold one line; None for masks that are not made so."""
    first, last = _center_run(lines)
    for width in range(2, lines.shape[0] // 2):
        starts = np.arange(0, lines.shape[0] - width, width)  # the last column is in none: some masks never sample it
        is_whole = (starts >= left) & (starts + width <= right)
        is_outer = (starts + width <= first) | (starts >= last)
        counts = [lines[start : start + width].sum() for start in starts[is_whole & is_outer]]
        if len(counts) >= _FEWEST_BINS and set(counts) == {1}:
            return width
    return None


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
