"""The Q network of the digits agent: complex convolutions of reconstructed k-space."""

from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from mrikit.errors import ConfigError, DataError
from mrikit.models.complex_layers import ComplexBatchNorm, ComplexLayer, pool_largest, relu_parts
from mrikit.models.q_networks import hide_taken

_KERNEL: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class DigitsQConfig:
    """Settings of the digits agent's network."""

    matrix: tuple[int, ...] = (28, 28)
    """Rows and columns of k-space, 16 or more."""
    num_channels: tuple[int, ...] = (10, 20)
    """Channels of both convolutions."""
    num_hidden: int = 500
    """Neurons of the hidden layer."""

    def __post_init__(self) -> None:
        if len(self.matrix) != 2 or min(self.matrix) < 16:
            raise ConfigError(f"the digits agent needs a matrix of 16 x 16 or more, found {self.matrix}")
        if len(self.num_channels) != 2 or min(*self.num_channels, self.num_hidden) < 1:
            found = f"{self.num_channels} and {self.num_hidden}"
            raise ConfigError(f"the digits agent needs two num_channels and num_hidden, all >= 1, found {found}")


class DigitsQ(nn.Module):
    """Two complex convolutions and two complex linear layers; the magnitude of the output is the value.

    So values are never negative, although an agent may lose by a line: its gain in NMSE can be below 0.

    Source:
        The agent of the learned-sampling study (Accelerating_MRI_with_DL_and_RL).
    """

    def __init__(self, config: DigitsQConfig) -> None:
        super().__init__()
        self.config = config
        narrow, wide = config.num_channels
        rows, columns = (((size - _KERNEL + 1) // 2 - _KERNEL + 1) // 2 for size in config.matrix)
        self.first = ComplexLayer(*(nn.Conv2d(1, narrow, _KERNEL) for _ in range(2)))
        self.norm = ComplexBatchNorm(narrow)
        self.second = ComplexLayer(*(nn.Conv2d(narrow, wide, _KERNEL) for _ in range(2)))
        self.hidden = ComplexLayer(*(nn.Linear(wide * rows * columns, config.num_hidden) for _ in range(2)))
        self.output = ComplexLayer(*(nn.Linear(config.num_hidden, config.matrix[1]) for _ in range(2)))

    def forward(self, kspace: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """What each line is worth.

        Args:
            kspace: (batch, readout, phase) complex64, reconstructed.
            mask: (batch, phase) bool, the lines measured.

        Returns:
            (batch, phase) float32, -1e10 of the lines measured.

        Raises:
            DataError: K-space of another matrix.
        """
        if tuple(kspace.shape[-2:]) != tuple(self.config.matrix):
            found, expected = (" x ".join(map(str, size)) for size in (kspace.shape[-2:], self.config.matrix))
            raise DataError(f"this agent chooses lines for k-space of {expected}, found {found}")
        features = self.norm(pool_largest(relu_parts(self.first(kspace.unsqueeze(1)))))
        features = pool_largest(relu_parts(self.second(features)))
        features = relu_parts(self.hidden(features.flatten(1)))
        return hide_taken(self.output(features).abs(), mask)
