import math

import pytest
import torch

from mrikit.data.augment import probability as augment_probability
from mrikit.errors import ConfigError
from mrikit.models import build_model
from mrikit.recipes import SIZES, TASKS, networks, recipe, recipes

NAMES = [(task, size) for task, (_, sizes) in TASKS.items() for size in sizes]
CHALLENGE = [f"{anatomy}_acc{acceleration}" for anatomy in ("brain", "knee") for acceleration in (4, 8)]


def num_weights(config):
    with torch.device("meta"):
        network = build_model(config.model, config.model_config)
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(("task", "size"), NAMES)
def test_every_recipe_builds_at_every_size(task, size):
    runs = recipes(task, size)
    assert all((config.task, config.size) == (task, size) for config in runs)
    assert all(num_weights(config) > 0 for config in networks(runs))


@pytest.mark.parametrize("task", [task for task in TASKS if len(TASKS[task].sizes) > 1])
def test_a_larger_size_has_more_weights(task):
    counts = [num_weights(recipes(task, size)[0]) for size in TASKS[task].sizes]
    assert counts == sorted(set(counts))
    assert [size for size in SIZES if size in TASKS[task].sizes] == list(TASKS[task].sizes)


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


@pytest.mark.parametrize(("size", "published"), [("full", 34_225_281), ("plus", 92_859_005)])
def test_networks_lack_only_the_outputs_that_nobody_looked_at(size, published):
    """Slopes of one's own add a few hundred weights, outputs without use took a hundred thousand away."""
    assert 0.99 * published < num_weights(recipe("knee_acc8", size, 1)) < published


def test_the_classifier_is_small():
    assert num_weights(recipe("anatomy", "tiny")) <= 300_000


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


@pytest.mark.parametrize("task", CHALLENGE)
def test_the_legs_are_those_of_the_challenge(task):
    """The table of the three-step schedules, row by row."""
    anatomy, acceleration = task.split("_acc")
    legs = recipes(task, "full")
    assert [config.stage for config in legs] == [1, 2, 3]
    training = [config.training for config in legs]
    assert [(part.first_epoch + 1, part.first_epoch + part.num_epochs) for part in training] == [
        (1, 15),
        (16, 30),
        (31, 45),
    ]
    assert [part.first_epoch + part.schedule_epochs for part in training] == [20, 35, 45]
    assert [part.warmup_epochs for part in training] == [1, 0, 0]
    assert [part.max_lr for part in training] == pytest.approx([3e-4, 2e-4, 1e-4])
    third = "fixed" if anatomy == "brain" else {"4": "random_spaced", "8": "random_offset"}[acceleration]
    assert [config.data.mask_kind for config in legs] == ["fixed", "fixed", third]
    augments = [config.augment for config in legs]
    assert [part.strength > 0 for part in augments] == [False, True, anatomy == "brain"]
    for config in legs:
        (plan,) = config.data.plans
        assert (plan.acceleration, plan.center_fraction) == (int(acceleration), 0.08)
        assert (config.data.anatomy, config.data.max_readout) == (anatomy, {"brain": 384, "knee": 416}[anatomy])
        part = config.training
        assert (part.batch_size, part.micro_batch_size, part.max_grad_norm, part.weight_decay) == (2, 1, 0.01, 1e-4)
        assert (part.loss, part.min_lr, part.beta1, part.beta2) == ("ssim_body", 0, 0.9, 0.999)


def test_the_legs_augment_as_those_of_the_challenge():
    _, second, third = (config.augment for config in recipes("brain_acc4", "full"))
    for part, flipv in ((second, 0), (third, 0.5)):
        weights = (part.fliph_weight, part.translation_weight, part.shearing_weight, part.scaling_weight)
        assert weights == (0.5, 0.5, 0.5, 0.5)
        assert (part.flipv_weight, part.rot90_weight, part.rotation_weight) == (flipv, 0, 0)
        assert (part.max_translation, part.max_shearing, part.max_scaling) == ((0.05, 0.05), (5, 5), 0.1)
    assert [augment_probability(second, epoch) for epoch in (14, 15, 16, 19, 24, 29)] == pytest.approx(
        [0, 0.3935, 0.632, 0.918, 0.993, 0.9995], abs=5e-4
    )
    assert augment_probability(third, 29) == 0
    assert augment_probability(third, 30) == pytest.approx(0.9987, abs=5e-5)


@pytest.mark.parametrize("task", CHALLENGE)
@pytest.mark.parametrize("size", ["tiny", "small"])
def test_smaller_sizes_keep_the_stages(task, size):
    legs, full = recipes(task, size), recipes(task, "full")
    for config, published in zip(legs, full, strict=True):
        assert config.data == published.data
        assert (config.augment.strength > 0) == (published.augment.strength > 0)
        share = config.training.num_epochs / published.training.num_epochs
        assert config.training.first_epoch == share * published.training.first_epoch
        assert config.augment.delay_epochs == share * published.augment.delay_epochs
        cut = math.floor(share * published.training.schedule_epochs)
        assert config.training.schedule_epochs == cut
    assert [config.training.max_lr / legs[0].training.max_lr for config in legs] == pytest.approx([1, 2 / 3, 1 / 3])


def test_every_stage_can_give_the_next_its_moments():
    assert all(config.execution.keep_best for task in CHALLENGE for size in SIZES for config in recipes(task, size))


def test_only_tiny_runs_are_meant_for_a_cpu():
    assert not recipe("knee_multicoil", "tiny").execution.offload_optimizer
    assert recipe("knee_multicoil", "small").execution.offload_optimizer
    assert recipe("knee_multicoil", "full").model_config["use_checkpoint"]


@pytest.mark.parametrize(
    ("task", "size", "stage", "message"),
    [
        ("knee", "tiny", 0, f"no task is called 'knee'; there are {', '.join(TASKS)}"),
        ("knee_multicoil", "huge", 0, "no size is called 'huge'; there are tiny, small, full, plus"),
        ("knee_multicoil", "plus", 0, "knee_multicoil has no size plus, but tiny, small, full"),
        ("knee_multicoil", "tiny", 2, "knee_multicoil has no stages, found stage 2"),
        ("knee_acc8", "tiny", 4, "knee_acc8 has stages 1, 2, 3, found stage 4"),
        ("knee_acc8", "tiny", 0, "knee_acc8 has stages 1, 2, 3, found stage none"),
    ],
)
def test_an_unknown_name_is_one_clear_line(task, size, stage, message):
    with pytest.raises(ConfigError) as caught:
        recipe(task, size, stage)
    assert str(caught.value) == message


def test_stages_follow_the_epochs_and_the_rate_that_are_asked_for():
    legs = recipes("brain_acc4", "full", num_epochs=6, max_lr=9e-4)
    parts = [config.training for config in legs]
    assert [(part.first_epoch, part.num_epochs, part.schedule_epochs) for part in parts] == [
        (0, 6, 8),
        (6, 6, 8),
        (12, 6, 6),
    ]
    assert [part.max_lr for part in parts] == [9e-4, 6e-4, 3e-4]
    assert [(config.augment.delay_epochs, config.augment.num_epochs) for config in legs[1:]] == [(6, 14), (12, 18)]
    assert recipe("brain_acc4", "full", 2, num_epochs=6, max_lr=9e-4) == legs[1]


def test_a_task_without_stages_takes_epochs_and_rate_too():
    training = recipe("anatomy", "tiny", num_epochs=2, max_lr=0.5).training
    assert (training.num_epochs, training.max_lr) == (2, 0.5)
