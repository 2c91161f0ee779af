"""Reconstructors of active acquisition: what their masks are, and that they are quick where they have to be."""

import numpy as np
import pytest
import torch

from mrikit.masks import sample_mask
from mrikit.models import build_model
from mrikit.recipes.acquisition import digits_reconstructor, knee_reconstructor

EPISODES = [
    (knee_reconstructor, "tiny", 128, 4, 12),
    (knee_reconstructor, "small", 128, 4, 12),
    (knee_reconstructor, "full", 368, 30, 70),
    (digits_reconstructor, "tiny", 28, 2, 5),
    (digits_reconstructor, "full", 28, 2, 5),
]


@pytest.mark.parametrize(("recipe", "size", "width", "num_given", "budget"), EPISODES)
def test_masks_are_of_every_step_of_an_episode(recipe, size, width, num_given, budget):
    config = recipe(size)
    assert (config.size, config.stage, config.objective) == (size, 1, "image")
    (plan,) = config.data.plans
    masks = [sample_mask(plan, (32, width), np.random.RandomState(seed)) for seed in range(40 * budget // 5)]
    counts = {int(mask.samples.sum()) for mask in masks}
    assert (min(counts), max(counts)) == (num_given, num_given + budget)
    assert plan.acceleration == pytest.approx(width / (num_given + budget))
    assert round(plan.center_fraction * width) == num_given


def test_the_published_reconstructor_has_the_published_weights_and_rates():
    config = knee_reconstructor("full")
    with torch.device("meta"):
        network = build_model(config.model, config.model_config)
    assert sum(weight.numel() for weight in network.parameters()) == 294_180_864
    training = config.training
    assert (training.loss, training.max_lr, training.beta1) == ("uncertainty", 1e-4, 0.5)
    assert (training.batch_size, training.num_epochs) == (1, 250)
    assert (config.data.challenge, config.data.matrix) == ("singlecoil", ())


def test_tiny_networks_are_for_episodes_on_a_cpu():
    for config, most in ((knee_reconstructor("tiny"), 150_000), (digits_reconstructor("tiny"), 200)):
        network = build_model(config.model, config.model_config)
        assert sum(weight.numel() for weight in network.parameters()) < most


def test_digits_are_filled_in_k_space():
    config = digits_reconstructor("full")
    assert (config.training.loss, config.data.validation_score) == ("kspace_nmse", "kspace_nmse")
    assert (config.model_config["num_blocks"], config.model_config["kernel"]) == (5, (5, 5))
