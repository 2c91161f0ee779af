"""The lines that an episode is given: the middle of k-space, or a mask."""

import contextlib
import reprlib
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
        counts = _counts(initial)
        fewest, most = int(counts[0]), int(counts[-1])
        mask = None
    if not 1 <= fewest <= most <= width:
        raise ConfigError(f"initial has 1 to {width} lines, the fewest first; found {fewest} to {most}")
    return Given(width=width, num_lines=(fewest, most), mask=mask)


def _counts(initial: object) -> npt.NDArray[np.integer]:
    """One number or two."""
    found = None
    with contextlib.suppress(ValueError):  # lists of other lengths in a list
        found = np.atleast_1d(np.asarray(initial))
    if found is None or found.ndim != 1 or not 1 <= len(found) <= 2 or found.dtype.kind not in "iu":
        shown = " ".join(reprlib.repr(initial).split())
        raise ConfigError(
            f"initial is a number of middle lines, the fewest and most of them, or a numpy bool mask; found {shown}"
        )
    return found
