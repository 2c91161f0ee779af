import pytest
import torch

from mrikit.errors import ConfigError
from mrikit.models import build_model
from mrikit.recipes import SIZES, TASKS, recipe

NAMES = [(task, size) for task in TASKS for size in SIZES]


def num_weights(config):
    with torch.device("meta"):
        network = build_model(config.model, config.model_config)
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(("task", "size"), NAMES)
def test_every_recipe_builds_at_every_size(task, size):
    config = recipe(task, size)
    assert (config.task, config.size) == (task, size)
    assert num_weights(config) > 0


@pytest.mark.parametrize("task", TASKS)
def test_a_larger_size_has_more_weights(task):
    tiny, small, full = (num_weights(recipe(task, size)) for size in ("tiny", "small", "full"))
    assert tiny < small < full


@pytest.mark.parametrize(
    ("task", "size", "published"),
    [
        ("knee_multicoil", "full", 29_936_966),
        ("brain_multicoil", "full", 29_936_966),
        ("knee_singlecoil", "full", 496_372_225),
        ("knee_singlecoil", "small", 7_756_097),
    ],
)
def test_networks_have_as_many_weights_as_the_published_ones(task, size, published):
    assert num_weights(recipe(task, size)) == published


@pytest.mark.parametrize("task", ["knee_multicoil", "brain_multicoil"])
def test_the_full_varnet_is_trained_as_innereye_does(task):
    config = recipe(task, "full")
    (plan,) = config.data.plans
    assert (plan.kind, plan.acceleration, plan.center_fraction) == ("equispaced_fraction", 4, 0.08)
    training = config.training
    assert (training.loss, training.max_lr, training.num_epochs, training.batch_size) == ("ssim", 3e-4, 50, 1)
    assert (training.schedule, training.step_epochs, training.step_factor) == ("step", 40, 0.1)
    assert (training.beta1, training.beta2, training.weight_decay, training.max_grad_norm) == (0.9, 0.999, 0, 0)


def test_the_full_unet_is_trained_as_the_leaderboards():
    config = recipe("knee_singlecoil", "full")
    (plan,) = config.data.plans
    assert (plan.kind, plan.acceleration, plan.center_fraction) == ("random", 4, 0.08)
    assert config.data.challenge == "singlecoil"
    training = config.training
    assert (training.loss, training.max_lr, training.num_epochs) == ("l1", 1e-3, 50)
    assert (training.schedule, training.step_epochs, training.step_factor) == ("step", 40, 0.1)


def test_only_tiny_runs_are_meant_for_a_cpu():
    assert not recipe("knee_multicoil", "tiny").execution.offload_optimizer
    assert recipe("knee_multicoil", "small").execution.offload_optimizer
    assert recipe("knee_multicoil", "full").model_config["use_checkpoint"]


@pytest.mark.parametrize(
    ("task", "size", "message"),
    [
        ("knee", "tiny", "no task is called 'knee'; there are knee_multicoil, brain_multicoil, knee_singlecoil"),
        ("knee_multicoil", "huge", "no size is called 'huge'; there are tiny, small, full"),
    ],
)
def test_an_unknown_name_is_one_clear_line(task, size, message):
    with pytest.raises(ConfigError) as caught:
        recipe(task, size)
    assert str(caught.value) == message
