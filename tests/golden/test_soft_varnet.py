"""The banding study's VarNet with weights of its own names (golden/banding_reconstructor*.npz)."""

import pytest
import torch
from helpers import relative_error

from mrikit.metrics import ssim_loss
from mrikit.models.published_banding import convert
from mrikit.models.sensitivity import keep_center
from mrikit.models.soft_varnet import SoftVarNet, SoftVarNetConfig
from mrikit.physics.fft import ifft2c

NAMES = ["banding_reconstructor", "banding_reconstructor_image"]
PARITY = 2e-5
"""Relative to the norm. In double precision this network is 1.0e-5 and 1.3e-5 from the golden images, which are in
single precision: instance norm of maps of a few pixels amplifies rounding."""


@pytest.fixture(params=NAMES)
def case(request, load_golden):
    arrays, config = load_golden(request.param)
    return arrays, config, {key[3:]: array for key, array in arrays.items() if key.startswith("w::")}


def build(published, config):
    tensors, settings = convert(published, config, {})
    model = SoftVarNet(SoftVarNetConfig(**settings))
    model.load_state_dict(tensors, strict=True)
    return model


def reconstruct(model, arrays, config):
    mask, num_center = arrays["mask"].view(1, 1, 1, -1), torch.tensor([config["num_low_frequencies"]])
    return model(arrays["kspace"][None], mask, num_center)


@torch.inference_mode()
def test_the_image_equals_the_published_one(case):
    arrays, config, published = case
    assert relative_error(reconstruct(build(published, config), arrays, config), arrays["output"]) < PARITY


@torch.inference_mode()
def test_the_coil_sensitivities_equal_the_published_ones(case):
    arrays, config, published = case
    mask, num_center = arrays["mask"].view(1, 1, 1, -1), torch.tensor([config["num_low_frequencies"]])
    center = ifft2c(keep_center(arrays["kspace"][None], mask, num_center))
    maps = build(published, config).sens_net(center, has_checkpoints=False)
    assert relative_error(maps[0], arrays["sens_maps"]) < PARITY


@torch.inference_mode()
def test_its_losses_are_the_published_ones(case):
    arrays, config, published = case
    image, target = reconstruct(build(published, config), arrays, config), arrays["target"]
    expected = config["losses"]
    loss, distance = ssim_loss(image, target, target.max()), (image - target).abs().mean()
    assert float(loss) == pytest.approx(expected["ssim_loss"], rel=1e-5)
    assert float(distance) == pytest.approx(expected["l1_loss"], rel=1e-5)
    total = loss + expected["ssim_l1_coefficient"] * distance
    assert float(total) == pytest.approx(expected["train_loss"], rel=1e-5)


@torch.inference_mode()
def test_other_weights_give_another_image(case):
    """Parity would be worth nothing if the output hardly depended on the weights."""
    arrays, config, published = case
    last = sorted(name for name in published if name.endswith(".net.1.model.model.0.conv.layer2.0.weight"))[-1]
    model = build(published | {last: -published[last]}, config)
    assert relative_error(reconstruct(model, arrays, config), arrays["output"]) > 100 * PARITY
