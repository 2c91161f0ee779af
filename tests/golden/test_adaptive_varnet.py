"""fastMRI's Adaptive VarNet (golden/adaptive_*.npz): masks, probabilities, images and gradients, with given draws."""

import itertools
import json

import numpy as np
import pytest
import torch
from helpers import relative_error

from mrikit.models.adaptive_varnet import AdaptiveVarNet
from mrikit.models.adaptive_varnet_config import AdaptiveVarNetConfig
from mrikit.models.policies import draw_lines
from mrikit.models.published_adaptive import convert
from mrikit.models.samplers.estimators import rescale_to_budget
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c

OUTPUTS, GRADIENTS = 1e-5, 1e-4
"""Largest difference, relative to the largest value."""
NETWORKS = ["adaptive_varnet", "adaptive_varnet_single", "adaptive_loupe"]
PUBLISHED = {"drops_outside_center": True, "gives_raw_images": True}


@pytest.fixture(scope="module")
def load(golden):
    def read(name):
        with np.load(golden / f"{name}.npz") as file:
            arrays = {key: torch.from_numpy(file[key]) for key in file if key != "config"}
            return arrays, json.loads(str(file["config"]))

    return read


def build(arrays, config):
    published = {key[3:]: array for key, array in arrays.items() if key.startswith("w::")}
    tensors, settings = convert(published, config, {})
    model = AdaptiveVarNet(AdaptiveVarNetConfig(**settings, **PUBLISHED)).eval()
    model.load_state_dict(tensors, strict=True)
    return model


def draws_of(uniforms, num_images):
    """The given draws, one try after the other, whichever image asks."""
    rows = itertools.chain(uniforms.numpy())
    return [lambda number: next(rows)[:number]] * num_images


def published_scan(kspace):
    """The scanner as published: what it did not measure has |component| for a gradient, which is a flaw."""

    def measure(mask):
        parts = torch.view_as_real(kspace)
        mask = mask.float()[..., None]
        turned = torch.where((parts < 0) & (mask == 0), -1.0, 1.0)
        return torch.view_as_complex(parts * mask * turned + 0.0)

    return measure


def acquire(model, arrays):
    start = arrays["mask"].bool()[:, None, None]
    draws = draws_of(arrays["uniforms"], len(start))
    return model.acquire(published_scan(arrays["kspace"]), start, draws)


def assert_near(found, expected, tolerance):
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_it_measures_the_published_lines_and_makes_the_published_image(load, name):
    arrays, config = load(name)
    output = acquire(build(arrays, config), arrays)
    assert torch.equal(output.extras["masks"], arrays["masks"])
    assert torch.equal(output.extras["mask"][:, 0, 0], arrays["masks"][-1])
    assert_near(output.extras["probabilities"], arrays["probabilities"], OUTPUTS)
    assert_near(output.image, arrays["output"], OUTPUTS)


@pytest.mark.parametrize("name", NETWORKS)
def test_its_gradients_are_the_published_ones(load, name):
    arrays, config = load(name)
    model = build(arrays, config)
    loss = (acquire(model, arrays).image - rss(ifft2c(arrays["kspace"]))).abs().mean()
    assert float(loss.detach()) == pytest.approx(config["loss_value"], rel=1e-5)
    loss.backward()
    expected = {key[6:]: array for key, array in arrays.items() if key.startswith("grad::")}
    for published, gradient in expected.items():
        found = model.get_parameter(own_name(published)).grad
        assert_near(found, gradient, GRADIENTS)


def own_name(published):
    if published == "loupe.sampler":
        return "policies.0.logits"
    head, dot, tail = published.partition(".sampler.fc_out.")
    return f"{head}.linears.{int(tail[0]) // 2}{tail[1:]}" if dot else published


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_other_weights_choose_other_lines_or_make_another_image(load, name):
    """Parity would be worth nothing if the output hardly depended on the weights."""
    arrays, config = load(name)
    model = build(arrays, config)
    model.cascades[-1].network.unet.bottom.second.weight.neg_()
    assert relative_error(acquire(model, arrays).image, arrays["output"]) > 100 * OUTPUTS


@pytest.mark.parametrize("index", range(3))
def test_probabilities_are_rescaled_as_published(load, index):
    arrays, config = load("adaptive_policy_parts")
    given = arrays[f"rescale_in::{index}"]
    budget = config["rescale"][index]["budget"]
    found = rescale_to_budget(given, torch.ones_like(given, dtype=torch.bool), budget)
    torch.testing.assert_close(found, arrays[f"rescale_out::{index}"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("slope", "clamps"), [(5, False), (5, True), (10, False), (10, True)])
def test_choices_and_their_gradients_are_the_published_ones(load, slope, clamps):
    arrays, _ = load("adaptive_policy_parts")
    probability = arrays["probability"].clone().requires_grad_()
    draws = draws_of(arrays["uniforms"], len(probability))
    chosen = draw_lines(probability, draws, slope=slope, clamps_gradient=clamps)
    case = f"{slope}_{int(clamps)}"
    assert torch.equal(chosen, arrays[f"binary::{case}"])
    chosen.backward(arrays["upstream"])
    assert_near(probability.grad, arrays[f"grad_probability::{case}"], OUTPUTS)
