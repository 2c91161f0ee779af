"""The digits agent's Q network, in evaluation and in training (golden/mnist_rl.npz)."""

import math

import numpy as np
import pytest
import torch
from helpers import relative_error

from mrikit.models.complex_layers import pool_largest, relu_parts
from mrikit.models.digits_q import DigitsQ, DigitsQConfig
from mrikit.models.published_cvpr19 import digits_q_state

OUTPUTS = 1e-5
"""Largest difference, relative to the largest value."""
BUFFERS = ("running_mean", "running_covar")


@pytest.fixture(scope="module")
def arrays(load_golden):
    found, config = load_golden("mnist_rl")
    return found | {"config": config["q_network"]}


def draw(number, name, shape, arrays):
    """The weights of the file's recipe."""
    if name == "bn.weight":
        return arrays["bn_weight"]
    normal = np.random.RandomState(arrays["config"]["seed"] + number).standard_normal(shape)
    if len(shape) >= 2:
        normal *= math.sqrt({4: 2, 2: 1}[len(shape)] / math.prod(shape[1:]))
    else:
        normal *= 0.1
    return torch.from_numpy(normal.astype(np.float32))


@pytest.fixture
def model(arrays):
    model = DigitsQ(DigitsQConfig())
    weights = {
        name: draw(number, name, shape, arrays) for number, (name, shape) in enumerate(arrays["config"]["parameters"])
    }
    weights |= {f"bn.{name}": arrays[f"bn_{name}"] for name in BUFFERS}
    model.load_state_dict(digits_q_state(weights), strict=True)
    assert sum(weight.numel() for weight in model.parameters()) == arrays["config"]["num_parameters"]
    return model


@torch.inference_mode()
def test_its_layers_and_values_equal_the_studys(model, arrays):
    model.eval()
    kspace, mask = arrays["reconstruction"][:, 0], arrays["mask"]
    first = model.first(kspace[:1, None])
    pooled = pool_largest(relu_parts(first))
    assert relative_error(first, arrays["conv1_first"]) < OUTPUTS
    assert relative_error(pooled, arrays["pool1_first"]) < OUTPUTS
    assert relative_error(model.norm(pooled), arrays["bn_eval_first"]) < OUTPUTS
    values = model(kspace, mask)
    assert relative_error(values[~mask], arrays["q_eval"][~mask]) < OUTPUTS
    assert (values[mask] == -1e10).all()


@torch.inference_mode()
def test_its_values_and_statistics_in_training_equal_the_studys(model, arrays):
    model.train()
    mask = arrays["mask"]
    values = model(arrays["reconstruction"][:, 0], mask)
    assert relative_error(values[~mask], arrays["q_train"][~mask]) < OUTPUTS
    for name in BUFFERS:
        assert relative_error(getattr(model.norm, name), arrays[f"bn_{name}_after"]) < OUTPUTS
