"""The learned-sampling study's unrolled SPIRiT with weights of its own names (golden/spirit_unrolled.npz)."""

import json
import re

import numpy as np
import pytest
import torch
from helpers import relative_error

from mrikit.models.spirit_net import SpiritNet, SpiritNetConfig
from mrikit.physics.sampling import keep

CASES = ["mnist", "multicoil_zero", "circular"]
PARTS = {"conv_r": "weight_real", "conv_i": "weight_imag"}


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
    model.load_state_dict(of_blocks(arrays, "w"), strict=True)
    return model


def of_blocks(arrays, prefix):
    """The arrays behind a prefix, such as `grad::body.0.model.conv1.conv_r.weight`, by the names of the blocks here."""
    pattern = re.compile(rf"{prefix}::body\.(\d+)\.model\.conv1\.(conv_[ri])\.weight")
    found = ((pattern.fullmatch(name), array) for name, array in arrays.items())
    return {f"blocks.{match[1]}.{PARTS[match[2]]}": array for match, array in found if match}


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
    expected = of_blocks(arrays, "grad")
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


def test_with_its_own_centre_rule_several_coils_give_another_output(case):
    arrays, config = case
    kspace = fill(build(arrays, config, zeroes_all_centers=False), arrays)
    error = relative_error(kspace.detach(), arrays["output"])
    assert error < 1e-5 if config["num_coils"] == 1 else error > 1e-3
