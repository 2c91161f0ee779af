"""Discriminators that tell by the banding of an image whether its scan was transposed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import torch
from torch import nn

from mrikit.errors import ConfigError, DataError
from mrikit.models.blocks import normalise

_NUM_INPUTS = 3  # equal channels, because networks of photographs have as many
_CHANNELS_PER_GROUP = 32
_POOL = 4
_DARK_SHARE, _DARKEST = 0.1, 1e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class DiscriminatorKind:
    """A published discriminator, or `narrow`."""

    make: Callable[[], nn.Module]
    """A new one of random weights: (batch, 3, y, x) float32 to (batch, 1) logits."""
    smallest: int
    """Rows and columns that an image needs."""


class Discriminators(nn.Module):
    """Several discriminators of one kind, each of which judges every image.

    Args:
        kind: A key of `DISCRIMINATORS`.
        count: How many, at least 1; they differ by their random weights.

    Raises:
        ConfigError: There is no such kind, or none is to be made.

    Source:
        Defazio et al., MRI banding removal via adversarial training, NeurIPS 2020, arXiv:2001.08699. Parameters have
        the published names.
    """

    def __init__(self, kind: str, count: int = 1) -> None:
        super().__init__()
        if kind not in DISCRIMINATORS:
            raise ConfigError(f"no discriminator is called {kind!r}; there are {', '.join(DISCRIMINATORS)}")
        if count < 1:
            raise ConfigError(f"an adversary needs at least 1 discriminator, found {count}")
        self.kind, self.smallest = kind, DISCRIMINATORS[kind].smallest
        self.members = nn.ModuleList(DISCRIMINATORS[kind].make() for _ in range(count))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """What `as_inputs` makes of images to (batch, count) float32 logits, above 0 for transposed.

        Raises:
            DataError: Images that are too small.
        """
        rows, columns = inputs.shape[-2:]
        if min(rows, columns) < self.smallest:
            raise DataError(
                f"the discriminator {self.kind} needs images of {self.smallest} x {self.smallest} or more, found "
                f"{rows} x {columns}; " + _others(min(rows, columns))
            )
        return torch.cat([member(inputs) for member in self.members], dim=1).float()


def as_inputs(image: torch.Tensor, is_transposed: torch.Tensor) -> torch.Tensor:
    """Images as anatomy lies, each with mean 0 and deviation 1, three times over.

    Mean and deviation pass gradients on. An image that does not vary becomes 0. The deviation is that of the three
    equal channels, unbiased, as published.

    Args:
        image: (batch, y, x) float32 magnitude.
        is_transposed: (batch,) bool, whether the scan of each was transposed, and so its image.

    Returns:
        (batch, 3, y, x) float32.

    Raises:
        DataError: Images of both orientations that are not square.
    """
    # In one order in memory, so that an image that is turned back rounds as one that was never turned.
    turned = image.mT.contiguous()
    if not bool(is_transposed.all()):
        if bool(is_transposed.any()) and image.shape[-2] != image.shape[-1]:
            rows, columns = image.shape[-2:]
            raise DataError(
                f"a batch of both orientations, of {rows} x {columns}, which are no square; crop it to one, or batch "
                f"each orientation by itself"
            )
        # Where none is transposed, the shapes need not fit.
        turned = torch.where(is_transposed[:, None, None], turned, image) if bool(is_transposed.any()) else image
    return normalise(turned.unsqueeze(1).expand(-1, _NUM_INPUTS, -1, -1), num_groups=1)[0]


def show_dark(image: torch.Tensor) -> torch.Tensor:
    """Images as a logarithm shows them: dark places in full contrast, bright ones in little.

    Banding lies in the noise, a hundredth of what tissue gives, and a discriminator of the image as it is takes
    thousands of steps to look there. This is asinh(image / level), and the level is what a tenth of the pixels lie
    below, or 0.001 of the largest one if that is more: noise, where the image holds some that is nothing else.

    Args:
        image: (batch, y, x) float32 magnitude.

    Returns:
        (batch, y, x) float32, of no scale; 0 stays 0. The level passes no gradient on.
    """
    flat = image.detach().flatten(1)
    level = torch.maximum(flat.quantile(_DARK_SHARE, dim=1), _DARKEST * flat.amax(1))
    return torch.asinh(image / torch.where(level > 0, level, 1.0)[:, None, None])


class PreActivationNet(nn.Module):
    """The banding study's own discriminators: residual blocks, then the mean over the image.

    Args:
        widths: Channels of each block's input and output, and 0 where the image is reduced to a quarter.
        kernel_size: Of all convolutions but the shortcuts', odd.
        normalises: Whether each channel of the input is brought to mean 0 and deviation 1.
    """

    def __init__(self, widths: tuple[tuple[int, int], ...], kernel_size: int, *, normalises: bool) -> None:
        super().__init__()
        self.normalises = normalises
        first, last = widths[0][0], max(width for pair in widths for width in pair)
        self.conv_img = nn.Conv2d(_NUM_INPUTS, first, kernel_size, padding=kernel_size // 2)
        self.resnet = nn.Sequential(
            *(ResidualBlock(*pair, kernel_size) if any(pair) else nn.MaxPool2d(_POOL) for pair in widths)
        )
        self.fc = nn.Linear(last, 1)
        _initialise(self, "fan_in")

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(batch, 3, y, x) float32 to (batch, 1) logits."""
        channels = _standardise(inputs) if self.normalises else inputs
        logits: torch.Tensor = self.fc(self.resnet(self.conv_img(channels)).mean((2, 3)).relu())
        return logits


