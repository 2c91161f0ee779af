import torch
from helpers import complex_normal, relative_error
from torch import nn

from mrikit.models.complex_layers import ComplexBatchNorm, ComplexLayer, pool_largest, relu_parts


@torch.inference_mode()
def test_a_complex_convolution_is_torchs_with_complex_weights():
    torch.manual_seed(0)
    layer = ComplexLayer(nn.Conv2d(2, 3, (3, 2)), nn.Conv2d(2, 3, (3, 2)))
    values = complex_normal((2, 2, 7, 6))
    weight = torch.complex(layer.real.weight, layer.imag.weight)
    bias = torch.complex(layer.real.bias - layer.imag.bias, layer.real.bias + layer.imag.bias)
    assert relative_error(layer(values), nn.functional.conv2d(values, weight, bias)) < 1e-5


def parts(values):
    """(channel, 2, number) of (batch, channel, y, x)."""
    return torch.view_as_real(values).permute(1, 4, 0, 2, 3).flatten(2)


@torch.inference_mode()
def test_a_batch_is_whitened_in_each_channel():
    noise = complex_normal((8, 3, 9, 11))
    values = torch.complex(2 * noise.real + 5, noise.imag - 1.5 * noise.real)
    norm = ComplexBatchNorm(3).train()
    found = parts(norm(values))
    assert float(found.mean(-1).abs().max()) < 1e-4
    for channel in found:  # its initial weights are sqrt(2), so that a complex number has variance 4
        torch.testing.assert_close(torch.cov(channel), 2 * torch.eye(2), atol=1e-2, rtol=0)


@torch.inference_mode()
def test_weights_and_bias_transform_what_was_whitened():
    values, norm = complex_normal((4, 2, 5, 5)), ComplexBatchNorm(2).train()
    white = norm(values) / 2**0.5
    norm.weight.copy_(torch.tensor([[3.0, 1.0, 0.5], [1.0, 1.0, 0.0]]))
    norm.bias.copy_(torch.tensor([[0.1, -0.2], [0.0, 0.0]]))
    found = norm(values)
    expected = torch.complex(
        3 * white[:, 0].real + 0.5 * white[:, 0].imag + 0.1, 0.5 * white[:, 0].real + white[:, 0].imag - 0.2
    )
    torch.testing.assert_close(found[:, 0], expected)
    torch.testing.assert_close(found[:, 1], white[:, 1])


@torch.inference_mode()
def test_in_evaluation_the_statistics_of_training_count():
    values, norm = 3 * complex_normal((16, 2, 9, 9)) + (1 - 2j), ComplexBatchNorm(2).train()
    for _ in range(200):
        in_training = norm(values)
    norm.eval()
    assert relative_error(norm(values), in_training) < 1e-2
    before = norm.running_mean.clone()
    norm(complex_normal((2, 2, 4, 4)))
    assert torch.equal(norm.running_mean, before)


def test_its_gradient_is_that_of_the_whole_step():
    norm = ComplexBatchNorm(2).double().train()
    norm.running_mean = norm.running_mean.cdouble()
    values = complex_normal((2, 2, 2, 3)).cdouble().requires_grad_()
    assert torch.autograd.gradcheck(norm, values)


def test_of_four_values_the_largest_stays():
    values = torch.tensor([[1 + 1j, -3, 0, 0], [2j, 1, 0, 4j]])[None, None].requires_grad_()
    found = pool_largest(values)
    assert torch.equal(found, torch.tensor([[[[-3 + 0j, 4j]]]]))
    found.real.sum().backward()
    assert values.grad.nonzero().tolist() == [[0, 0, 0, 1], [0, 0, 1, 3]]


def test_each_part_is_rectified():
    values = torch.tensor([1 - 1j, -2 + 3j, -1 - 1j])
    assert torch.equal(relu_parts(values), torch.tensor([1, 3j, 0]))
