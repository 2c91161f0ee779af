"""U-Net of 2018: max pooling, bilinear upsampling, and a bottom that widens no further."""

import itertools

import torch
from torch import nn

from mrikit.models.blocks import (
    InputConv,
    JoinConv,
    OutputConv,
    channels_to_complex,
    complex_to_channels,
    instance_norm,
    normalise,
    pad_to_multiple,
    unnormalise,
    unpad,
)

_MULTIPLE = 16


class BilinearUnet(nn.Module):
    """Convolutions on ever coarser images and back, with what each resolution saw on the way down.

    Args:
        num_inputs: Input channels.
        num_outputs: Output channels.
        num_channels: Channels at full resolution; doubled at each pooling but the last.
        num_pools: Halvings of the resolution.

    Source:
        The first U-Net baseline of Zbontar et al., fastMRI, arXiv:1811.08839, with biases, as Defazio et al. use it,
        arXiv:2001.08699. It ends with three 1 x 1 convolutions and nothing between them.
    """

    def __init__(self, *, num_inputs: int, num_outputs: int, num_channels: int, num_pools: int) -> None:
        super().__init__()
        widths = [num_channels * 2**level for level in range(num_pools)]
        pairs = list(zip([num_inputs, *widths], widths, strict=False))
        self.down = nn.ModuleList(PlainBlock(*pair, is_first=level == 0) for level, pair in enumerate(pairs))
        self.bottom = PlainBlock(widths[-1], widths[-1])
        narrower = [*widths[-2::-1], num_channels]
        self.up = nn.ModuleList(PlainBlock(2 * pair[0], pair[1]) for pair in zip(widths[::-1], narrower, strict=True))
        sizes = (num_channels, num_channels // 2, num_outputs, num_outputs)
        self.output = nn.Sequential(*(OutputConv(*pair) for pair in itertools.pairwise(sizes)))

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        """(batch, num_inputs, y, x) to (batch, num_outputs, y, x) float32, any sizes of 2^num_pools or more."""
        # In this order of memory the network takes less time on a CPU.
        channels = channels.contiguous(memory_format=torch.channels_last)
        skipped = []
        for block in self.down:
            channels = block(channels)
            skipped.append(channels)
            channels = nn.functional.max_pool2d(channels, 2)
        channels = self.bottom(channels)
        for block in self.up:
            skip = skipped.pop()
            channels = block(nn.functional.interpolate(channels, skip.shape[-2:], mode="bilinear"), skip)
        output: torch.Tensor = self.output(channels)
        return output


class PlainBlock(nn.Module):
    """Twice: 3 x 3 convolution with bias, instance norm and ReLU.

    Args:
        num_inputs: Input channels, of all inputs together.
        num_outputs: Output channels.
        is_first: Whether the input is an image, which is not to be rounded.
    """

    def __init__(self, num_inputs: int, num_outputs: int, *, is_first: bool = False) -> None:
        super().__init__()
        # The norm behind them takes the biases out again; they are there because published weights have them.
        self.first = (InputConv if is_first else JoinConv)(num_inputs, num_outputs, has_bias=True)
        self.second = JoinConv(num_outputs, num_outputs, has_bias=True)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Any number of (batch, channel, y, x) to (batch, num_outputs, y, x)."""
        channels = instance_norm(self.first(*inputs)).relu()
        return instance_norm(self.second(channels)).relu()


class PaddedUnet(nn.Module):
    """A U-Net on complex images; mean and standard deviation are those of the image with zeros around it.

    Args:
        num_channels: Channels of the U-Net at full resolution.
        num_pools: Its poolings.
    """

    def __init__(self, num_channels: int, num_pools: int) -> None:
        super().__init__()
        self.unet = BilinearUnet(num_inputs=2, num_outputs=2, num_channels=num_channels, num_pools=num_pools)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(batch, 1, y, x) complex64 to the same, in the scale of the input."""
        size = (image.shape[-2], image.shape[-1])
        # Unlike E2E-VarNet, which pads what is normalised already.
        channels, mean, std = normalise(pad_to_multiple(complex_to_channels(image), _MULTIPLE), num_groups=2)
        return channels_to_complex(unpad(unnormalise(self.unet(channels), mean, std), size, _MULTIPLE))
