"""Mask: which samples were measured, and what is true about them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.masks.acquired import AcquiredRegion


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
    """Acquired samples over measured ones; what the scanner filled with zeros counts for neither."""
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


def within(mask: Mask, region: AcquiredRegion) -> Mask:
    """The same mask without the samples that the scanner filled with zeros.

    Args:
        mask: A mask of whole k-space; a 2-D pattern may have fewer rows, see `AcquiredRegion.samples`.
        region: What was acquired.

    Returns:
        A mask whose samples outside the region are False and whose true acceleration counts acquired samples only.
        Lines lose the columns outside it, a 2-D pattern also corners and rows.

    Raises:
        DataError: No sample is left.
    """
    samples = cut(mask.samples, region)
    return measured(
        samples,
        kind=mask.kind,
        acceleration=mask.acceleration,
        num_center_lines=min(mask.num_center_lines, center_size(samples)),
        offset=mask.offset,
        region=region,
        center=None if mask.center is None else _cut_center(samples, mask.center),
    )


def cut(samples: npt.NDArray[np.bool_], region: AcquiredRegion) -> npt.NDArray[np.bool_]:
    """A copy of (phase,) or (readout, phase) samples, False outside the region; of lines whole columns go."""
    if samples.ndim > 1:
        return samples & region.samples((samples.shape[0], samples.shape[1]))
    inside = np.zeros_like(samples)
    inside[slice(*region.columns)] = samples[slice(*region.columns)]
    return inside


def center_size(samples: npt.NDArray[np.bool_]) -> int:
    """Largest n whose block, placed as mask functions place it, is fully sampled; a square for a 2-D pattern."""
    size = 0
    while size < min(samples.shape):
        block = tuple(slice((n - size) // 2, (n - size) // 2 + size + 1) for n in samples.shape)
        if not samples[block].all():
            break
        size += 1
    return size


def center_sizes(lines: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """(mask,) `center_size` of each of some (mask, phase) line masks."""
    sizes: npt.NDArray[np.int64] = lines[:, block_order(lines.shape[1])].cumprod(axis=1).sum(axis=1)
    return sizes


def center_of(samples: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Rows and columns of the largest block in the middle of a (readout, phase) pattern that is fully sampled."""
    nested = samples[np.ix_(*(block_order(size) for size in samples.shape))]
    # How many columns, from the middle, the first rows have without a gap.
    columns = np.minimum.accumulate(nested.cumprod(axis=1).sum(axis=1))
    rows = int(np.argmax(columns * np.arange(1, len(columns) + 1)))
    return (rows + 1, int(columns[rows])) if columns[rows] else (0, 0)


def block_order(size: int) -> npt.NDArray[np.int64]:
    """(size,) int64 places in the order in which a block in the middle takes them in as it grows."""
    counts = np.arange(1, size + 1)
    first = (size - counts + 1) // 2
    is_at_left = np.diff(first, prepend=first[0] + 1) < 0
    return np.where(is_at_left, first, first + counts - 1)


def _cut_center(samples: npt.NDArray[np.bool_], center: tuple[int, int]) -> tuple[int, int]:
    """The centre without the rows and columns that are no longer sampled."""
    rows = min(center[0], center_size(samples[:, samples.shape[1] // 2]))
    first = (samples.shape[0] - rows + 1) // 2
    columns = min(center[1], center_size(np.asarray(samples[first : first + rows].all(axis=0))))
    return (rows, columns) if rows and columns else (0, 0)


def measured(
    samples: npt.NDArray[np.bool_],
    *,
    kind: str,
    acceleration: float,
    num_center_lines: int,
    offset: int | None = None,
    region: AcquiredRegion | None = None,
    center: tuple[int, int] | None = None,
) -> Mask:
    """A Mask whose true acceleration is counted from its samples.

    Args:
        samples: (phase,) or (readout, phase) bool.
        kind: Name of the mask function.
        acceleration: Nominal acceleration.
        num_center_lines: Fully sampled columns in the middle.
        offset: First line of a regular pattern.
        region: What was acquired, which holds all samples; everything if None.
        center: Rows and columns that are fully sampled in the middle of a 2-D pattern.

    Raises:
        DataError: No line is sampled.
    """
    if not samples.any():
        raise DataError(f"the {kind} mask of width {samples.shape[-1]} samples no line; is it all zeros?")
    return Mask(
        samples=samples,
        kind=kind,
        acceleration=float(acceleration),
        true_acceleration=acquired_over_measured(samples, region),
        num_center_lines=num_center_lines,
        offset=offset,
        center=center,
    )


def acquired_over_measured(samples: npt.NDArray[np.bool_], region: AcquiredRegion | None) -> float:
    """The samples of the region, or all of them, over those that are True; lines have as many as the region there."""
    if region is None:
        return samples.size / int(samples.sum())
    if samples.ndim > 1:
        acquired = region.samples((samples.shape[0], samples.shape[1]))
        return int(acquired.sum()) / int(samples.sum())
    if region.outline is None:  # all columns are as high, and most regions are so
        return (region.columns[1] - region.columns[0]) / int(samples.sum())
    heights = region.samples().sum(axis=0)
    return int(heights.sum()) / int(heights[samples].sum())
