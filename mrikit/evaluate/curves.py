"""Score over lines: its mean and interval, and the area under it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.evaluate.bootstrap import Interval, resample


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreCurve:
    """How good images are after each line, and all in one number."""

    num_lines: tuple[int, ...]
    """Lines measured, the given ones with them."""
    scores: tuple[Interval, ...]
    """Mean score after that many lines, and its 95 % interval over patients."""
    area: Interval
    """Area under the curve over its width in lines: the mean height, in the unit of the score."""


def score_curve(
    scores: npt.NDArray[np.floating], patients: Sequence[str], num_lines: Sequence[int], seed: int = 0
) -> ScoreCurve:
    """Means over episodes, and how far other patients would move them.

    Args:
        scores: (episode, step), after the given lines and after each further one.
        patients: (episode,) whose each is; episodes of one patient are drawn together.
        num_lines: (step,) rising, the lines measured.
        seed: The same scores and seed give the same intervals.

    Returns:
        The curve. Two curves of the same patients and seed are resampled alike.

    Raises:
        DataError: Scores that do not fit patients and lines, are no numbers, or lines that do not rise.
    """
    values = np.asarray(scores, np.float64)
    _check(values, patients, num_lines)
    columns = np.concatenate([values, areas_under(values, num_lines)[:, None]], axis=1)
    *steps, area = resample(patients, columns.tolist(), [1.0] * len(values), seed)
    return ScoreCurve(num_lines=tuple(map(int, num_lines)), scores=tuple(steps), area=area)


def areas_under(scores: npt.NDArray[np.floating], num_lines: Sequence[int]) -> npt.NDArray[np.float64]:
    """(episode,) float64 area under each curve over its width, by trapezoids; of one step the score itself.

    Args:
        scores: (episode, step).
        num_lines: (step,) rising.
    """
    values, places = np.asarray(scores, np.float64), np.asarray(num_lines, np.float64)
    if len(places) == 1:
        return values[:, 0]
    middles = (values[:, 1:] + values[:, :-1]) / 2
    found: npt.NDArray[np.float64] = middles @ np.diff(places) / (places[-1] - places[0])
    return found


def _check(scores: npt.NDArray[np.float64], patients: Sequence[str], num_lines: Sequence[int]) -> None:
    if scores.ndim != 2 or not scores.size or scores.shape != (len(patients), len(num_lines)):
        raise DataError(
            f"a curve needs scores (episode, step) of at least one, found {scores.shape} with {len(patients)} patients "
            f"and {len(num_lines)} counts of lines"
        )
    if np.isnan(scores).any():
        raise DataError("a curve needs scores that are numbers, found NaN; are the reconstructions finite?")
    if (np.diff(num_lines) <= 0).any():
        raise DataError(f"a curve needs counts of lines that rise, found {list(num_lines)[:8]} ...")
