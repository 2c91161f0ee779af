"""One-step oracle: try lines, take the best."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from mrikit.acquire.policies.policy import Observation, require_free
from mrikit.errors import ConfigError, DataError

ScoreMasks = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""What masks are worth: the number of the image, (candidate,) int64, and masks of it, (candidate, phase) bool, to
(candidate,) scores of its reconstructions, of which higher is better. It knows the images that the numbers mean, fully
sampled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OneStepOracle:
    """The free line whose reconstruction scores highest: a bound that no scanner can reach, as it needs the truth.

    It is greedy, so some other choice may be better in the end. Of lines of the same score the first tried is taken.

    Source:
        Pineda et al., MICCAI 2020, arXiv:2007.10469. The published one fails if all lines are to be tried.
    """

    score: ScoreMasks
    """Of the images of the batch: the number of an image is its place in the observation."""
    num_samples: int | None = None
    """How many free lines are tried, drawn for each image; None for all, from the first column to the last."""
    batch_size: int = 32
    """Masks that are reconstructed and scored at once."""
    ignores_image: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.batch_size < 1 or (self.num_samples is not None and self.num_samples < 1):
            found = f"num_samples={self.num_samples} and batch_size={self.batch_size}"
            raise ConfigError(f"an oracle tries at least 1 line and scores at least 1 at once, found {found}")

    def choose(self, observation: Observation, generators: Sequence[np.random.Generator]) -> torch.Tensor:
        """See `Policy`; drawn from only where not all lines are tried.

        Raises:
            DataError: An episode without a free line, or scores that are no numbers.
        """
        mask = observation.mask
        require_free(observation.is_free)
        tried = [self._tried(row, rng) for row, rng in zip(observation.is_free, generators, strict=True)]
        counts = [len(lines) for lines in tried]
        images = torch.arange(len(mask), device=mask.device).repeat_interleave(torch.tensor(counts, device=mask.device))
        lines = torch.cat(tried)
        scores = score_all(self.score, images, with_line(mask[images], lines), self.batch_size)
        best = [part.argmax() for part in scores.split(counts)]
        return torch.stack([part[place] for part, place in zip(tried, best, strict=True)])

    def _tried(self, is_free: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        free = is_free.nonzero()[:, 0]
        if self.num_samples is None or self.num_samples >= len(free):
            return free
        return free[torch.from_numpy(rng.permutation(len(free))[: self.num_samples]).to(free.device)]


def with_line(mask: torch.Tensor, lines: torch.Tensor) -> torch.Tensor:
    """A (batch, phase) bool mask with one more line in each row, (batch,) int64; the argument stays as it is."""
    return mask.scatter(-1, lines[:, None], True)


def score_all(score: ScoreMasks, images: torch.Tensor, masks: torch.Tensor, batch_size: int) -> torch.Tensor:
    """Scores of masks, some at a time.

    Args:
        score: What masks are worth.
        images: (candidate,) int64.
        masks: (candidate, phase) bool.
        batch_size: How many at a time.

    Returns:
        (candidate,) float64.

    Raises:
        DataError: A score that is no number.
    """
    parts = zip(images.split(batch_size), masks.split(batch_size), strict=True)
    scores = torch.cat([score(*part).detach().double() for part in parts])
    if bool(scores.isnan().any()):
        raise DataError("an oracle got scores that are no numbers; are the reconstructions finite?")
    return scores
