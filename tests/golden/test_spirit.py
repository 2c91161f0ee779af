"""The learned-sampling study's unrolled SPIRiT with weights of its own names (golden/spirit_unrolled.npz)."""

import json

import numpy as np
import pytest
import torch
from helpers import relative_error

from mrikit.errors import CheckpointError
from mrikit.models.published_spirit import spirit_state
from mrikit.models.spirit_net import SpiritNet, SpiritNetConfig
from mrikit.physics.sampling import keep

CASES = ["mnist", "multicoil_zero", "circular"]


@pytest.fixture(params=CASES)
def case(request, golden):
    with np.load(golden / "spirit_unrolled.npz") as file:
        config = json.loads(str(file["config"]))[request.param]
        prefix = f"{request.param}::"
        arrays = {key.removeprefix(prefix): torch.from_numpy(file[key]) for key in file if key.startswith(prefix)}
    return arrays, config


def build(arrays, config, **settings):
    model = SpiritNet(
        SpiritNetConfig(
            num_coils=config["num_coils"],
            num_blocks=config["num_blocks"],
            kernel=tuple(config["kernel_size"]),
            padding=config["padding"],
            **{"zeroes_all_centers": True, **settings},
        )
    )
    weights = {name[3:]: weight for name, weight in arrays.items() if name.startswith("w::")}
    model.load_state_dict(spirit_state(weights), strict=True)
    return model


def fill(model, arrays, dtype=torch.bool):
    mask = arrays["mask"][:, None].to(dtype)
    return model.compute(keep(arrays["kspace"], mask), mask, torch.zeros(len(mask), dtype=torch.int64)).kspace


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
def test_the_network_equals_the_studys(case, dtype):
    arrays, config = case
    model = build(arrays, config)
    kspace = fill(model, arrays, dtype)
    assert relative_error(kspace.detach(), arrays["output"]) < 1e-5
    upstream = arrays["upstream"]
    (kspace.real * upstream.real + kspace.imag * upstream.imag).sum().backward()
    gradients = {name[6:]: gradient for name, gradient in arrays.items() if name.startswith("grad::")}
    expected = spirit_state(gradients)
    for name, weight in model.named_parameters():
        assert relative_error(weight.grad, expected[name]) < 1e-4


def test_its_centre_taps_have_the_studys_gradient(case):
    arrays, config = case
    model = build(arrays, config)
    (fill(model, arrays) * arrays["upstream"].conj()).real.sum().backward()
    row, column = (size // 2 for size in config["kernel_size"])
    found = model.blocks[-1].weight_real.grad[..., row, column]
    expected = arrays[f"grad::body.{config['num_blocks'] - 1}.model.conv1.conv_r.weight"][..., row, column]
    assert float(expected.abs().max()) > 0
    assert relative_error(found, expected) < 1e-4


def test_the_names_of_the_full_model_are_understood(case):
    arrays, config = case
    weights = {f"spirit_nn.{name[3:]}": weight for name, weight in arrays.items() if name.startswith("w::")}
    logits = {"my_conv_mask.conv_mask.weight": torch.zeros(1, 1, 4, 4)}
    assert set(spirit_state(weights | logits)) == set(build(arrays, config).state_dict())


def test_with_its_own_centre_rule_several_coils_give_another_output(case):
    arrays, config = case
    kspace = fill(build(arrays, config, zeroes_all_centers=False), arrays)
    error = relative_error(kspace.detach(), arrays["output"])
    assert error < 1e-5 if config["num_coils"] == 1 else error > 1e-3


def test_other_weights_are_refused():
    with pytest.raises(CheckpointError, match=r"^holds no network of the form of the study's SPIRiT; found conv_mask"):
        spirit_state({"conv_mask.weight": torch.zeros(1)})
