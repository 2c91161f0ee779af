"""SS-DDQN and DS-DDQN (golden/active_mri_q_networks.npz): values, and one step of learning."""

import json

import pytest
import torch
from golden.active_mri import in_places
from helpers import relative_error

from mrikit.acquire.learning.double_q_loss import DoubleQ, SeenTransitions
from mrikit.acquire.learning.exploration import exploration
from mrikit.models.cvpr19_evaluator import EvaluatorConfig
from mrikit.models.published_cvpr19 import evaluator_state, step_q_state
from mrikit.models.q_networks import TAKEN, SpectralQ, StepQ, StepQConfig

OUTPUTS, GRADIENTS = 1e-5, 1e-4
"""Largest difference, relative to the largest value."""


@pytest.fixture(scope="module")
def case(load_golden):
    return load_golden("active_mri_q_networks")


def weights(arrays, owner):
    prefix = f"{owner}::w::"
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}


def assert_values(found, expected, mask):
    assert (found[mask] == TAKEN).all()
    assert relative_error(found[~mask], expected[~mask]) < OUTPUTS


def spectral(case, owner, num_given=0, **settings):
    arrays, config = case
    width = config["image_width"]
    model = SpectralQ(
        EvaluatorConfig(
            width=width,
            num_channels=config["number_of_filters"],
            num_given=num_given,
            divisor=1.0,
            **{"pools_square": True, **settings},
        )
    )
    model.evaluator.load_state_dict(evaluator_state(weights(arrays, owner), width), strict=True)
    return model


def look(model, arrays):
    return model(torch.view_as_complex(arrays["reconstruction"]), in_places(arrays["mask"]))


@torch.inference_mode()
def test_values_by_the_image_equal_the_published_ones(case):
    arrays, _ = case
    model, mask = spectral(case, "ss"), in_places(arrays["mask"])
    assert_values(look(model, arrays), in_places(arrays["ss::q"]), mask)
    nothing = torch.zeros_like(mask)
    values = model(torch.view_as_complex(arrays["reconstruction"]), nothing)
    assert relative_error(values, in_places(arrays["ss::q_without_penalty"])) < OUTPUTS


@torch.inference_mode()
def test_values_without_the_lines_given_equal_the_published_ones(case):
    arrays, config = case
    width, num_scored = config["image_width"], arrays["ss_offset::q"].shape[-1]
    offset = (width - num_scored) // 2
    values = torch.fft.ifftshift(look(spectral(case, "ss_offset", 2 * offset), arrays), dim=-1)
    scored = slice(offset, width - offset)
    assert_values(values[:, scored], arrays["ss_offset::q"], arrays["mask"][:, scored])


@torch.inference_mode()
def test_all_rows_give_other_values_than_the_published_pooling(case):
    arrays, _ = case
    mask = in_places(arrays["mask"])
    values = look(spectral(case, "ss", pools_square=False), arrays)
    assert relative_error(values[~mask], in_places(arrays["ss::q"])[~mask]) > 10 * OUTPUTS


@torch.inference_mode()
def test_values_by_the_step_equal_the_published_ones(case):
    arrays, config = case
    model = StepQ(StepQConfig(width=config["image_width"], budget=config["budget"]))
    model.load_state_dict(step_q_state(weights(arrays, "ds")), strict=True)
    assert_values(look(model, arrays), in_places(arrays["ds::q"]), in_places(arrays["mask"]))


def test_a_step_of_learning_equals_the_published_one(case):
    arrays, config = case
    facts = config["update"]
    networks = {}
    for name in ("online", "target"):
        networks[name] = StepQ(StepQConfig(width=config["image_width"], budget=config["budget"]))
        networks[name].load_state_dict(step_q_state(weights(arrays, f"update::{name}")), strict=True)
    width, nothing = config["image_width"], torch.zeros(len(facts["actions"]))
    after = in_places(arrays["update::next_mask"])
    transitions = SeenTransitions(
        image=nothing,
        mask=in_places(arrays["update::mask"]),
        line=(torch.tensor(facts["actions"]) + width // 2) % width,
        reward=torch.tensor(facts["rewards"]),
        next_image=nothing,
        next_mask=after,
        next_free=~after,
        is_done=torch.tensor(facts["dones"]),
    )
    learning = DoubleQ(networks["online"], discount=facts["gamma"], rate=facts["learning_rate"], target_steps=5_000)
    target = {f"target/{name}": value for name, value in networks["target"].state_dict().items()}
    learning.restore(learning.state() | target)
    done = learning.update(transitions)
    assert done.loss == pytest.approx(facts["loss"], rel=OUTPUTS)
    assert done.gradient_norm == pytest.approx(facts["gradient_norm"], rel=GRADIENTS)
    expected = step_q_state(weights(arrays, "update::after"))
    for name, weight in networks["online"].named_parameters():
        assert relative_error(weight.detach(), expected[name]) < GRADIENTS, name


def test_exploration_falls_as_it_was_published(golden, load_golden):
    for case in json.loads((golden / "active_mri_baselines.json").read_text())["epsilon"]:
        found = exploration(case["steps"], first=case["start"], last=case["end"], decay_steps=case["decay"])
        assert found == pytest.approx(case["epsilon"], rel=1e-9)
    for case in load_golden("mnist_rl")[1]["epsilon"]:
        assert exploration(case["updates"], decay_steps=0.996) == pytest.approx(case["epsilon"], rel=1e-9)
