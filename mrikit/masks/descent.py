"""Coordinate descent over sampling: one line at a time goes to where the error is lowest.

Source:
    Gautam et al., Scan-adaptive MRI undersampling using neighbor-based optimization (SUNO), IEEE TCI (2026), the
    coordinate descent of one training scan. Here one mask is sought for all training slices together.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mrikit.errors import ConfigError


class Descent(NamedTuple):
    """Where it led."""

    samples: npt.NDArray[np.bool_]
    """The best mask that was found, of the shape of the first one and with as many samples."""
    errors: list[float]
    """Error of the first mask, and after each pass; it never rises."""


def coordinate_descent(
    error: Callable[[npt.NDArray[np.bool_]], float],
    start: npt.NDArray[np.bool_],
    center: npt.NDArray[np.bool_],
    rng: np.random.Generator,
    num_passes: int = 1,
    candidates_per_line: int = 0,
    on_error: Callable[[float], None] = lambda _: None,
) -> Descent:
    """Move each sample of a mask, one after the other, to the place where the error is lowest, if it falls there.

    It ends before the last pass when a pass that tried all places moved nothing.

    Args:
        error: Of a mask of the shape of `start`, such as a mean over training slices.
        start: (phase,) bool lines, or (rows, columns) bool samples of a pattern or of a tile that repeats.
        center: Of the same shape; what is True here stays as it is: the centre, or what cannot be acquired.
        rng: Source of every random choice: the order of samples, and the candidates.
        num_passes: Times that every sample is tried, at least 1.
        candidates_per_line: Free places that each sample is tried at, drawn at random; all of them if 0.
        on_error: Called with the lowest error so far, after each one that was computed.

    Returns:
        The mask, and its error from pass to pass.

    Raises:
        ConfigError: Shapes differ, or a number is out of range.
    """
    if start.shape != center.shape:
        raise ConfigError(f"a mask of {start.shape} cannot have a centre of {center.shape}; make both for one shape")
    if num_passes < 1 or candidates_per_line < 0:
        numbers = f"{num_passes} and {candidates_per_line}"
        raise ConfigError(f"coordinate descent takes 1 or more passes and 0 or more candidates, found {numbers}")
    samples = start.copy()
    errors = [error(samples)]
    for _ in range(num_passes):
        lowest = errors[-1]
        is_moved = False
        for place in rng.permutation(np.flatnonzero(samples & ~center)).tolist():
            free = rng.permutation(np.flatnonzero(~samples & ~center))
            best = samples
            for other in free[: candidates_per_line or None].tolist():
                moved = samples.copy()
                moved.flat[place], moved.flat[other] = False, True
                found = error(moved)
                if found < lowest:
                    best, lowest, is_moved = moved, found, True
                on_error(lowest)
            samples = best
        errors.append(lowest)
        if not is_moved and not candidates_per_line:
            break
    return Descent(samples, errors)


def num_errors(start: npt.NDArray[np.bool_], center: npt.NDArray[np.bool_], num_passes: int, candidates: int) -> int:
    """How many errors `coordinate_descent` computes at most, beside the first one."""
    num_free = int((~start & ~center).sum())
    return num_passes * int((start & ~center).sum()) * min(candidates or num_free, num_free)
