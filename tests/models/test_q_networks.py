import re

import pytest
import torch
from helpers import complex_normal

from mrikit.errors import ConfigError, DataError
from mrikit.models.cvpr19_evaluator import EvaluatorConfig
from mrikit.models.digits_q import DigitsQ, DigitsQConfig
from mrikit.models.q_networks import TAKEN, SpectralQ, StepQ, StepQConfig

WIDTH = 20


def masks(*numbers):
    """(batch, phase), each with the first so many lines measured."""
    return torch.arange(WIDTH) < torch.tensor(numbers)[:, None]


def by_step(**settings):
    torch.manual_seed(0)
    return StepQ(StepQConfig(**{"width": WIDTH, "budget": 6, **settings}))


def networks():
    torch.manual_seed(0)
    spectral = SpectralQ(EvaluatorConfig(width=WIDTH, num_channels=2, num_layers=3))
    return {
        "spectral": spectral,
        "step": by_step(),
        "digits": DigitsQ(DigitsQConfig(matrix=(19, WIDTH), num_channels=(2, 3), num_hidden=5)).eval(),
    }


@pytest.mark.parametrize("name", networks())
@torch.inference_mode()
def test_lines_measured_are_never_the_best(name):
    mask = masks(3, 8)
    values = networks()[name](complex_normal((2, 19, WIDTH)), mask)
    assert values.shape == mask.shape
    assert ((values == TAKEN) == mask).all()
    assert not mask.gather(-1, values.argmax(-1, keepdim=True)).any()


@pytest.mark.parametrize("name", networks())
@torch.inference_mode()
def test_an_image_alone_has_the_values_that_it_has_in_a_batch(name):
    image, mask, network = complex_normal((2, 19, WIDTH)), masks(3, 8), networks()[name]
    torch.testing.assert_close(network(image[1:], mask[1:]), network(image, mask)[1:])


@torch.inference_mode()
def test_the_step_begins_after_the_lines_given():
    step, nothing = by_step(num_given=4), torch.zeros(1)
    inputs = []
    step.layers[0].register_forward_pre_hook(lambda _layer, features: inputs.append(features[0].argmax(-1).tolist()))
    step(nothing, masks(4, 5, 9, 10, 15))
    assert inputs == [[0, 1, 5, 5, 5]]


@torch.inference_mode()
def test_values_by_the_step_differ_from_step_to_step_and_ignore_the_image():
    step, mask = by_step(), masks(2, 3)
    first, second = step(torch.zeros(2), mask)
    assert (first[3:] != second[3:]).all()
    assert torch.equal(step(torch.ones(2), mask), torch.stack([first, second]))


def test_the_published_size_has_as_many_weights_as_published():
    weights = by_step(width=368, budget=70).parameters()
    assert sum(weight.numel() for weight in weights) == 16_528


def test_values_have_a_gradient_only_of_lines_not_measured():
    network = networks()["digits"].train()
    values = network(complex_normal((2, 19, WIDTH)), masks(3, 8))
    values.masked_fill(values == TAKEN, 0).sum().backward()
    assert all(weight.grad.isfinite().all() for weight in network.parameters())
    assert not network.output.real.bias.grad[:3].any()
    assert network.output.real.bias.grad[8:].all()


def test_inputs_of_another_size_are_refused():
    with pytest.raises(DataError, match=r"^a network of 20 lines was given a mask of 19$"):
        by_step()(torch.zeros(1), masks(3)[:, :19])
    with pytest.raises(DataError, match=r"^this agent chooses lines for k-space of 19 x 20, found 20 x 20$"):
        networks()["digits"](complex_normal((1, 20, WIDTH)), masks(3))


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        (
            StepQConfig,
            {"width": 8, "budget": 0},
            "a network of steps needs width, budget and num_hidden >= 1 and num_g",
        ),
        (StepQConfig, {"width": 8, "budget": 2, "num_given": 8}, "a network of steps needs width"),
        (DigitsQConfig, {"matrix": (28, 15)}, "the digits agent needs a matrix of 16 x 16 or more, found (28, 15)"),
        (DigitsQConfig, {"matrix": (28,)}, "the digits agent needs a matrix of 16 x 16 or more, found (28,)"),
        (
            DigitsQConfig,
            {"num_channels": (0, 2)},
            "the digits agent needs two num_channels and num_hidden, all >= 1, fo",
        ),
        (
            DigitsQConfig,
            {"num_channels": (2,)},
            "the digits agent needs two num_channels and num_hidden, all >= 1, fou",
        ),
    ],
)
def test_settings_out_of_range_are_refused(config, settings, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        config(**settings)
