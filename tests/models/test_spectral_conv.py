import pytest
import torch
from helpers import complex_normal, relative_error

from mrikit.models.spectral_conv import SpectralConv
from mrikit.physics.fft import fft2c, ifft2c


def images_of_lines(image):
    """(batch, y, x) to (batch, 2 phase, y, x): both parts of what each line alone gives."""
    width = image.shape[-1]
    alone = torch.eye(width)[:, None] * fft2c(image)[:, None]
    return torch.view_as_real(ifft2c(alone)).movedim(-1, 2).flatten(1, 2)


def by_definition(layer, image, constants):
    planes = constants[..., None, None].expand(-1, -1, *image.shape[-2:])
    channels = torch.cat([images_of_lines(image), torch.zeros_like(planes[:, 2 * image.shape[-1] :])], dim=1) + planes
    return torch.nn.functional.conv2d(channels, layer.weight, layer.bias, stride=2, padding=1)


def make(size, num_constants):
    torch.manual_seed(0)
    layer = SpectralConv(size[1], num_constants, 3)
    return layer, complex_normal((2, *size)), complex_normal((2, 2 * size[1] + num_constants), seed=1).real


@pytest.mark.parametrize("num_constants", [0, 2])
@pytest.mark.parametrize("size", [(8, 8), (4, 5), (5, 4), (13, 7), (6, 18)])
@torch.inference_mode()
def test_it_is_the_convolution_of_the_images_that_lines_give(size, num_constants):
    layer, image, constants = make(size, num_constants)
    assert relative_error(layer(image, constants), by_definition(layer, image, constants)) < 1e-5


def test_its_gradients_are_those_of_the_convolution():
    gradients = []
    for function in (lambda layer, *inputs: layer(*inputs), by_definition):
        layer, image, constants = make((10, 9), 1)
        image.requires_grad_()
        constants.requires_grad_()
        function(layer, image, constants).square().sum().backward()
        gradients.append([image.grad, constants.grad, layer.weight.grad, layer.bias.grad])
    for found, expected in zip(*gradients, strict=True):
        assert relative_error(found, expected) < 1e-4


@torch.inference_mode()
def test_it_stays_float32_under_autocast():
    layer, image, constants = make((8, 8), 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = layer(image, constants)
    assert torch.equal(rounded, layer(image, constants))
