"""What networks on MR images share: complex images as channels, normalisation, padding, and the way back of each."""

import functools
import math
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from mrikit.models.choices import is_on_cpu

_NORM_EPS = 1e-5
_SLOPE = 0.2


def complex_to_channels(image: torch.Tensor) -> torch.Tensor:
    """(batch, channel, y, x) complex64 to (batch, 2 channel, y, x) float32: all real parts, then all imaginary parts.

    One channel is not copied: its memory already has the order that convolutions are fastest in, channels last.
    """
    return torch.view_as_real(image).permute(0, 4, 1, 2, 3).flatten(1, 2)


def channels_to_complex(channels: torch.Tensor) -> torch.Tensor:
    """(batch, 2 channel, y, x) float to (batch, channel, y, x) complex64; undoes `complex_to_channels`."""
    parts = channels.float().unflatten(1, (2, -1)).permute(0, 2, 3, 4, 1)
    return torch.view_as_complex(parts.contiguous())


def normalise(channels: torch.Tensor, num_groups: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean 0 and standard deviation 1 in each group of neighbouring channels of each batch element.

    A group that does not vary becomes 0 with a standard deviation of exactly 0: `unnormalise` then gives its mean,
    whatever a network made of it. There is no epsilon, because images have values of 1e-6 as well as of 1e6.

    Args:
        channels: (batch, channel, y, x) float32.
        num_groups: Groups of the channels, such as 2 for the real and the imaginary parts.

    Returns:
        Normalised (batch, channel, y, x), and (batch, num_groups, 1, 1, 1) means and standard deviations.
    """
    groups = channels.unflatten(1, (num_groups, -1))
    mean = groups.mean((2, 3, 4), keepdim=True)
    centred = groups - mean
    variance = centred.square().sum((2, 3, 4), keepdim=True) / max(math.prod(groups.shape[2:]) - 1, 1)
    # The square root has no gradient at 0, so it must not see one.
    is_varied = variance > 0
    std = torch.where(is_varied, variance, 1.0).sqrt()
    return (centred / std).flatten(1, 2), mean, torch.where(is_varied, std, 0.0)


def unnormalise(channels: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Give channels the means and standard deviations that `normalise` found, float32."""
    groups = channels.unflatten(1, (mean.shape[1], -1))
    return (groups * std + mean).flatten(1, 2)


def pad_to_multiple(channels: torch.Tensor, multiple: int) -> torch.Tensor:
    """Zeros around (..., y, x), the odd one at the end, up to sizes that `multiple` divides."""
    before, after = zip(*(_margins(size, multiple) for size in channels.shape[-2:]), strict=True)
    if not any(after):
        return channels
    return nn.functional.pad(channels, (before[1], after[1], before[0], after[0]))


def unpad(channels: torch.Tensor, size: tuple[int, int], multiple: int) -> torch.Tensor:
    """The (..., y, x) of this size that `pad_to_multiple` put zeros around."""
    row, column = (_margins(length, multiple)[0] for length in size)
    return channels[..., row : row + size[0], column : column + size[1]]


def _margins(size: int, multiple: int) -> tuple[int, int]:
    missing = -size % multiple
    return missing // 2, missing - missing // 2


class ConvBlock(nn.Module):
    """Twice: 3 x 3 convolution, instance norm, leaky ReLU and dropout of whole channels.

    Args:
        num_inputs: Input channels, of all inputs together.
        num_outputs: Output channels.
        dropout: Probability of a channel to be 0 during training.
        is_first: Whether the input is an image, which is not to be rounded.
    """

    def __init__(self, num_inputs: int, num_outputs: int, dropout: float, *, is_first: bool = False) -> None:
        super().__init__()
        self.first = (InputConv if is_first else JoinConv)(num_inputs, num_outputs)
        self.second = JoinConv(num_outputs, num_outputs)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Any number of (batch, channel, y, x) to (batch, num_outputs, y, x)."""
        channels = self.dropout(_norm_relu(self.first(*inputs)))
        return self.dropout(_norm_relu(self.second(channels)))


class UpBlock(nn.Module):
    """Twice the size: 2 x 2 transposed convolution, instance norm and leaky ReLU."""

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(num_inputs, num_outputs, kernel_size=2, stride=2, bias=False)

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        """(batch, num_inputs, y, x) to (batch, num_outputs, 2 y, 2 x)."""
        return _norm_relu(self.conv(channels))


class JoinConv(nn.Conv2d):
    """A 3 x 3 convolution of several inputs as if they were joined into one, which is never made nor kept."""

    def __init__(self, num_inputs: int, num_outputs: int, *, has_bias: bool = False) -> None:
        super().__init__(num_inputs, num_outputs, kernel_size=3, padding=1, bias=has_bias)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Inputs (batch, channel, y, x), whose channels add up to num_inputs, to (batch, num_outputs, y, x)."""
        weights = self.weight.split([channels.shape[1] for channels in inputs], dim=1)
        biases = [self.bias, *[None] * (len(inputs) - 1)]
        parts = [nn.functional.conv2d(*part, padding=1) for part in zip(inputs, weights, biases, strict=True)]
        return functools.reduce(torch.Tensor.add_, parts)


class InputConv(nn.Conv2d):
    """A 3 x 3 convolution of an image in float32, also where the network after it runs in bfloat16.

    With the image rounded to 8 bits, bfloat16 would change SSIM by twice as much.
    """

    def __init__(self, num_inputs: int, num_outputs: int, *, has_bias: bool = False) -> None:
        super().__init__(num_inputs, num_outputs, kernel_size=3, padding=1, bias=has_bias)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(batch, num_inputs, y, x) float32 to (batch, num_outputs, y, x) of the type that the network runs in."""
        device = image.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else self.weight.dtype
        with torch.autocast(device, enabled=False):
            bias = None if self.bias is None else _precise(self.bias)
            return nn.functional.conv2d(_precise(image), _precise(self.weight), bias, padding=1).to(dtype)


class OutputConv(nn.Conv2d):
    """A 1 x 1 convolution with bias in float32, also where the network before it runs in bfloat16.

    The image would otherwise be rounded to 8 bits.
    """

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__(num_inputs, num_outputs, kernel_size=1)

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        """(batch, num_inputs, y, x) of any float type to (batch, num_outputs, y, x) float32."""
        bias = None if self.bias is None else self.bias.float()
        with torch.autocast(channels.device.type, enabled=False):
            # As a matrix product over the last axis of memory, because torch has no fast 1 x 1 convolution in float32.
            pixels = nn.functional.linear(channels.permute(0, 2, 3, 1).float(), self.weight.flatten(1).float(), bias)
        return pixels.permute(0, 3, 1, 2)


class PreciseConv(nn.Conv2d):
    """A convolution without bias in float32, also where the network before it runs in bfloat16."""

    def __init__(self, num_inputs: int, num_outputs: int, kernel_size: int) -> None:
        super().__init__(num_inputs, num_outputs, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        """(batch, num_inputs, y, x) of any float type to (batch, num_outputs, y, x) float32."""
        with torch.autocast(channels.device.type, enabled=False):
            return nn.functional.conv2d(channels.float(), self.weight.float(), padding=self.padding)


def instance_norm(channels: torch.Tensor) -> torch.Tensor:
    """Instance norm (epsilon 1e-5) without weights, which keeps the memory order and takes maps of a single pixel.

    It subtracts the mean first: a group norm of one channel a group is as fast, but loses the digits of a map whose
    mean is far from 0. It may change its argument, as `_norm_relu` may.

    Args:
        channels: (batch, channel, y, x) of any float type, the output of a convolution.
    """
    return _Norm.apply(channels)  # type: ignore[no-untyped-call]


def _norm_relu(channels: torch.Tensor) -> torch.Tensor:
    """Instance norm (epsilon 1e-5) without weights, then leaky ReLU (slope 0.2).

    It may change its argument, against the rule of the house, because on a CPU new memory costs more than the sums; a
    convolution does not need its output again. The step is an invertible function of what it returns, so only that is
    kept for the gradient, and the next convolution keeps it anyway: half the memory of the two layers. It also keeps
    the memory order (channels last) that torch's instance norm would undo.

    Args:
        channels: (batch, channel, y, x) of any float type, the output of a convolution.

    Source:
        Rota Bulo et al., In-place activated BatchNorm, CVPR 2018, arXiv:1712.02616, here for instance norm.
    """
    return _NormRelu.apply(channels)  # type: ignore[no-untyped-call]


class _NormRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, channels: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 - torch gives its type no name
        normed, scale = _norm_rounded(channels) if _is_rounded_on_cpu(channels) else _norm_(channels)
        output = nn.functional.leaky_relu_(normed, _SLOPE)
        if output is channels:
            ctx.mark_dirty(channels)
        ctx.save_for_backward(output, scale)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        output, scale = ctx.saved_tensors
        inner = torch.ops.aten.leaky_relu_backward(gradient, output, _SLOPE, True)
        normed = nn.functional.leaky_relu(output, 1 / _SLOPE)
        norm_backward = _norm_rounded_backward if _is_rounded_on_cpu(output) else _norm_backward_
        return norm_backward(inner, normed, scale)


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, channels: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 - torch gives its type no name
        normed, scale = _norm_rounded(channels) if _is_rounded_on_cpu(channels) else _norm_(channels)
        if normed is channels:
            ctx.mark_dirty(channels)
        ctx.save_for_backward(normed, scale)
        return normed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        normed, scale = ctx.saved_tensors
        norm_backward = _norm_rounded_backward if _is_rounded_on_cpu(normed) else _norm_backward_
        return norm_backward(gradient.clone(), normed.clone(), scale)


def _norm_(channels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Instance norm and the factors (batch, channel, 1, 1) in it; float32 changes its argument."""
    precise = _precise(channels)
    precise.sub_(precise.mean((2, 3), keepdim=True))
    # vector_norm needs no second array but is wrong by 3e-5, channels last.
    scale = (precise.square().mean((2, 3), keepdim=True) + _NORM_EPS).rsqrt_()
    return precise.mul_(scale).to(channels.dtype), scale


def _norm_backward_(gradient: torch.Tensor, normed: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """The gradient of instance norm, given its output; float32 changes both arguments."""
    inner, outer = _precise(gradient), _precise(normed)
    projection = (inner * outer).mean((2, 3), keepdim=True)
    inner = inner.sub_(inner.mean((2, 3), keepdim=True)).sub_(outer.mul_(projection)).mul_(scale)
    return inner.to(gradient.dtype)


def _precise(channels: torch.Tensor) -> torch.Tensor:
    return channels.to(torch.promote_types(channels.dtype, torch.float32))


def _is_rounded_on_cpu(channels: torch.Tensor) -> bool:
    return is_on_cpu(channels) and channels.dtype.itemsize < torch.float32.itemsize


def _norm_rounded(channels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """As `_norm_`, in half the time from 16 channels, as torch's batch norm of an element; sums are wrong by 3e-5."""
    one, zero = _constants(channels)
    results = [
        torch.native_batch_norm(element, one, zero, None, None, True, 0.0, _NORM_EPS) for element in channels.split(1)
    ]
    return _join([normed for normed, _, _ in results]), torch.stack([scale for _, _, scale in results])


def _norm_rounded_backward(gradient: torch.Tensor, normed: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """As `_norm_backward_`: what was normed already has mean 0 and deviation 1, and the factors as its weights."""
    one, zero = _constants(normed)
    backward = torch.ops.aten.native_batch_norm_backward
    elements = zip(gradient.split(1), normed.split(1), scale, strict=True)
    gradients = [
        backward(inner, outer, weight, None, None, zero, one, True, _NORM_EPS, [True, False, False])[0]
        for inner, outer, weight in elements
    ]
    return _join(gradients)


def _constants(channels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Ones and zeros (channel,) float32: given such weights batch norm computes in float32."""
    zero = torch.zeros(channels.shape[1], device=channels.device)
    return torch.ones_like(zero), zero


def _join(elements: list[torch.Tensor]) -> torch.Tensor:
    return elements[0] if len(elements) == 1 else torch.cat(elements)
