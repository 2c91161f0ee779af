"""What holds of every policy."""

import dataclasses

import pytest
import torch
from episodes import follow, masks_of, observe

from mrikit.acquire.policies import (
    Equispaced,
    FixedOrder,
    LowToHigh,
    Observation,
    OneStepOracle,
    RandomLine,
    RandomLowBiased,
    line_chances,
)
from mrikit.errors import DataError
from mrikit.randomness import generator

WIDTH = 12
POLICIES = {
    "random": RandomLine(),
    "low-biased": RandomLowBiased(),
    "low to high": LowToHigh(),
    "one side": LowToHigh(alternates_sides=False),
    "equispaced": Equispaced(),
    "fixed order": FixedOrder(order=tuple(range(WIDTH))),
    "oracle": OneStepOracle(score=lambda images, masks: masks.float() @ torch.arange(WIDTH).float()),
    "oracle of a sample": OneStepOracle(score=lambda images, masks: masks.float()[:, 6], num_samples=2),
}
each_policy = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)


def chance(number=2):
    return [generator(0, index) for index in range(number)]


@each_policy
def test_the_same_generators_give_the_same_episodes(policy):
    starts = [[6], [5, 6, 7]]
    assert follow(policy, starts, WIDTH, 8, chance()) == follow(policy, starts, WIDTH, 8, chance())


@each_policy
def test_lines_that_the_scanner_cannot_measure_are_never_chosen(policy):
    masks = masks_of([[6], [5, 6]], WIDTH)
    free = masks_of([[3, 4, 8], [8]], WIDTH)
    for step in range(20):
        lines = policy.choose(observe(masks, step, free), [generator(step, row) for row in range(2)])
        assert free.gather(-1, lines[:, None]).all()


@each_policy
def test_the_observation_stays_as_it_is(policy):
    kspace = torch.ones(2, 1, 4, WIDTH, dtype=torch.complex64)
    seen = dataclasses.replace(observe(masks_of([[6], [5, 6]], WIDTH)), kspace=kspace)
    before = {field.name: getattr(seen, field.name).clone() for field in dataclasses.fields(Observation)}
    lines = policy.choose(seen, chance())
    assert lines.dtype == torch.int64
    assert lines.shape == (2,)
    assert all(torch.equal(getattr(seen, name), tensor) for name, tensor in before.items())


@each_policy
def test_chances_are_of_free_lines_and_add_up_to_one(policy):
    seen = observe(masks_of([[6], [5, 6]], WIDTH))
    lines = policy.choose(seen, chance())
    chances = line_chances(policy, seen, lines)
    assert torch.allclose(chances.sum(-1), torch.ones(2))
    assert not chances[seen.mask].any()
    assert (chances.gather(-1, lines[:, None]) > 0).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mask": torch.zeros(2, WIDTH)}, r"mask \(batch, phase\) bool, found \(2, 12\) torch.float32"),
        ({"is_free": torch.ones(2, 9, dtype=torch.bool)}, r"is_free \(batch, phase\) bool, found \(2, 9\)"),
        ({"num_decisions": torch.zeros(3)}, r"2; found 2 images and counts of shape \(3,\)"),
        ({"reconstruction": torch.zeros(1, 1, 4, 4)}, "2; found 1 images"),
        ({"kspace": torch.zeros(3, 1, 4, WIDTH)}, "k-space of as many episodes as masks, 2; found 3"),
    ],
)
def test_what_is_no_batch_of_episodes_is_refused(changes, words):
    with pytest.raises(DataError, match=words):
        dataclasses.replace(observe(masks_of([[], []], WIDTH)), **changes)
