"""AnatomyNet: a small network that tells from undersampled k-space which anatomy a slice shows."""

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from mrikit.errors import ConfigError
from mrikit.models.blocks import normalise
from mrikit.models.output import Output
from mrikit.physics.coils import rss
from mrikit.physics.crop import center_crop
from mrikit.physics.fft import ifft2c

ANATOMIES = ("brain", "knee")
"""What the classes are, in the order of the logits."""
UNKNOWN_BELOW = 0.8
"""A volume whose confidence is lower counts as unknown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnatomyNetConfig:
    """Settings of the classifier."""

    num_channels: int = 8
    """Channels after the first convolution; each further one has twice as many."""
    num_layers: int = 5
    """Convolutions, each of which but the last halves the image."""
    image_size: int = 64
    """Rows and columns that an image is reduced to."""

    def __post_init__(self) -> None:
        if self.num_channels < 1 or self.num_layers < 1:
            found = f"{self.num_channels} and {self.num_layers}"
            raise ConfigError(f"anatomy_net needs num_channels and num_layers of at least 1, found {found}")
        if self.image_size < 2**self.num_layers:
            raise ConfigError(
                f"{self.num_layers} layers need an image_size of at least {2**self.num_layers}, found {self.image_size}"
            )


class AnatomyNet(nn.Module):
    """Logits of the anatomies of each slice, from coil images of any size and scale.

    The middle square of the root-sum-of-squares image, reduced to a small one of mean 0 and deviation 1, goes through
    convolutions and global pooling. Logits are means over the eight orientations of that square, so that flips and
    quarter turns change nothing.
    """

    def __init__(self, config: AnatomyNetConfig) -> None:
        super().__init__()
        self.config = config
        sizes = [1, *(config.num_channels * 2**layer for layer in range(config.num_layers))]
        self.convs = nn.ModuleList(
            nn.Conv2d(num_inputs, num_outputs, kernel_size=3, padding=1)
            for num_inputs, num_outputs in itertools.pairwise(sizes)
        )
        self.norms = nn.ModuleList(nn.InstanceNorm2d(num_outputs, affine=True) for num_outputs in sizes[1:])
        self.output = nn.Linear(2 * sizes[-1], len(ANATOMIES))

    def forward(self, masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor) -> torch.Tensor:
        """(batch, coil, readout, phase) complex64 masked k-space to (batch, class) float32 logits of ANATOMIES.

        Mask and centre are not needed.
        """
        logits: torch.Tensor = self.compute(masked_kspace, mask, num_center_lines).extras["logits"]
        return logits

    def compute(self, masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor) -> Output:
        """As `forward`; the logits are among the extras, and there is no image."""
        del mask, num_center_lines
        images = _orientations(self._reduce(rss(ifft2c(masked_kspace))))
        features = images.flatten(0, 1).unsqueeze(1)
        for conv, norm in zip(self.convs[:-1], self.norms[:-1], strict=True):
            features = nn.functional.max_pool2d(nn.functional.leaky_relu(norm(conv(features)), 0.1), 2)
        features = nn.functional.leaky_relu(self.norms[-1](self.convs[-1](features)), 0.1)
        # After instance norm the mean alone says little; with the maximum a tenth of the steps suffices.
        pooled = torch.cat([features.mean((-2, -1)), features.amax((-2, -1))], dim=1)
        logits = self.output(pooled)
        return Output(None, extras={"logits": logits.float().unflatten(0, images.shape[:2]).mean(0)})

    def _reduce(self, image: torch.Tensor) -> torch.Tensor:
        """(batch, y, x) float32 of any size and scale to (batch, size, size), a constant image to zeros."""
        # The readout has twice the field of view in most scans, and nothing but air there.
        side = min(image.shape[-2:])
        square = center_crop(image, (side, side))
        small = nn.functional.adaptive_avg_pool2d(square.unsqueeze(1), self.config.image_size)
        normed, _, _ = normalise(small, 1)
        return normed.squeeze(1)


class AnatomyGuess(NamedTuple):
    """What a volume shows."""

    anatomy: str
    """Of ANATOMIES the most probable one."""
    confidence: float
    """Its probability, the mean over the slices."""

    @property
    def is_known(self) -> bool:
        """Whether it may be relied on."""
        return self.confidence >= UNKNOWN_BELOW


def guess_anatomy(logits: torch.Tensor) -> AnatomyGuess:
    """(slice, class) logits of a volume's slices to what the volume shows.

    Probabilities are averaged, not logits: one odd slice shall not outvote the others.
    """
    probabilities = logits.double().softmax(-1).mean(0)
    best = int(probabilities.argmax())
    confidence = float(probabilities[best])
    return AnatomyGuess(ANATOMIES[best], confidence if math.isfinite(confidence) else 0.0)


def _orientations(image: torch.Tensor) -> torch.Tensor:
    """(batch, n, n) to (8, batch, n, n): every flip and quarter turn."""
    turned = [torch.rot90(image, turns, (-2, -1)) for turns in range(4)]
    return torch.stack(turned + [each.transpose(-2, -1) for each in turned])
