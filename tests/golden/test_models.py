"""fastMRI's U-Net and E2E-VarNet with weights of their own names (golden/fastmri_*.npz, made with fastMRI)."""

import json

import numpy as np
import pytest
import torch
from helpers import relative_error

from mrikit.models.published_fastmri import fastmri_unet_state, fastmri_varnet_state
from mrikit.models.unet import UnetConfig, UnetModel
from mrikit.models.varnet import VarNet, VarNetConfig

PARITY = 1e-5
"""Relative to the norm of the image."""


@pytest.fixture(scope="module")
def load(golden):
    def read(name):
        with np.load(golden / f"{name}.npz") as file:
            arrays = {key: torch.from_numpy(file[key]) for key in file if key != "config"}
            weights = {key[3:]: array for key, array in arrays.items() if key.startswith("w::")}
            return arrays, weights, json.loads(str(file["config"]))

    return read


def build_unet(config):
    return UnetModel(UnetConfig(num_channels=config["chans"], num_pools=config["num_pool_layers"]))


def build_varnet(config):
    return VarNet(
        VarNetConfig(
            num_cascades=config["num_cascades"],
            num_channels=config["chans"],
            num_pools=config["pools"],
            num_sens_channels=config["sens_chans"],
            num_sens_pools=config["sens_pools"],
        )
    )


@torch.inference_mode()
def test_the_unet_equals_fastmri(load):
    arrays, weights, config = load("fastmri_unet")
    model = build_unet(config)
    model.load_state_dict(fastmri_unet_state(weights), strict=True)
    assert relative_error(model.network(arrays["kspace"]), arrays["output"]) < PARITY


@torch.inference_mode()
@pytest.mark.parametrize("num_center_lines", [0, 6], ids=["counted in the mask", "given"])
def test_the_varnet_equals_fastmri(load, num_center_lines):
    arrays, weights, config = load("fastmri_varnet")
    model = build_varnet(config)
    model.load_state_dict(fastmri_varnet_state(weights), strict=True)
    mask = arrays["mask"].view(1, 1, 1, -1)
    output = model(arrays["kspace"][None], mask, torch.tensor([num_center_lines]))
    assert relative_error(output, arrays["output"]) < PARITY


@torch.inference_mode()
def test_other_weights_give_another_image(load):
    """Parity would be worth nothing if the output hardly depended on the weights."""
    arrays, weights, config = load("fastmri_varnet")
    model = build_varnet(config)
    weights["cascades.1.model.unet.conv.layers.4.weight"] = -weights["cascades.1.model.unet.conv.layers.4.weight"]
    model.load_state_dict(fastmri_varnet_state(weights), strict=True)
    output = model(arrays["kspace"][None], arrays["mask"].view(1, 1, 1, -1), torch.tensor([0]))
    assert relative_error(output, arrays["output"]) > 100 * PARITY
