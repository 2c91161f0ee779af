"""CVPR'19's reconstructor and evaluator (golden/active_mri_networks.npz), two configurations of each."""

import pytest
import torch
from golden.active_mri import as_complex, in_places
from helpers import relative_error

from mrikit.models.cvpr19 import Cvpr19, Cvpr19Config
from mrikit.models.cvpr19_evaluator import Evaluator, EvaluatorConfig
from mrikit.models.published_cvpr19 import evaluator_state, reconstructor_settings, reconstructor_state
from mrikit.physics.fft import fft2c

OUTPUTS = 1e-5
"""Largest difference, relative to the largest value."""
BEHIND_AN_EMBEDDING = 5e-4
"""Of the reconstructor that is given planes of about 1 beside an image of 0.003, which an instance norm then subtracts:
its float32 golden numbers are 1.6e-4 away from the same network in float64."""


@pytest.fixture
def load(load_golden):
    def read(kind, number):
        arrays, config = load_golden("active_mri_networks", f"{kind}{number}::")
        return arrays, config[kind][number]

    return read


def weights(arrays):
    return {f"module.{key[3:]}": array for key, array in arrays.items() if key.startswith("w::")}


@pytest.mark.parametrize(("number", "tolerance"), [("0", OUTPUTS), ("1", BEHIND_AN_EMBEDDING)])
@torch.inference_mode()
def test_the_reconstructor_equals_the_published_one(load, number, tolerance):
    arrays, config = load("reconstructor", number)
    tensors = reconstructor_state(weights(arrays))
    settings = reconstructor_settings(tensors)
    assert settings == {
        "num_channels": config["number_of_filters"],
        "num_residual_blocks": config["number_of_layers_residual_bottleneck"],
        "num_cascades": config["number_of_cascade_blocks"],
        "num_embedded": config["mask_embed_dim"],
        "width": config["img_width"] if config["mask_embed_dim"] else 0,
    }
    model = Cvpr19(Cvpr19Config(divisor=1.0, **settings)).eval()
    model.load_state_dict(tensors, strict=True)
    mask = in_places(arrays["mask"])[:, None, None]
    zero_filled = as_complex(arrays["zero_filled"])
    output = model.compute(fft2c(zero_filled)[:, None], mask, torch.zeros(2, dtype=torch.int64))
    expected = as_complex(arrays["reconstruction"])
    assert relative_error(output.extras["coil_images"][:, 0], expected) < tolerance
    assert relative_error(output.image, expected.abs()) < tolerance
    assert relative_error(output.extras["log_variance"], arrays["uncertainty"][:, 0]) < tolerance
    if "mask_embedding" in arrays:
        assert relative_error(output.extras["embedded"], arrays["mask_embedding"]) < OUTPUTS


def build_evaluator(arrays, config, **settings):
    width = config["width"]
    published = {
        "width": width,
        "num_channels": config["number_of_filters"],
        "num_layers": config["number_of_conv_layers"],
        "num_given": width - config.get("num_output_channels", width),
        "num_embedded": config["mask_embed_dim"],
        "adds_mask": config["use_mask"],
        "bounds_scores": config.get("use_sigmoid", False),
        "misplaces_mask": True,
        "divisor": 1.0,
    }
    model = Evaluator(EvaluatorConfig(**{**published, **settings}))
    model.load_state_dict(evaluator_state(weights(arrays), width), strict=True)
    return model


def score(model, arrays):
    given = model.config.num_given // 2
    image, mask = as_complex(arrays["image"]), in_places(arrays["mask"])
    scores = model(image, mask, arrays.get("mask_embedding"))
    scores = torch.fft.ifftshift(scores, dim=-1)
    return scores[:, given : scores.shape[-1] - given]


@pytest.mark.parametrize("number", ["0", "1"])
@torch.inference_mode()
def test_the_evaluator_equals_the_published_one(load, number):
    arrays, config = load("evaluator", number)
    assert relative_error(score(build_evaluator(arrays, config), arrays), arrays["scores"]) < OUTPUTS


@torch.inference_mode()
def test_a_mask_added_where_it_belongs_gives_other_scores(load):
    arrays, config = load("evaluator", "1")
    scores = score(build_evaluator(arrays, config, misplaces_mask=False), arrays)
    assert relative_error(scores, arrays["scores"]) > 10 * OUTPUTS
