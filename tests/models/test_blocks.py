import pytest
import torch
from helpers import complex_normal, relative_error
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from mrikit.models import blocks
from mrikit.models.blocks import (
    ConvBlock,
    InputConv,
    JoinConv,
    OutputConv,
    UpBlock,
    channels_to_complex,
    complex_to_channels,
    instance_norm,
    normalise,
    pad_to_multiple,
    unnormalise,
    unpad,
)


def test_real_parts_come_before_imaginary_parts_and_the_way_back_is_exact():
    image = complex_normal((2, 3, 5, 4))
    channels = complex_to_channels(image)
    assert torch.equal(channels, torch.cat([image.real, image.imag], dim=1))
    assert torch.equal(channels_to_complex(channels), image)


def test_one_complex_channel_is_not_copied_and_lies_channels_last():
    image = complex_normal((2, 1, 6, 4))
    channels = complex_to_channels(image)
    assert channels.data_ptr() == image.data_ptr()
    assert channels.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("num_groups", [1, 2])
def test_each_group_of_each_batch_element_gets_mean_0_and_deviation_1(num_groups):
    channels = 3 + 2 * torch.randn(2, 4, 9, 7, generator=torch.Generator().manual_seed(0))
    channels[1] *= 1e-6
    normalised, mean, std = normalise(channels, num_groups)
    for before, after, element_mean, element_std in zip(channels, normalised, mean, std, strict=True):
        groups = zip(before.chunk(num_groups), after.chunk(num_groups), element_mean, element_std, strict=True)
        for group, normed, group_mean, group_std in groups:
            assert normed.mean().item() == pytest.approx(0, abs=1e-5)
            assert normed.std().item() == pytest.approx(1, rel=1e-5)
            assert group_mean.item() == pytest.approx(group.mean().item(), rel=1e-5)
            assert group_std.item() == pytest.approx(group.std().item(), rel=1e-5)
    assert relative_error(unnormalise(normalised, mean, std), channels) < 1e-6


@pytest.mark.parametrize("size", [(4, 6), (1, 1)])
def test_what_does_not_vary_becomes_0_and_back_whatever_a_network_does(size):
    channels = torch.full((1, 2, *size), 0.25, requires_grad=True)
    normalised, mean, std = normalise(channels, num_groups=2)
    assert (normalised == 0).all()
    back = unnormalise(normalised + 7, mean, std)
    assert torch.equal(back, channels)
    back.sum().backward()
    assert torch.isfinite(channels.grad).all()


@settings(max_examples=50, deadline=None)
@given(size=st.tuples(st.integers(1, 40), st.integers(1, 40)), multiple=st.sampled_from([1, 8, 16]))
def test_padding_is_undone_exactly_and_adds_only_zeros(size, multiple):
    channels = 1 + torch.rand(1, 2, *size, generator=torch.Generator().manual_seed(0))
    padded = pad_to_multiple(channels, multiple)
    assert all(0 <= after - before < multiple for before, after in zip(size, padded.shape[-2:], strict=True))
    assert all(length % multiple == 0 for length in padded.shape[-2:])
    assert torch.equal(unpad(padded, size, multiple), channels)
    assert padded.count_nonzero() == channels.numel()


def test_the_odd_zero_of_padding_comes_last():
    padded = pad_to_multiple(torch.ones(1, 1, 13, 16), 16)
    assert padded[0, 0, :, 0].tolist() == [0] + 13 * [1] + 2 * [0]


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_a_block_equals_the_layers_of_torch(order):
    generator = torch.Generator().manual_seed(0)
    block = ConvBlock(3, 4, dropout=0.0)
    channels = torch.randn(2, 3, 9, 7, generator=generator).to(memory_format=order).requires_grad_()
    weights = torch.randn(2, 4, 9, 7, generator=generator)

    def layers(channels):
        for conv in (block.first, block.second):
            convolved = functional.conv2d(channels, conv.weight, padding=1)
            channels = functional.leaky_relu(functional.instance_norm(convolved), 0.2)
        return channels

    leaves = (channels, block.first.weight, block.second.weight)
    outputs = block(channels), layers(channels)
    assert relative_error(outputs[0].detach(), outputs[1].detach()) < 1e-6
    found, expected = (torch.autograd.grad(output, leaves, weights) for output in outputs)
    for one, other in zip(found, expected, strict=True):
        assert relative_error(one, other) < 1e-5


def test_an_up_block_equals_the_layers_of_torch():
    block = UpBlock(4, 2)
    channels = torch.randn(1, 4, 5, 3, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        convolved = functional.conv_transpose2d(channels, block.conv.weight, stride=2)
        expected = functional.leaky_relu(functional.instance_norm(convolved), 0.2)
        assert relative_error(block(channels), expected) < 1e-6


@pytest.mark.parametrize("batch", [1, 3])
def test_a_rounded_block_and_its_gradient_are_as_exact_as_the_rounded_layers_of_torch(batch):
    torch.manual_seed(0)
    block = ConvBlock(3, 10, dropout=0.0)
    channels = 1 + torch.randn(batch, 3, 48, 44)
    weights = torch.randn(batch, 10, 48, 44)
    convs = (block.first, block.second)

    def layers(channels):
        for conv in convs:
            convolved = functional.conv2d(channels, conv.weight, padding=1)
            channels = functional.leaky_relu(functional.instance_norm(convolved), 0.2)
        return channels

    def run(function, is_rounded):
        inputs = channels.to(memory_format=torch.channels_last).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_rounded):
            output = function(inputs)
        assert output.dtype == (torch.bfloat16 if is_rounded else torch.float32)
        leaves = (inputs, *(conv.weight for conv in convs))
        return output.detach(), *torch.autograd.grad(output, leaves, weights.to(output.dtype))

    exact = run(layers, False)
    ours, theirs = (
        [relative_error(one.float(), other) for one, other in zip(run(function, True), exact, strict=True)]
        for function in (block, layers)
    )
    for error, error_of_torch in zip(ours, theirs, strict=True):
        assert 0 < error < 1.3 * error_of_torch < 0.1


