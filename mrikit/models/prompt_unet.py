"""The U-Net of PromptMR: residual blocks, learned prompts on the way up, and features remembered between cascades."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from mrikit.models.blocks import InputConv, PreciseConv

_ATTENTION_REDUCTION = 4

History = tuple[tuple[torch.Tensor, ...], ...]
"""For each level of a U-Net, coarsest first: what entered it in earlier cascades, latest first; empty in the first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptUnetConfig:
    """Size of one `PromptUnet`; tuples have one entry for each level, finest first."""

    num_inputs: int
    """Input channels."""
    num_outputs: int
    """Output channels."""
    stem_width: int
    """Channels at full resolution."""
    feature_widths: tuple[int, ...]
    """Channels after each halving of the resolution."""
    prompt_widths: tuple[int, ...]
    """Channels of the prompts."""
    prompt_lengths: tuple[int, ...]
    """Prompts to mix."""
    prompt_sizes: tuple[int, ...]
    """Sides of the square prompts before they are resized, pixels."""
    num_encoder_blocks: tuple[int, ...]
    """Residual blocks on the way down."""
    num_decoder_blocks: tuple[int, ...]
    """Residual blocks on the way up."""
    num_skip_blocks: tuple[int, ...]
    """Residual blocks from the way down to the way up."""
    num_bottleneck_blocks: int
    """Residual blocks at the coarsest resolution."""
    has_attention: bool
    """Whether residual blocks weigh their channels."""
    learnable_prompts: bool
    """Whether prompts learn; else they stay the noise they begin as."""
    num_history: int = 0
    """Earlier cascades whose features are seen again."""
    has_segments: bool = False
    """Whether training computes the inside of each level again instead of keeping it."""


