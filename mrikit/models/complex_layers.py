"""Layers of complex networks: convolution, linear layer, pooling, normalisation."""

import torch
from torch import nn

_EPS, _MOMENTUM = 1e-5, 0.1


class ComplexLayer(nn.Module):
    """A complex convolution or linear layer, of two real ones.

    Args:
        real: The layer that makes the real part of the weight; its bias counts once for each part of the output.
        imag: The layer that makes the imaginary part. So the whole bias is (b_real - b_imag) + i (b_real + b_imag).

    Source:
        Trabelsi et al., Deep complex networks, ICLR 2018, arXiv:1705.09792; the biases are those of complexPyTorch.
    """

    def __init__(self, real: nn.Module, imag: nn.Module) -> None:
        super().__init__()
        self.real = real
        self.imag = imag

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Complex64 to complex64, of the shapes that the two layers map between."""
        real, imag = values.real, values.imag
        return torch.complex(self.real(real) - self.imag(imag), self.real(imag) + self.imag(real))


class ComplexBatchNorm(nn.Module):
    """Mean 0, and no correlation between real and imaginary part, in each channel of a batch.

    Source:
        Trabelsi et al., Deep complex networks, ICLR 2018, arXiv:1705.09792, section 3.5, as complexPyTorch has it: the
        running variances hold the epsilon, and in evaluation it is added again.
    """

    running_mean: torch.Tensor
    """(channel,) complex64."""
    running_covar: torch.Tensor
    """(channel, 3) float32: variances of real and imaginary part, and their covariance."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        start = torch.tensor([2**0.5, 2**0.5, 0.0]).repeat(num_channels, 1)
        self.weight = nn.Parameter(start.clone())
        self.bias = nn.Parameter(torch.zeros(num_channels, 2))
        self.register_buffer("running_mean", torch.zeros(num_channels, dtype=torch.complex64))
        self.register_buffer("running_covar", start)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(batch, channel, y, x) complex64 to the same; in training the running statistics follow the batch."""
        if self.training:
            mean, covar = self._statistics(values)
        else:
            mean = self.running_mean
            covar = self.running_covar + self.running_covar.new_tensor([_EPS, _EPS, 0.0])
        centred = values - _per_channel(mean)
        whitened = _symmetric_product(_inverse_root(covar), centred)
        return _symmetric_product(self.weight, whitened) + _per_channel(torch.view_as_complex(self.bias))

    def _statistics(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean (channel,) and covariance (channel, 3) of a batch, epsilon included."""
        mean = values.mean((0, 2, 3))
        real, imag = torch.view_as_real(values - _per_channel(mean)).unbind(-1)
        products = torch.stack([real * real + _EPS, imag * imag + _EPS, real * imag])
        covar = products.mean((1, 3, 4)).mT
        with torch.no_grad():
            num = values.numel() // values.shape[1]
            self.running_mean.lerp_(mean, _MOMENTUM)
            self.running_covar.lerp_(covar * (num / (num - 1)), _MOMENTUM)
        return mean, covar


def relu_parts(values: torch.Tensor) -> torch.Tensor:
    """ReLU of the real and of the imaginary part, complex64."""
    return torch.complex(nn.functional.relu(values.real), nn.functional.relu(values.imag))


def pool_largest(values: torch.Tensor) -> torch.Tensor:
    """(batch, channel, y, x) complex64 to half the size: of each 2 x 2 values that of the largest magnitude."""
    _, places = nn.functional.max_pool2d(values.detach().abs(), 2, return_indices=True)
    return values.flatten(-2).gather(-1, places.flatten(-2)).unflatten(-1, places.shape[-2:])


def _inverse_root(covar: torch.Tensor) -> torch.Tensor:
    """(channel, 3) of symmetric 2 x 2 matrices to those of the inverse of their square root."""
    real, imag, both = covar.unbind(-1)
    determinant = (real * imag - both * both).sqrt()
    trace = (real + imag + 2 * determinant).sqrt()
    return torch.stack([imag + determinant, real + determinant, -both], dim=-1) / (determinant * trace).unsqueeze(-1)


def _symmetric_product(matrix: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """(channel, 3) symmetric matrices times the two parts of (batch, channel, y, x) complex64."""
    of_real, of_imag, of_both = (_per_channel(entry) for entry in matrix.unbind(-1))
    real, imag = values.real, values.imag
    return torch.complex(of_real * real + of_both * imag, of_both * real + of_imag * imag)


def _per_channel(entries: torch.Tensor) -> torch.Tensor:
    return entries[:, None, None]
