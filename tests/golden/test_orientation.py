"""Discriminators and losses of the banding study's adversary (golden/banding_discriminators.npz)."""

import numpy as np
import pytest
import torch
from helpers import relative_error

from mrikit.models.orientation_discriminators import DISCRIMINATORS, Discriminators
from mrikit.models.orientation_losses import orientation_accuracy, orientation_terms, predictor_targets

OUTPUTS, GRADIENTS = 1e-5, 1e-4
CASES = [f"{count}_{rotated}_{flipped}" for count in (1, 2) for rotated in (0, 1) for flipped in (0, 1)]


@pytest.fixture(scope="module")
def golden_case(load_golden):
    return load_golden("banding_discriminators")


def draw(shape, name, seed):
    """The recipe of the golden file."""
    drawn = np.random.RandomState(seed).standard_normal(shape)
    if len(shape) >= 2:
        drawn *= np.sqrt((2 if len(shape) == 4 else 1) / (drawn.size / shape[0]))
    elif name.endswith(".weight"):
        drawn = 1 + 0.1 * drawn
    else:
        drawn *= 0.1
    return torch.from_numpy(drawn.astype(np.float32))


def state_of(parameters, seed):
    return {name: draw(shape, name, seed + place) for place, (name, shape) in enumerate(parameters)}


def build(config, kind, *seeds):
    discriminators = Discriminators(kind, len(seeds))
    for member, seed in zip(discriminators.members, seeds, strict=True):
        member.load_state_dict(state_of(config["parameters"][kind], seed), strict=True)
    return discriminators


@pytest.mark.parametrize("kind", [kind for kind in DISCRIMINATORS if kind != "narrow"])
@torch.inference_mode()
def test_the_logits_of_each_discriminator_equal_the_published_ones(golden_case, kind):
    arrays, config = golden_case
    discriminators = build(config, kind, config["seeds"][kind])
    assert sum(weight.numel() for weight in discriminators.parameters()) == config["parameter_counts"][kind]
    assert relative_error(discriminators(arrays["input"]), arrays[f"logits::{kind}"]) < OUTPUTS


@pytest.mark.parametrize("key", CASES)
def test_the_losses_and_their_gradients_equal_the_published_ones(golden_case, key):
    arrays, config = golden_case
    (case,) = [case for case in config["cases"] if case["key"] == key]
    discriminators = build(config, "shallow", *config["adversary_seeds"][: case["count"]])
    image = arrays["image"][0].clone().requires_grad_()
    is_transposed = torch.tensor([case["rotated"]])
    targets = predictor_targets(is_transposed, uncertain=case["adv_target_uncertain"], inverts_uncertain=True)
    terms = orientation_terms(discriminators, image, is_transposed, targets)
    weighted = {
        "predictor_loss": case["adversary_strength"] * terms.predictor.mean(),
        "adversary_loss": terms.adversary.mean(),
        "regulariser": case["reg_param"] * terms.regulariser.mean(),
    }
    total = sum(weighted.values())
    found = {**weighted, "total": total, "mean_logit": terms.logits.mean()}
    found["accuracy"] = orientation_accuracy(terms.logits, is_transposed)
    assert {name: float(value.detach()) for name, value in found.items()} == pytest.approx(
        {name: case[name] for name in found}, rel=OUTPUTS
    )
    total.backward()
    first = discriminators.members[0]
    assert relative_error(image.grad[None], arrays[f"grad_image::{key}"]) < GRADIENTS
    assert relative_error(first.fc.weight.grad, arrays[f"grad_fc_weight::{key}"]) < GRADIENTS
    assert relative_error(first.conv_img.bias.grad, arrays[f"grad_conv_img_bias::{key}"]) < GRADIENTS
