"""Any step of an acquisition: the middle, and a random number of lines around it, in a random family.

A reconstructor that was trained with one number of lines is poor at all others, and an episode of active acquisition
goes through them all. So each mask takes a family and a number of lines, every one as likely: from the lines given at
the start to those given and chosen. It has exactly that many, whatever the family.

The nominal acceleration is that of the end of an episode; the true one of a mask is that of its own lines.

Source:
    The families of Zhang et al., Reducing uncertainty in undersampled MRI reconstruction with active acquisition,
    CVPR 2019, arXiv:1902.03051. There the number of lines of a grid follows from its step, of 4, 8 or 16 lines; here
    the step follows from the number, so that no mask has more lines than an episode. What the pattern has too many of
    is left out at both ends, as of the regular patterns in `tiles`. That costs a symmetric mask of an odd number of
    lines the partner of one line.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from mrikit.errors import ConfigError
from mrikit.masks.kinds import cvpr19
from mrikit.masks.kinds.center import center_block
from mrikit.masks.kinds.kind import Budget, Drawn, Shape
from mrikit.masks.kinds.tiles import fit_samples
from mrikit.masks.mask import center_size

_Lines = Callable[[int, int], npt.NDArray[np.bool_]]
"""Width and step to (phase,) lines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeSettings:
    """Settings of `episode`."""

    num_given: int = 0
    """Lines in the middle that every mask has; the centre fraction of all, at least 1, if 0."""
    budget: int = 0
    """Lines that an episode chooses, at most so many in a mask beyond the given ones; if 0 as many as make the nominal
    acceleration."""
    families: tuple[str, ...] = ("basic", "symmetric", "low_to_high", "grid")
    """Names of `mrikit.masks.kinds.cvpr19.FAMILIES`, each as likely."""

    def __post_init__(self) -> None:
        if self.num_given < 0 or self.budget < 0:
            raise ConfigError(
                f"the episode mask needs num_given and budget from 0, found {self.num_given} and {self.budget}"
            )
        unknown = [name for name in self.families if name not in cvpr19.FAMILIES]
        if unknown or not self.families:
            found = repr(unknown[0]) if unknown else "none"
            raise ConfigError(f"families of the episode mask are {', '.join(cvpr19.FAMILIES)}, found {found}")


def lines(shape: Shape, budget: Budget, settings: EpisodeSettings, rng: np.random.RandomState) -> Drawn:
    """Lines of one step of an episode.

    Raises:
        ConfigError: An episode has more lines than k-space, or fewer than it is given.
    """
    width = shape[1]
    num_given = settings.num_given or max(budget.num_center(width), 1)
    if num_given + settings.budget > width:
        raise ConfigError(
            f"an episode of {num_given} given and {settings.budget} chosen lines is more than the {width} of k-space; "
            f"lower mask settings num_given and budget"
        )
    center = center_block(width, num_given)
    num_chosen = int(rng.randint(0, (settings.budget or budget.num_outside(center)) + 1))
    family = settings.families[rng.randint(len(settings.families))]
    if family in _GRIDS:
        pattern = _grid(_GRIDS[family], center, num_chosen)
    else:
        # Of symmetric lines rather one pair too many than one too few: the rest would be added at the rim.
        is_odd = int(family == "symmetric" and num_given + num_chosen < width)
        pattern = cvpr19.FAMILIES[family](width, num_given, num_chosen + is_odd, rng)
    samples = fit_samples(pattern, center, num_chosen)
    return Drawn(samples, (center_size(samples),))


def _grid(lines_of: _Lines, center: npt.NDArray[np.bool_], num_chosen: int) -> npt.NDArray[np.bool_]:
    """(phase,) bool, a grid as coarse as so many lines allow that lie outside the centre; the finest if none does."""
    width = len(center)
    # Coarser grids have as many lines, but the last ones at the rim: their gap around both ends is small.
    for step in range(width // (num_chosen + 1), 1, -1):
        pattern = lines_of(width, step)
        if (pattern & ~center).sum() >= num_chosen:
            return pattern
    return lines_of(width, 1)


def _through_middle(width: int, step: int) -> npt.NDArray[np.bool_]:
    """(phase,) bool, every so many lines through the middle one; as published where the step divides the width."""
    sampled: npt.NDArray[np.bool_] = (np.arange(width) - width // 2) % step == 0
    return sampled


_GRIDS: Final[dict[str, _Lines]] = {"grid": _through_middle, "symmetric_grid": cvpr19.symmetric_grid_lines}
