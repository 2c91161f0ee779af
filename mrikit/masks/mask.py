"""Mask: which samples were measured, and what is true about them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError

Lines = tuple[npt.NDArray[np.bool_], int, int | None]
"""What a mask function returns: (phase,) bool samples, number of centre lines, offset."""


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
    """Acquired columns over sampled ones; zero-filled columns of the scanner count for neither."""
    num_center_lines: int
    """Fully sampled columns (2-D: diameter of the block) in the middle of k-space."""
    offset: int | None = None
    """First line of a regular pattern, where the kind has one."""

    def __post_init__(self) -> None:
        if self.samples.ndim not in (1, 2) or self.samples.dtype != np.bool_:
            found = f"{self.samples.ndim} axes of {self.samples.dtype}"
            raise DataError(f"a mask is bool with axes (phase,) or (readout, phase); found {found}")


def within_padding(mask: Mask, padding: tuple[int, int]) -> Mask:
    """The same mask without the columns that the scanner filled with zeros.

    Args:
        mask: A line mask over all columns.
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


def measured(
    samples: npt.NDArray[np.bool_],
    *,
    kind: str,
    acceleration: float,
    num_center_lines: int,
    offset: int | None = None,
    padding: tuple[int, int] | None = None,
) -> Mask:
    """A Mask whose true acceleration is counted from its samples.

    Args:
        samples: (phase,) or (readout, phase) bool.
        kind: Name of the mask function.
        acceleration: Nominal acceleration.
        num_center_lines: Fully sampled columns in the middle.
        offset: First line of a regular pattern.
        padding: [left, right) columns that were acquired; all of them if None.

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
    )
