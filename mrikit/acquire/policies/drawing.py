"""Drawing one line by the weights of all."""

from collections.abc import Sequence

import numpy as np
import torch

from mrikit.acquire.policies.policy import require_free


def draw_lines(chances: torch.Tensor, generators: Sequence[np.random.Generator]) -> torch.Tensor:
    """One line for each episode, by one uniform number from its generator.

    Args:
        chances: (batch, phase) float64 probabilities, each row of sum 1.
        generators: One for each row.

    Returns:
        (batch,) int64, never a line of probability 0.
    """
    # As numpy's RandomState.choice does: the first column whose cumulative sum is above the number.
    sums = chances.numpy(force=True).cumsum(-1)
    sums /= sums[:, -1:]
    drawn = [row.searchsorted(rng.random(), side="right") for row, rng in zip(sums, generators, strict=True)]
    return torch.tensor(drawn, dtype=torch.int64, device=chances.device)


def normalise_free(weights: torch.Tensor, is_free: torch.Tensor) -> torch.Tensor:
    """Weights of the free lines as probabilities.

    Args:
        weights: (phase,) float64, above 0.
        is_free: (batch, phase) bool.

    Returns:
        (batch, phase) float64, 0 where not free, each row of sum 1.

    Raises:
        DataError: A row without a free line.
    """
    require_free(is_free)
    chances = torch.where(is_free, weights.to(is_free.device), 0.0)
    return chances / chances.sum(-1, keepdim=True)
