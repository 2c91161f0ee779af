"""Networks that say what each line of k-space is worth: by the image so far, or by the step alone.

Each has one signature: `forward(image, mask) -> values`, (batch, phase) float32, -1e10 of the lines measured already.
"""

import itertools
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from mrikit.errors import ConfigError, DataError
from mrikit.models.cvpr19_evaluator import Evaluator, EvaluatorConfig

TAKEN: Final = -1e10
"""The value of a line that was measured already."""


def hide_taken(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(batch, phase) values with -1e10 where the (batch, phase) bool mask has measured."""
    return values.masked_fill(mask, TAKEN)


class SpectralQ(nn.Module):
    """Values by the image, from a network of the evaluator's form (SS-DDQN, subject-specific).

    Source:
        Pineda et al., Active MR k-space sampling with reinforcement learning, MICCAI 2020, arXiv:2007.10469. Theirs
        sees the upper part of an image alone: `pools_square`.
    """

    def __init__(self, config: EvaluatorConfig) -> None:
        super().__init__()
        self.config = config
        self.evaluator = Evaluator(config)

    def forward(self, image: torch.Tensor, mask: torch.Tensor, embedded: torch.Tensor | None = None) -> torch.Tensor:
        """What each line is worth; the arguments are those of `Evaluator`."""
        return hide_taken(self.evaluator(image, mask, embedded), mask)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepQConfig:
    """Settings of the network that knows the step alone."""

    width: int
    """Lines of k-space."""
    budget: int
    """Lines that an episode chooses."""
    num_given: int = 0
    """Lines measured before an episode begins, which do not count as steps. The published network counts them: with 30
    of them and a budget of 70, 30 is the first step it knows, and the last 30 steps look alike."""
    num_hidden: int = 32
    """Neurons of each of three hidden layers."""

    def __post_init__(self) -> None:
        if min(self.width, self.budget, self.num_hidden) < 1 or not 0 <= self.num_given < self.width:
            found = f"{self.width}, {self.budget}, {self.num_hidden} and {self.num_given}"
            raise ConfigError(
                "a network of steps needs width, budget and num_hidden >= 1 and num_given from 0 to below the width, "
                f"found {found}"
            )


class StepQ(nn.Module):
    """Values by the number of lines measured (DS-DDQN, dataset-specific): one order for all images.

    Beyond its budget it goes on with the last step. The published network draws its input at random there.

    Source:
        Pineda et al., Active MR k-space sampling with reinforcement learning, MICCAI 2020, arXiv:2007.10469.
    """

    def __init__(self, config: StepQConfig) -> None:
        super().__init__()
        self.config = config
        sizes = [config.budget, *[config.num_hidden] * 3, config.width]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in itertools.pairwise(sizes))

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """What each line is worth.

        Args:
            image: Not looked at.
            mask: (batch, phase) bool, the lines measured.

        Returns:
            (batch, phase) float32, -1e10 of the lines measured.

        Raises:
            DataError: A mask of another width.
        """
        del image
        if mask.shape[-1] != self.config.width:
            raise DataError(f"a network of {self.config.width} lines was given a mask of {mask.shape[-1]}")
        step = (mask.sum(-1) - self.config.num_given).clamp(0, self.config.budget - 1)
        features = nn.functional.one_hot(step, self.config.budget).float()
        for layer in self.layers[:-1]:
            features = nn.functional.relu(layer(features))
        return hide_taken(self.layers[-1](features), mask)
