"""The lines that an episode is given: the middle of k-space, or a mask."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrikit.errors import ConfigError
from mrikit.masks.kinds.center import center_block

Initial = int | Sequence[int] | npt.NDArray[np.bool_]
"""A number of middle lines, the fewest and most of a number that is drawn for each episode, or a (phase,) mask."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """What is measured before the first choice."""

    width: int
    """Columns of k-space."""
    num_lines: tuple[int, int]
    """Fewest and most of them."""
    mask: npt.NDArray[np.bool_] | None = None
    """(phase,) bool; None for the middle."""

    def lines(self, num_lines: int) -> npt.NDArray[np.bool_]:
        """(phase,) bool with so many lines."""
        return center_block(self.width, num_lines) if self.mask is None else self.mask.copy()


def given_lines(initial: Initial, width: int) -> Given:
    """The lines that a user asks for, in k-space of so many columns.

    Raises:
        ConfigError: They do not fit it, or there are none.
    """
    if isinstance(initial, np.ndarray) and initial.dtype == np.bool_:
        if initial.shape != (width,):
            found = " x ".join(map(str, initial.shape))
            raise ConfigError(f"the initial mask has {found} columns, and k-space {width}; make one for this data")
        count = int(initial.sum())
        fewest = most = count
        mask = initial
    else:
        counts = np.atleast_1d(np.asarray(initial))
        if counts.ndim != 1 or len(counts) > 2 or not np.issubdtype(counts.dtype, np.integer):
            raise ConfigError(
                f"initial is a number of middle lines, the fewest and most of them, or a bool mask; found {initial!r}"
            )
        fewest, most = int(counts[0]), int(counts[-1])
        mask = None
    if not 1 <= fewest <= most <= width:
        raise ConfigError(f"initial has 1 to {width} lines, the fewest first; found {fewest} to {most}")
    return Given(width=width, num_lines=(fewest, most), mask=mask)