@pytest.mark.parametrize("batch", [1, 3])
@torch.inference_mode()
def test_rounded_channels_are_normed_on_a_cpu_as_they_are_elsewhere(batch):
    channels, gradient = (
        (1 + torch.randn(batch, 10, 24, 22)).to(torch.bfloat16, memory_format=torch.channels_last) for _ in range(2)
    )
    (here, weights), (there, scale) = blocks._norm_rounded(channels), blocks._norm_(channels)
    assert weights.shape == (batch, 10)
    assert relative_error(weights, scale[..., 0, 0]) < 1e-4
    assert relative_error(here.float(), there.float()) < 2e-3
    found = blocks._norm_rounded_backward(gradient, there, weights)
    expected = blocks._norm_backward_(gradient, there, scale)
    assert found.dtype == expected.dtype == torch.bfloat16
    assert relative_error(found.float(), expected.float()) < 2e-3


def test_the_gradient_of_a_block_is_that_of_finite_differences():
    torch.manual_seed(0)
    block = ConvBlock(1, 2, dropout=0.0).double()
    channels = torch.randn(2, 1, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, (channels,))


def test_blocks_keep_the_order_of_memory_and_the_type():
    channels = torch.randn(1, 4, 8, 6).to(torch.bfloat16, memory_format=torch.channels_last).requires_grad_()
    for block in (ConvBlock(4, 4, dropout=0.0), UpBlock(4, 2)):
        output = block.bfloat16()(channels)
        (gradient,) = torch.autograd.grad(output.sum(), channels)
        for tensor in (output, gradient):
            assert tensor.dtype == torch.bfloat16
            assert tensor.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_instance_norm_and_its_gradient_equal_those_of_torch_also_far_from_0(dtype):
    shift = 100 if dtype == torch.float32 else 1
    channels = shift + torch.randn(2, 6, 24, 22, generator=torch.Generator().manual_seed(0))
    weights = torch.randn(2, 6, 24, 22, generator=torch.Generator().manual_seed(1))

    def run(function, dtype):
        inputs = channels.to(dtype, memory_format=torch.channels_last).requires_grad_()
        output = function(1.0 * inputs)
        assert output.dtype == dtype
        (gradient,) = torch.autograd.grad(output, inputs, weights.to(dtype))
        return output.detach().double(), gradient.double()

    found, expected = run(instance_norm, dtype), run(functional.instance_norm, torch.float64)
    for one, other in zip(found, expected, strict=True):
        assert relative_error(one, other) < (2e-5 if dtype == torch.float32 else 2e-2)


def test_instance_norm_takes_a_single_pixel_and_its_gradient_is_that_of_finite_differences():
    assert (instance_norm(torch.ones(1, 3, 1, 1)) == 0).all()
    channels = torch.randn(2, 1, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(lambda inputs: instance_norm(1.0 * inputs), (channels.requires_grad_(),))


@pytest.mark.parametrize("has_bias", [False, True])
def test_inputs_are_convolved_as_if_they_were_joined(has_bias):
    conv = JoinConv(5, 3, has_bias=has_bias)
    first, second = torch.randn(2, 2, 6, 5), torch.randn(2, 3, 6, 5)
    with torch.inference_mode():
        joined = functional.conv2d(torch.cat([first, second], dim=1), conv.weight, conv.bias, padding=1)
        assert relative_error(conv(first, second), joined) < 1e-5


@pytest.mark.parametrize("has_bias", [False, True])
def test_the_first_convolution_rounds_its_output_and_nothing_else(has_bias):
    conv, image = InputConv(2, 3, has_bias=has_bias), torch.randn(1, 2, 6, 5)
    with torch.inference_mode():
        exact = functional.conv2d(image, conv.weight, conv.bias, padding=1)
        assert torch.equal(conv(image), exact)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(conv(image), exact.bfloat16())
        weight = conv.weight.bfloat16().float()
        bias = None if conv.bias is None else conv.bias.bfloat16().float()
        assert torch.equal(conv.bfloat16()(image), functional.conv2d(image, weight, bias, padding=1).bfloat16())


def test_the_last_convolution_is_not_rounded_under_autocast():
    conv = OutputConv(4, 1)
    channels = torch.randn(1, 4, 6, 5)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        output = conv(channels)
    assert output.dtype == torch.float32
    assert (
        relative_error(
            output, torch.einsum("bchw,oc->bohw", channels, conv.weight[..., 0, 0].detach()) + conv.bias.detach()
        )
        < 1e-6
    )


def test_dropout_drops_whole_channels_during_training_only():
    torch.manual_seed(0)
    block = ConvBlock(1, 64, dropout=0.5)
    channels = torch.randn(1, 1, 6, 5)
    with torch.inference_mode():
        dropped = (block(channels) == 0).all(-1).all(-1).sum().item()
        assert 16 <= dropped <= 48
        block.eval()
        assert not (block(channels) == 0).all(-1).all(-1).any()
        assert torch.equal(block(channels), block(channels))
