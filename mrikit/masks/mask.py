"""Mask: which samples were measured, and what is true about them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class Mask:
    """A sampling pattern with the facts that travel with every sample and every output."""

    samples: npt.NDArray[np.bool_]
    """(phase,) bool, or (readout, phase) bool for a 2-D pattern; True where measured."""
    kind: str
    """Name of the mask function, `stored` for a file's own, `full` for none."""
    acceleration: float
    """Nominal acceleration, as asked for."""
    true_acceleration: float
    """Acquired samples over measured ones; zero-filled columns of the scanner count for neither."""
    num_center_lines: int
    """Fully sampled columns in the middle of k-space; of a 2-D pattern the side of a fully sampled square."""
    offset: int | None = None
    """First line of a regular pattern, where the kind has one."""
    center: tuple[int, int] | None = None
    """Rows and columns of a 2-D pattern that are fully sampled in the middle; None for lines, which have all rows."""

    def __post_init__(self) -> None:
        if self.center is not None:
            object.__setattr__(self, "center", tuple(self.center))  # JSON has lists only
        if self.samples.ndim not in (1, 2) or self.samples.dtype != np.bool_:
            found = f"{self.samples.ndim} axes of {self.samples.dtype}"
            raise DataError(f"a mask is bool with axes (phase,) or (readout, phase); found {found}")


def within_padding(mask: Mask, padding: tuple[int, int]) -> Mask:
    """The same mask without the columns that the scanner filled with zeros.

    Args:
        mask: A mask over all columns.
        padding: [left, right) columns that were acquired.

    Returns:
        A mask whose samples outside the range are False and whose true acceleration counts acquired columns only.

    Raises:
        DataError: No sampled line is left.
    """
    left, right = padding
    samples = np.zeros_like(mask.samples)
    samples[..., left:right] = mask.samples[..., left:right]
    return measured(
        samples,
        kind=mask.kind,
        acceleration=mask.acceleration,
        num_center_lines=min(mask.num_center_lines, center_size(samples)),
        offset=mask.offset,
        padding=padding,
        center=None if mask.center is None else _cut_center(samples, mask.center),
    )


def center_size(samples: npt.NDArray[np.bool_]) -> int:
    """Largest n whose block, placed as mask functions place it, is fully sampled; a square for a 2-D pattern."""
    size = 0
    while size < min(samples.shape):
        block = tuple(slice((n - size) // 2, (n - size) // 2 + size + 1) for n in samples.shape)
        if not samples[block].all():
            break
        size += 1
    return size


def center_of(samples: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Rows and columns of the largest block in the middle of a (readout, phase) pattern that is fully sampled."""
    nested = samples[np.ix_(*(_from_middle(size) for size in samples.shape))]
    # How many columns, from the middle, the first rows have without a gap.
    columns = np.minimum.accumulate(nested.cumprod(axis=1).sum(axis=1))
    rows = int(np.argmax(columns * np.arange(1, len(columns) + 1)))
    return (rows + 1, int(columns[rows])) if columns[rows] else (0, 0)


def _from_middle(size: int) -> npt.NDArray[np.int64]:
    """Places in the order in which a growing block takes them in."""
    counts = np.arange(1, size + 1)
    first = (size - counts + 1) // 2
    is_at_left = np.diff(first, prepend=first[0] + 1) < 0
    return np.where(is_at_left, first, first + counts - 1)


def _cut_center(samples: npt.NDArray[np.bool_], center: tuple[int, int]) -> tuple[int, int]:
    """The centre without the columns that are no longer sampled."""
    first = (samples.shape[0] - center[0] + 1) // 2
    columns = min(center[1], center_size(np.asarray(samples[first : first + center[0]].all(axis=0))))
    return (center[0], columns) if columns else (0, 0)


def measured(
    samples: npt.NDArray[np.bool_],
    *,
    kind: str,
    acceleration: float,
    num_center_lines: int,
    offset: int | None = None,
    padding: tuple[int, int] | None = None,
    center: tuple[int, int] | None = None,
) -> Mask:
    """A Mask whose true acceleration is counted from its samples.

    Args:
        samples: (phase,) or (readout, phase) bool.
        kind: Name of the mask function.
        acceleration: Nominal acceleration.
        num_center_lines: Fully sampled columns in the middle.
        offset: First line of a regular pattern.
        padding: [left, right) columns that were acquired; all of them if None.
        center: Rows and columns that are fully sampled in the middle of a 2-D pattern.

    Raises:
        DataError: No line is sampled.
    """
    num_sampled = int(samples.sum())
    if num_sampled == 0:
        raise DataError(f"the {kind} mask of width {samples.shape[-1]} samples no line; is it all zeros?")
    left, right = padding or (0, samples.shape[-1])
    return Mask(
        samples=samples,
        kind=kind,
        acceleration=float(acceleration),
        true_acceleration=samples[..., left:right].size / num_sampled,
        num_center_lines=num_center_lines,
        offset=offset,
        center=center,
    )