class ResidualBlock(nn.Module):
    """Twice group norm, ReLU and convolution, beside a shortcut."""

    def __init__(self, num_inputs: int, num_outputs: int, kernel_size: int) -> None:
        super().__init__()
        num_inside = min(num_inputs, num_outputs)
        make_conv = partial(nn.Conv2d, kernel_size=kernel_size, padding=kernel_size // 2, bias=False)
        self.norm_0 = _group_norm(num_inputs)
        self.conv_0 = make_conv(num_inputs, num_inside)
        self.norm_1 = _group_norm(num_inside)
        self.conv_1 = make_conv(num_inside, num_outputs)
        self.conv_s = nn.Identity() if num_inputs == num_outputs else nn.Conv2d(num_inputs, num_outputs, 1, bias=False)

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        """(batch, num_inputs, y, x) to (batch, num_outputs, y, x)."""
        inside = self.conv_0(self.norm_0(channels).relu())
        added: torch.Tensor = self.conv_s(channels) + self.conv_1(self.norm_1(inside).relu())
        return added


class ResNet50(nn.Module):
    """ResNet-50 with group norm and one logit.

    Args:
        pools: Whether the image is halved once more behind the first convolution.

    Source:
        He et al., Deep residual learning for image recognition, CVPR 2016, arXiv:1512.03385, with the stride on the
        3 x 3 convolutions. Names are those of torchvision.
    """

    def __init__(self, *, pools: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(_NUM_INPUTS, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = _group_norm(64)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1) if pools else nn.Identity()
        self.layer1 = _layer(64, 64, num_blocks=3, stride=1)
        self.layer2 = _layer(256, 128, num_blocks=4, stride=2)
        self.layer3 = _layer(512, 256, num_blocks=6, stride=2)
        self.layer4 = _layer(1024, 512, num_blocks=3, stride=2)
        self.fc = nn.Linear(2048, 1)
        _initialise(self, "fan_out")

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(batch, 3, y, x) float32 to (batch, 1) logits."""
        channels = self.pool(self.bn1(self.conv1(inputs)).relu())
        channels = self.layer4(self.layer3(self.layer2(self.layer1(channels))))
        logits: torch.Tensor = self.fc(channels.mean((2, 3)))
        return logits


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolution, the last to four times the width, beside a shortcut."""

    def __init__(self, num_inputs: int, width: int, stride: int, *, is_first: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_inputs, width, 1, bias=False)
        self.bn1 = _group_norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = _group_norm(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = _group_norm(4 * width)
        shortcut = (nn.Conv2d(num_inputs, 4 * width, 1, stride=stride, bias=False), _group_norm(4 * width))
        self.downsample = nn.Sequential(*shortcut) if is_first else nn.Identity()

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        """(batch, num_inputs, y, x) to (batch, 4 width, y / stride, x / stride), rounded up."""
        inside = self.bn1(self.conv1(channels)).relu()
        inside = self.bn3(self.conv3(self.bn2(self.conv2(inside)).relu()))
        added: torch.Tensor = inside + self.downsample(channels)
        return added.relu()


_SHALLOW = ((64, 64), (64, 64), (0, 0), (64, 128), (128, 128), (0, 0))
_WIDE = ((128, 128), (128, 128), (128, 128), (0, 0), (128, 256), (256, 256), (256, 256), (0, 0))
_SIMPLE = ((128, 128), (128, 128))
_NARROW = ((32, 32), (0, 0), (32, 64), (0, 0))

DISCRIMINATORS: Final[dict[str, DiscriminatorKind]] = {
    "shallow": DiscriminatorKind(make=partial(PreActivationNet, _SHALLOW, 5, normalises=True), smallest=16),
    "wide": DiscriminatorKind(make=partial(PreActivationNet, _WIDE, 5, normalises=True), smallest=16),
    "simple": DiscriminatorKind(make=partial(PreActivationNet, _SIMPLE, 3, normalises=False), smallest=3),
    "resnet50": DiscriminatorKind(make=partial(ResNet50, pools=True), smallest=32),
    "unpooled_resnet50": DiscriminatorKind(make=partial(ResNet50, pools=False), smallest=16),
    "narrow": DiscriminatorKind(make=partial(PreActivationNet, _NARROW, 5, normalises=True), smallest=16),
}
"""Name to discriminator: five published ones, and `narrow`, a shallow one of half the width and half the blocks that
costs a CPU a sixth. Images smaller than the last layer's stride would be all border to it, and are refused."""


def _others(size: int) -> str:
    suited = [name for name, kind in DISCRIMINATORS.items() if kind.smallest <= size]
    return f"take {' or '.join(suited)}" if suited else "take larger images"


def _group_norm(num_channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(num_channels // _CHANNELS_PER_GROUP, num_channels)


def _layer(num_inputs: int, width: int, *, num_blocks: int, stride: int) -> nn.Sequential:
    rest = (Bottleneck(4 * width, width, 1, is_first=False) for _ in range(num_blocks - 1))
    return nn.Sequential(Bottleneck(num_inputs, width, stride, is_first=True), *rest)


def _initialise(network: nn.Module, mode: Literal["fan_in", "fan_out"]) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")


def _standardise(channels: torch.Tensor) -> torch.Tensor:
    """Instance norm without epsilon, which can be differentiated twice; a channel that does not vary becomes 0."""
    centred = channels - channels.mean((2, 3), keepdim=True)
    variance = centred.square().mean((2, 3), keepdim=True)
    return centred * torch.where(variance > 0, variance, 1.0).rsqrt()
