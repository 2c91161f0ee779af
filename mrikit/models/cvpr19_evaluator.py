"""The evaluator of CVPR'19's active acquisition: how well each line of k-space was reconstructed."""

import itertools
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from mrikit.errors import ConfigError, DataError
from mrikit.models.cvpr19 import init_normal, root_mean_square
from mrikit.models.spectral_conv import SpectralConv

_SLOPE: Final = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluatorConfig:
    """Settings of the evaluator."""

    width: int
    """Lines of k-space."""
    num_channels: int = 128
    """Channels of the first convolution; doubled at each but the last."""
    num_layers: int = 4
    """Convolutions that halve the size, at least 2."""
    num_given: int = 0
    """Lines in the middle, even, that are measured always and have no score of their own."""
    num_embedded: int = 0
    """Numbers of the reconstructor's map of the mask that it is given too; 0 for none."""
    adds_mask: bool = False
    """Whether 1 is added to the image of a line that was measured."""
    bounds_scores: bool = False
    """Whether scores are between 0 and 1, by a sigmoid."""
    divisor: float = 0.0
    """What images are divided by first; 0 for the root mean square of each."""
    misplaces_mask: bool = False
    """Whether `adds_mask` meets other lines' images than it should, as in the published network."""
    pools_square: bool = False
    """Whether only as many rows of features as columns are averaged, from the top, as in the published SS-DDQN: of a
    matrix of 640 x 368 the lower 43 % are left out."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.num_channels < 1 or self.num_layers < 2 or self.num_embedded < 0:
            found = f"{self.width}, {self.num_channels}, {self.num_layers} and {self.num_embedded}"
            raise ConfigError(
                "an evaluator needs width >= 1, num_channels >= 1, num_layers >= 2 and num_embedded >= 0, "
                f"found {found}"
            )
        if self.num_given % 2 or not 0 <= self.num_given < self.width:
            raise ConfigError(f"an evaluator needs num_given even, 0 to below {self.width}, found {self.num_given}")
        if not 0 <= self.divisor < float("inf"):
            raise ConfigError(f"an evaluator needs divisor >= 0, found {self.divisor}")


class Evaluator(nn.Module):
    """A convolutional network on the images that each line alone gives.

    Source:
        Zhang et al., Reducing uncertainty in undersampled MRI reconstruction with active acquisition, CVPR 2019,
        arXiv:1902.03051.
    """

    def __init__(self, config: EvaluatorConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.num_channels * 2**level for level in range(config.num_layers - 1)]
        pairs = itertools.pairwise([*widths, widths[-1]])
        self.first = SpectralConv(config.width, config.num_embedded, widths[0])
        self.convs = nn.ModuleList(nn.Conv2d(*pair, kernel_size=4, stride=2, padding=1) for pair in pairs)
        self.output = nn.Linear(widths[-1], config.width - config.num_given)
        self.apply(init_normal)

    def forward(self, image: torch.Tensor, mask: torch.Tensor, embedded: torch.Tensor | None = None) -> torch.Tensor:
        """The score of each line: 1 where it was measured or is as if it were, near 0 where it is wrong.

        Args:
            image: (batch, y, x) complex64 reconstruction, or float32 magnitude.
            mask: (batch, phase) bool, the lines measured.
            embedded: (batch, num_embedded) float32, the reconstructor's map of the mask.

        Returns:
            (batch, phase) float32; the lines given always have 1.

        Raises:
            DataError: Images of another width or too small, or an embedding of another size.
        """
        self._check(image, embedded)
        image = image / (self.config.divisor or root_mean_square(image))
        added = self._added(mask.float())
        constants = added if embedded is None else torch.cat([added, embedded], dim=-1)
        channels = nn.functional.leaky_relu(self.first(image, constants), _SLOPE)
        for conv in self.convs:
            channels = nn.functional.leaky_relu(nn.functional.instance_norm(conv(channels)), _SLOPE)
        if self.config.pools_square:
            channels = channels[..., : channels.shape[-1], :]
        scores = self.output(channels.mean((-2, -1))).float()
        return self._with_given(torch.sigmoid(scores) if self.config.bounds_scores else scores)

    def _added(self, mask: torch.Tensor) -> torch.Tensor:
        """(batch, phase) to what is added to the (batch, 2 phase) parts of the images of lines."""
        if not self.config.adds_mask:
            return mask.new_zeros(len(mask), 2 * mask.shape[-1])
        if not self.config.misplaces_mask:
            return mask.repeat_interleave(2, dim=-1)
        # There real and imaginary parts alternate, lines begin with the middle one, and channel j gets mask[j % phase].
        there = torch.fft.ifftshift(mask, dim=-1)
        return torch.fft.fftshift(torch.cat([there, there], dim=-1).unflatten(-1, (-1, 2)), dim=-2).flatten(1)

    def _with_given(self, scores: torch.Tensor) -> torch.Tensor:
        """Scores of the other lines, and 1 for those in the middle."""
        num_before = self.config.width // 2 - self.config.num_given // 2
        given = scores.new_ones(len(scores), self.config.num_given)
        return torch.cat([scores[:, :num_before], given, scores[:, num_before:]], dim=-1)

    def _check(self, image: torch.Tensor, embedded: torch.Tensor | None) -> None:
        size, smallest = image.shape[-2:], 2**self.config.num_layers
        found = " x ".join(map(str, size))
        if size[1] != self.config.width:
            raise DataError(f"an evaluator of {self.config.width} lines needs images as wide, found {found}")
        if min(size) < smallest or max(size) < 2 * smallest:
            raise DataError(
                f"an evaluator of {self.config.num_layers} layers needs images of {smallest} x {2 * smallest} or more, "
                f"found {found}"
            )
        num_found = 0 if embedded is None else embedded.shape[-1]
        if num_found != self.config.num_embedded:
            raise DataError(f"an evaluator for {self.config.num_embedded} embedded numbers was given {num_found}")
