"""U-Net: the network, and the model that removes the aliasing of a zero-filled image with it."""

from dataclasses import dataclass

import torch
from torch import nn

from mrikit.errors import ConfigError, DataError
from mrikit.models.blocks import ConvBlock, OutputConv, UpBlock, normalise, unnormalise
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c

_EPS, _MOST_DEVIATIONS = 1e-11, 6  # of fastMRI's U-Net


@dataclass(frozen=True, kw_only=True, slots=True)
class UnetConfig:
    """Settings of the U-Net."""

    num_channels: int = 32
    """Channels at full resolution; doubled at each pooling."""
    num_pools: int = 4
    """Halvings of the resolution, at least 1."""
    dropout: float = 0.0
    """Probability of a channel to be 0 during training, below 1."""
    crops_before: bool = False
    """Whether it is given the scored window alone, as fastMRI does, instead of the full field of view."""
    clamps_input: bool = False
    """Whether the standard deviation gets 1e-11 more, and what is beyond 6 of them is cut off, as fastMRI does."""

    def __post_init__(self) -> None:
        if self.num_channels < 1 or self.num_pools < 1 or not 0 <= self.dropout < 1:
            found = f"{self.num_channels}, {self.num_pools} and {self.dropout}"
            raise ConfigError(f"unet needs num_channels >= 1, num_pools >= 1 and 0 <= dropout < 1, found {found}")


class UnetModel(nn.Module):
    """A U-Net on the root sum of squares of the zero-filled coil images.

    Source:
        The U-Net baseline of Zbontar et al., fastMRI, arXiv:1811.08839. It crops to the scored window first, normalises
        with an epsilon of 1e-11 and clamps at 6 standard deviations; here that is done for its weights alone.
    """

    def __init__(self, config: UnetConfig) -> None:
        super().__init__()
        self.config = config
        self.network = Unet(
            num_inputs=1,
            num_outputs=1,
            num_channels=config.num_channels,
            num_pools=config.num_pools,
            dropout=config.dropout,
        )

    def forward(self, masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor) -> torch.Tensor:
        """Masked k-space to the (batch, y, x) magnitude; mask and centre are not needed.

        With `crops_before` k-space is that of the scored window, see `mrikit.data.network_inputs`.

        Raises:
            DataError: Images too small for the poolings.
        """
        del mask, num_center_lines
        aliased, mean, std = normalise(rss(ifft2c(masked_kspace)).unsqueeze(1), num_groups=1)
        if self.config.clamps_input:
            aliased = (aliased * (std / (std + _EPS)).flatten(1, 2)).clamp(-_MOST_DEVIATIONS, _MOST_DEVIATIONS)
        return unnormalise(self.network(aliased), mean, std).squeeze(1)


class Unet(nn.Module):
    """Convolutions on ever coarser images and back, with what each resolution saw on the way down.

    Args:
        num_inputs: Input channels.
        num_outputs: Output channels.
        num_channels: Channels at full resolution; doubled at each pooling.
        num_pools: Halvings of the resolution.
        dropout: Probability of a channel to be 0 during training.

    Source:
        Ronneberger et al., U-Net, MICCAI 2015, arXiv:1505.04597, as fastMRI has it: instance norm, leaky ReLU, average
        pooling.
    """

    def __init__(
        self, *, num_inputs: int, num_outputs: int, num_channels: int, num_pools: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        widths = [num_channels * 2**level for level in range(num_pools + 1)]
        pairs = list(zip([num_inputs, *widths], widths, strict=False))
        blocks = [ConvBlock(*pair, dropout, is_first=level == 0) for level, pair in enumerate(pairs)]
        self.down = nn.ModuleList(blocks[:-1])
        self.bottom = blocks[-1]
        self.up = nn.ModuleList(UpBlock(2 * width, width) for width in widths[-2::-1])
        self.merge = nn.ModuleList(ConvBlock(2 * width, width, dropout) for width in widths[-2::-1])
        self.output = OutputConv(num_channels, num_outputs)

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        """(batch, num_inputs, y, x) to (batch, num_outputs, y, x) float32, any sizes of 2^num_pools or more.

        Raises:
            DataError: Smaller images.
        """
        smallest = 2 ** len(self.down)
        if min(channels.shape[-2:]) < smallest:
            size = " x ".join(map(str, channels.shape[-2:]))
            raise DataError(f"a U-Net of {len(self.down)} poolings needs images of {smallest} or more, found {size}")
        # In this order of memory the network takes a third less time on a CPU.
        channels = channels.contiguous(memory_format=torch.channels_last)
        skipped = []
        for block in self.down:
            channels = block(channels)
            skipped.append(channels)
            channels = nn.functional.avg_pool2d(channels, 2)
        channels = self.bottom(channels)
        for up, merge in zip(self.up, self.merge, strict=True):
            skip = skipped.pop()
            channels = merge(_match(up(channels), skip), skip)
        return self.output(channels)


def _match(channels: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
    """Repeat the last but one row and column where pooling dropped one of an odd size."""
    rows, columns = (wanted - found for wanted, found in zip(skip.shape[-2:], channels.shape[-2:], strict=True))
    return nn.functional.pad(channels, (0, columns, 0, rows), mode="reflect") if rows or columns else channels
