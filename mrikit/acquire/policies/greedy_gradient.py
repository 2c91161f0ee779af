"""Greedy gradient: probabilities of lines by the image, for policies that learn by greedy search."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import nn

from mrikit.acquire.policies.drawing import draw_lines
from mrikit.acquire.policies.policy import Observation, require_free
from mrikit.errors import ConfigError, DataError

_GRID: Final = 4
"""Places along either axis of the image whose features are told apart."""
_SMALLEST: Final = 8 * _GRID


@dataclass(frozen=True, kw_only=True, slots=True)
class GreedyGradientConfig:
    """Settings of the greedy policy gradient: its network, its use, and how it learns."""

    num_channels: int = 8
    """Channels of the first convolution; doubled at each of the two others."""
    num_hidden: int = 256
    """Neurons of the hidden layer."""
    is_drawn: bool = False
    """Whether lines are drawn by their probabilities, as published, instead of the likeliest being taken; while it
    learns they are always drawn."""
    num_tried: int = 8
    """Lines drawn for each image at each step while it learns, at least 2: their mean is what each is compared with."""

    def __post_init__(self) -> None:
        if min(self.num_channels, self.num_hidden) < 1:
            found = f"{self.num_channels} and {self.num_hidden}"
            raise ConfigError(f"greedy_gradient needs num_channels and num_hidden >= 1, found {found}")
        if self.num_tried < 2:
            raise ConfigError(
                f"greedy_gradient compares lines with one another: num_tried is 2 or more, found {self.num_tried}"
            )


class LineLogits(nn.Module):
    """Three convolutions that halve the image, means of their features on a coarse grid, and two linear layers.

    Smaller than the published network, which looks at all features of an image of 128 x 128. It sees the mask too.

    Args:
        matrix: Rows and columns of the image.
        config: Its sizes.

    Raises:
        ConfigError: The matrix is too small.
    """

    def __init__(self, matrix: tuple[int, int], config: GreedyGradientConfig) -> None:
        super().__init__()
        if min(matrix) < _SMALLEST:
            found = " x ".join(map(str, matrix))
            raise ConfigError(f"greedy_gradient needs a matrix of {_SMALLEST} x {_SMALLEST} or more, found {found}")
        self.matrix = matrix
        widths = [config.num_channels * 2**level for level in range(3)]
        self.convs = nn.ModuleList(
            [
                nn.Conv2d(1, widths[0], kernel_size=5, stride=2, padding=2),
                nn.Conv2d(widths[0], widths[1], kernel_size=3, stride=2, padding=1),
                nn.Conv2d(widths[1], widths[2], kernel_size=3, stride=2, padding=1),
            ]
        )
        self.hidden = nn.Linear(widths[2] * _GRID**2 + matrix[1], config.num_hidden)
        self.output = nn.Linear(config.num_hidden, matrix[1])

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """A number for each line, whose softmax over the free ones is how likely it is.

        Args:
            image: (batch, y, x) float32, of any scale.
            mask: (batch, phase) bool, the lines measured.

        Returns:
            (batch, phase) float32, of measured lines too.

        Raises:
            DataError: Images of another matrix.
        """
        if tuple(image.shape[-2:]) != tuple(self.matrix):
            found, expected = (" x ".join(map(str, size)) for size in (image.shape[-2:], self.matrix))
            raise DataError(f"this policy chooses lines by images of {expected}, found {found}")
        scale = image.square().mean((-2, -1), keepdim=True).sqrt()
        features = (image / torch.where(scale > 0, scale, 1.0))[:, None]
        for conv in self.convs:
            features = nn.functional.relu(conv(features))
        pooled = nn.functional.adaptive_avg_pool2d(features, _GRID).flatten(1)
        hidden = nn.functional.relu(self.hidden(torch.cat([pooled, mask.float()], dim=-1)))
        logits: torch.Tensor = self.output(hidden).float()
        return logits


@dataclass(frozen=True, kw_only=True, slots=True)
class GreedyGradient:
    """The likeliest free line, or one drawn by the probabilities.

    Source:
        Bakker et al., Experimental design for MRI by greedy policy search, NeurIPS 2020, arXiv:2010.16262. There lines
        are drawn, and a score is the mean over eight episodes of each image.
    """

    network: LineLogits
    is_drawn: bool = False
    """Whether lines are drawn."""

    def choose(self, observation: Observation, generators: Sequence[np.random.Generator]) -> torch.Tensor:
        """See `Policy`; drawn from only where lines are drawn.

        Raises:
            DataError: An episode without a free line, or images of another matrix.
        """
        with torch.no_grad():
            chances = self.log_chances(observation).double().exp()
        return draw_lines(chances, generators) if self.is_drawn else chances.argmax(-1)

    def probabilities(self, observation: Observation) -> torch.Tensor:
        """(batch, phase) float32, how likely each line is chosen; 1 of the likeliest where that is taken."""
        with torch.no_grad():
            chances = self.log_chances(observation).exp()
        if self.is_drawn:
            return chances
        return nn.functional.one_hot(chances.argmax(-1), chances.shape[-1]).float()

    def log_chances(self, observation: Observation) -> torch.Tensor:
        """(batch, phase) float32 logarithms of the probabilities, -inf where not free; with gradients.

        Raises:
            DataError: An episode without a free line, or images of another matrix.
        """
        require_free(observation.is_free)
        logits: torch.Tensor = self.network(observation.reconstruction[:, 0], observation.mask)
        return logits.masked_fill(~observation.is_free, -torch.inf).log_softmax(-1)


def build_greedy_gradient(config: GreedyGradientConfig, matrix: tuple[int, int]) -> GreedyGradient:
    """With weights of torch's random state.

    Args:
        config: Its settings.
        matrix: (readout, phase) of k-space.

    Raises:
        ConfigError: The matrix is too small.
    """
    return GreedyGradient(network=LineLogits(matrix, config), is_drawn=config.is_drawn)
