import pytest
import torch
from helpers import complex_normal, relative_error
from phantoms import make_kspace
from torch import nn

from mrikit.errors import ConfigError, DataError
from mrikit.models import build_model
from mrikit.models.unet import Unet, UnetConfig, UnetModel
from mrikit.physics.coils import rss
from mrikit.physics.fft import fft2c, ifft2c

SMALL = {"num_channels": 4, "num_pools": 2}


def build(**settings):
    torch.manual_seed(0)
    return build_model("unet", {**SMALL, **settings})


def reconstruct(model, kspace):
    mask = torch.ones(len(kspace), 1, 1, kspace.shape[-1], dtype=torch.bool)
    return model(kspace, mask, torch.full((len(kspace),), 4))


def test_it_has_as_many_parameters_as_fastmri():
    with torch.device("meta"):
        assert sum(weight.numel() for weight in UnetModel(UnetConfig()).parameters()) == 7_756_097


@pytest.mark.parametrize("size", [(32, 32), (33, 29), (31, 64), (4, 7)])
@torch.inference_mode()
def test_any_size_comes_back_as_finite_float32(size):
    image = reconstruct(build(), complex_normal((2, 3, *size)))
    assert image.shape == (2, *size)
    assert image.dtype == torch.float32
    assert torch.isfinite(image).all()


@torch.inference_mode()
def test_it_normalises_as_fastmri_does():
    kspace = 1e-5 * make_kspace()[None]
    model = build()
    aliased = rss(ifft2c(kspace))[:, None]
    mean, std = aliased.mean(), aliased.std() + 1e-11
    expected = model.network((aliased - mean) / std)[:, 0] * std + mean
    assert relative_error(reconstruct(model, kspace), expected) < 1e-5


@torch.inference_mode()
def test_what_is_far_from_the_mean_is_cut_off_where_its_weights_are_used_to_it():
    image = 1e-2 * complex_normal((1, 1, 32, 32))
    image[..., 9, 9] = 1
    kspace = 1e-5 * fft2c(image)
    aliased = rss(ifft2c(kspace))[:, None]
    mean, std = aliased.mean(), aliased.std()
    scaled = (aliased - mean) / (std + 1e-11)
    assert scaled.max() > 6
    model = build(clamps_input=True)
    expected = model.network(scaled.clamp(-6, 6))[:, 0] * std + mean
    assert relative_error(reconstruct(model, kspace), expected) < 1e-5
    assert relative_error(reconstruct(build(), kspace), expected) > 1e-3


@torch.inference_mode()
def test_a_small_standard_deviation_gets_what_its_weights_are_used_to():
    kspace = 1e-14 * make_kspace()[None]
    aliased = rss(ifft2c(kspace))[:, None]
    mean, std = aliased.mean(), aliased.std()
    assert std < 1e-13
    model = build(clamps_input=True)
    expected = model.network((aliased - mean) / (std + 1e-11))[:, 0] * std + mean
    assert relative_error(reconstruct(model, kspace), expected) < 1e-5
    assert relative_error(reconstruct(build(), kspace), expected) > 1e-3


@torch.inference_mode()
def test_the_image_scales_with_the_data():
    kspace = make_kspace()[None]
    model = build()
    image = reconstruct(model, kspace)
    for scale in (1e-8, 1e6):
        assert relative_error(reconstruct(model, scale * kspace) / scale, image) < 1e-5


@torch.inference_mode()
def test_every_batch_element_is_reconstructed_alone():
    kspace = complex_normal((2, 3, 33, 29)) * torch.tensor([1.0, 1e-4])[:, None, None, None]
    model = build()
    both = reconstruct(model, kspace)
    for index in range(2):
        assert relative_error(both[index], reconstruct(model, kspace[index : index + 1])[0]) < 1e-5


@torch.inference_mode()
def test_convolutions_see_channels_last():
    orders = []
    network = Unet(num_inputs=3, num_outputs=1, num_channels=4, num_pools=2)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(
                lambda _module, inputs, _output: orders.extend(
                    channels.is_contiguous(memory_format=torch.channels_last) for channels in inputs
                )
            )
    network(torch.randn(2, 3, 21, 18))
    assert len(orders) == 15
    assert all(orders)


def test_every_weight_learns():
    model = build()
    reconstruct(model, complex_normal((1, 3, 32, 30))).square().sum().backward()
    for name, weight in model.named_parameters():
        assert torch.isfinite(weight.grad).all(), name
        assert weight.grad.abs().max() > 0, name


def test_an_empty_slice_stays_empty_with_finite_gradients():
    model = build()
    kspace = torch.zeros(1, 3, 32, 30, dtype=torch.complex64, requires_grad=True)
    image = reconstruct(model, kspace)
    assert (image == 0).all()
    image.sum().backward()
    assert torch.isfinite(torch.view_as_real(kspace.grad)).all()
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters())


@torch.inference_mode()
def test_bfloat16_changes_little():
    model, kspace = build(), make_kspace()[None]
    image = reconstruct(model, kspace)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = reconstruct(model, kspace)
    assert rounded.dtype == torch.float32
    assert 0 < relative_error(rounded, image) < 0.03
    assert 0 < relative_error(reconstruct(model.bfloat16(), kspace), image) < 0.03


@torch.inference_mode()
def test_dropout_is_for_training_only():
    model, kspace = build(dropout=0.5), complex_normal((1, 3, 32, 30))
    assert not torch.equal(reconstruct(model, kspace), reconstruct(model, kspace))
    model.eval()
    assert torch.equal(reconstruct(model, kspace), reconstruct(model, kspace))


def test_an_image_too_small_for_the_poolings_is_one_clear_line():
    with pytest.raises(DataError, match=r"^a U-Net of 2 poolings needs images of 4 or more, found 3 x 40$"):
        reconstruct(build(), complex_normal((1, 3, 3, 40)))


@pytest.mark.parametrize("wrong", [{"num_channels": 0}, {"num_pools": 0}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_a_wrong_setting_is_one_clear_line(wrong):
    with pytest.raises(ConfigError, match="unet needs num_channels >= 1, num_pools >= 1 and 0 <= dropout < 1, found"):
        build_model("unet", wrong)