class PromptUnet(nn.Module):
    """Residual blocks on ever coarser images and back, with prompts beside the features on the way back.

    Args:
        config: Its size.
        activation: One slope for all residual blocks but the very first, or None for each its own.

    Source:
        Xin et al., Fill the k-space and refine the image: prompting for dynamic and multi-contrast MRI reconstruction,
        STACOM 2023, arXiv:2309.13839; history: Xin et al., Rethinking deep unrolled model for accelerated MRI
        reconstruction, ECCV 2024. Channels are reduced before they are resized here, not after: the same numbers.
    """

    def __init__(self, config: PromptUnetConfig, activation: nn.PReLU | None = None) -> None:
        super().__init__()
        self.num_history = config.num_history
        self.has_segments = config.has_segments
        widths = (config.stem_width, *config.feature_widths)
        levels = range(len(config.feature_widths))
        make_block = functools.partial(ResidualBlock, has_attention=config.has_attention, activation=activation)
        self.stem = InputConv(config.num_inputs, config.stem_width)
        blocks = [[make_block(widths[level]) for _ in range(config.num_encoder_blocks[level])] for level in levels]
        if blocks[0]:
            blocks[0][0] = ResidualBlock(config.stem_width, has_attention=config.has_attention)
        self.down = nn.ModuleList(DownLevel(blocks[level], *widths[level : level + 2]) for level in levels)
        self.bottom = nn.Sequential(*(make_block(widths[-1]) for _ in range(config.num_bottleneck_blocks)))
        self.up = nn.ModuleList(UpLevel(config, level, make_block) for level in levels)
        self.output = PreciseConv(config.stem_width, config.num_outputs, kernel_size=5)

    def forward(self, channels: torch.Tensor, history: History = ()) -> tuple[torch.Tensor, History]:
        """Correct an image.

        Args:
            channels: (batch, num_inputs, y, x) float32, sizes that 2^levels divides.
            history: What the same call in the previous cascade returned; empty in the first.

        Returns:
            (batch, num_outputs, y, x) float32, and the history for the next cascade.
        """
        run = _checkpoint if self.has_segments and torch.is_grad_enabled() else _call
        # In this order of memory convolutions are fastest, on a CPU as well as on a GPU.
        channels = self.stem(channels.contiguous(memory_format=torch.channels_last))
        skipped, features = [], []
        for down in self.down:
            skip, channels = run(down, channels)
            skipped.append(skip)
        channels = run(self.bottom, channels)
        past = history or ((),) * len(self.up)
        for level, up in enumerate(reversed(self.up)):
            features.append(channels)
            channels = run(up, channels, skipped.pop(), past[level])
        return self.output(channels), self._remember(features, history)

    def _remember(self, features: list[torch.Tensor], history: History) -> History:
        if not self.num_history:
            return ()
        if not history:
            return tuple((feature,) * self.num_history for feature in features)
        return tuple((feature, *past[:-1]) for feature, past in zip(features, history, strict=True))


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with a PReLU in between, and optionally channel attention, added to their input.

    Args:
        width: Channels.
        has_attention: Whether each channel is weighted, by what the means of all channels say.
        activation: The PReLU of another owner; None for one of its own.
    """

    def __init__(self, width: int, *, has_attention: bool, activation: nn.PReLU | None = None) -> None:
        super().__init__()
        self.first = _conv(width, width, 3)
        self.activation = nn.PReLU() if activation is None else None
        # In a tuple torch does not see it, so that the state dict holds it once, with its owner.
        self._shared = (activation,)
        self.second = _conv(width, width, 3)
        self.attention = ChannelAttention(width) if has_attention else nn.Identity()

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        """(batch, width, y, x) to the same."""
        inner = self.first(channels)
        slope = (self.activation or self._shared[0]).weight  # type: ignore[union-attr]
        inner = nn.functional.prelu(inner, slope.to(inner.dtype))
        return channels + self.attention(self.second(inner))


class ChannelAttention(nn.Module):
    """Weigh channels between 0 and 1, by a small network on their means."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.squeeze = _conv(width, width // _ATTENTION_REDUCTION, 1)
        self.excite = _conv(width // _ATTENTION_REDUCTION, width, 1)

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        """(batch, width, y, x) to the same."""
        means = channels.mean((2, 3), keepdim=True)
        return channels * self.excite(self.squeeze(means).relu()).sigmoid()


class DownLevel(nn.Module):
    """Residual blocks, whose output the way up sees again, and a convolution that halves the resolution.

    Args:
        blocks: Of num_inputs channels.
        num_inputs: Channels at this resolution.
        num_outputs: Channels at half of it.
    """

    def __init__(self, blocks: list[ResidualBlock], num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.shrink = nn.Conv2d(num_inputs, num_outputs, kernel_size=3, stride=2, padding=1)

    def forward(self, channels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, num_inputs, y, x) to the same for the way up, and (batch, num_outputs, y / 2, x / 2)."""
        channels = self.blocks(channels)
        return channels, self.shrink(channels)


class UpLevel(nn.Module):
    """History, prompts and residual blocks, then twice the resolution and what the way down saw there.

    Args:
        config: Of the whole U-Net.
        level: 0 for the finest.
        make_block: A residual block of so many channels.
    """

    def __init__(self, config: PromptUnetConfig, level: int, make_block: Callable[[int], ResidualBlock]) -> None:
        super().__init__()
        width, prompt_width = config.feature_widths[level], config.prompt_widths[level]
        num_outputs = (config.stem_width, *config.feature_widths)[level]
        num_blocks = config.num_decoder_blocks[level]
        self.num_history = config.num_history
        self.recall = nn.Sequential()
        if config.num_history:
            self.recall.extend([_conv(width * (config.num_history + 1), width, 1), make_block(width)])
        self.prompt = Prompt(config, level)
        self.blocks = nn.Sequential(*(make_block(width + prompt_width) for _ in range(num_blocks)))
        self.reduce = _conv(width + prompt_width, width, 1)
        self.expand = _conv(width, num_outputs, 1)
        self.skip = nn.Sequential(*(make_block(num_outputs) for _ in range(config.num_skip_blocks[level])))
        self.merge = make_block(num_outputs)

    def forward(self, channels: torch.Tensor, skip: torch.Tensor, past: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Go one level up.

        Args:
            channels: (batch, width, y, x).
            skip: (batch, num_outputs, 2 y, 2 x), what the way down saw.
            past: What entered this level in earlier cascades; empty in the first, which sees its own again.

        Returns:
            (batch, num_outputs, 2 y, 2 x).
        """
        past = past or (channels,) * self.num_history
        prompt = self.prompt(channels)
        channels = self.recall(torch.cat([channels, *past], dim=1) if past else channels)
        channels = self.blocks(torch.cat([channels, prompt], dim=1))
        channels = self.expand(self.reduce(channels))
        channels = nn.functional.interpolate(channels, scale_factor=2, mode="bilinear")
        return self.merge(channels + self.skip(skip))


class Prompt(nn.Module):
    """A mixture of stored pictures, weighted by what the means of the features say, in the size of the features."""

    def __init__(self, config: PromptUnetConfig, level: int) -> None:
        super().__init__()
        length, width = config.prompt_lengths[level], config.prompt_widths[level]
        size = config.prompt_sizes[level]
        self.bank = nn.Parameter(torch.rand(length, width, size, size), requires_grad=config.learnable_prompts)
        self.choose = nn.Linear(config.feature_widths[level], length)
        self.smooth = _conv(width, width, 3)

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        """(batch, feature width, y, x) to (batch, prompt width, y, x)."""
        weights = self.choose(channels.mean((2, 3))).softmax(dim=-1)
        prompt = torch.einsum("bl,lcyx->bcyx", weights, self.bank.to(weights.dtype))
        prompt = nn.functional.interpolate(prompt, channels.shape[-2:], mode="bilinear")
        return self.smooth(prompt.to(channels.dtype, memory_format=torch.channels_last))


def _conv(num_inputs: int, num_outputs: int, kernel_size: int) -> nn.Conv2d:
    return nn.Conv2d(num_inputs, num_outputs, kernel_size, padding=kernel_size // 2, bias=False)


def _call(module: nn.Module, *inputs: Any) -> Any:  # noqa: ANN401 - what the module takes and gives
    return module(*inputs)


def _checkpoint(module: nn.Module, *inputs: Any) -> Any:  # noqa: ANN401
    return checkpoint(module, *inputs, use_reentrant=False, preserve_rng_state=False)
