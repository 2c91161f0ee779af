"""A policy judged: every slice once, without chance beyond its own."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mrikit.acquire.episodes import Episodes
from mrikit.acquire.learning.playing import observe
from mrikit.acquire.policies.policy import Policy
from mrikit.acquire.rewards import ERRORS
from mrikit.evaluate.curves import areas_under
from mrikit.randomness import generator


class Played(NamedTuple):
    """What episodes came to."""

    scores: npt.NDArray[np.float64]
    """(slice, step) after the given lines and after each further one."""
    num_lines: tuple[int, ...]
    """(step,) lines measured."""

    @property
    def area(self) -> float:
        """Mean area under the curves over their width."""
        return float(areas_under(self.scores, self.num_lines).mean())

    @property
    def final(self) -> float:
        """Mean score after the last line."""
        return float(self.scores[:, -1].mean())


def play_all(
    policy: Policy, make: Callable[[int], Episodes], num_slices: int, num_rows: int, stops: Callable[[], bool]
) -> Played | None:
    """Play an episode on each slice.

    Args:
        policy: Chooses the lines; where it draws, by a generator for each slice.
        make: So many rows to new episodes.
        num_slices: Of the slices that they play on.
        num_rows: At a time.
        stops: Asked after every line whether to give up.

    Returns:
        None if it was to give up.
    """
    parts = []
    for first in range(0, num_slices, num_rows):
        positions = list(range(first, min(first + num_rows, num_slices)))
        episodes = make(len(positions))
        num_given = episodes.given.num_lines[0]
        episodes.begin(list(range(len(positions))), positions, [num_given] * len(positions))
        generators = [generator("validation", position) for position in positions]
        name = episodes.config.score
        curve = [episodes.scores[name].copy()]
        while not episodes.is_over.all():
            if stops():
                return None
            episodes.measure(policy.choose(observe(episodes), generators).numpy(force=True))
            curve.append(episodes.scores[name].copy())
        parts.append(np.stack(curve, axis=1))
    scores = np.concatenate(parts)
    return Played(scores, tuple(range(num_given, num_given + scores.shape[1])))


def is_better(name: str, area: float, best: float) -> bool:
    """Whether an area under curves of this score is better than another."""
    return area < best if name in ERRORS else area > best
