import numpy as np
import pytest
import torch
from episodes import choose, follow, masks_of, observe

from mrikit.acquire.policies import RandomLine, RandomLowBiased
from mrikit.errors import ConfigError, DataError
from mrikit.randomness import generator

POLICIES = {
    "random": RandomLine(),
    "low-biased": RandomLowBiased(),
    "low-biased, zero first": RandomLowBiased(is_centered=False, acceleration=5),
}
each_policy = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)


@each_policy
@pytest.mark.parametrize("width", [10, 11])
def test_lines_are_chosen_as_often_as_told(policy, width):
    number, taken = 6_000, [1, 4, 5]
    lines = choose(policy, [taken] * number, width, 0, [generator(3, "shares")] * number)
    told = policy.probabilities(observe(masks_of([taken], width)))[0].numpy()
    assert told[taken].max() == 0
    assert told.sum() == pytest.approx(1)
    spread = np.sqrt(told * (1 - told) / number)
    assert (abs(np.bincount(lines, minlength=width) / number - told) <= 5 * spread).all()


@each_policy
def test_an_episode_measures_every_line_once(policy):
    lines = np.array(follow(policy, [[], [3]], 9, 8))
    assert all(len(set(row)) == 8 for row in lines.T)
    assert 3 not in lines[:, 1]


@each_policy
def test_chance_belongs_to_the_episode_and_not_to_its_batch(policy):
    starts = [[0], [4, 5], [8]]
    together = follow(policy, starts, 12, 5, [generator(7, index) for index in range(3)])
    alone = [follow(policy, [start], 12, 5, [generator(7, index)]) for index, start in enumerate(starts)]
    assert together == [[line for (line,) in step] for step in zip(*alone, strict=True)]


def test_any_free_line_is_as_likely():
    told = RandomLine().probabilities(observe(masks_of([[0, 2]], 6)))
    assert told[0].tolist() == [0, 0.25, 0, 0.25, 0.25, 0.25]


@pytest.mark.parametrize(("is_centered", "place"), [(True, 10), (False, 0)])
@pytest.mark.parametrize("width", [20, 21])
def test_the_bell_stands_on_the_zero_frequency(width, is_centered, place):
    told = RandomLowBiased(is_centered=is_centered).probabilities(observe(masks_of([[]], width)))[0]
    assert told.argmax() == place
    sides = torch.arange(1, (width + 1) // 2)
    assert torch.equal(told[(place + sides) % width], told[(place - sides) % width])


def test_the_constant_falls_with_acceleration():
    ratios = [
        float(told[10] / told[0])
        for acceleration in (2, 4)
        for told in RandomLowBiased(acceleration=acceleration).probabilities(observe(masks_of([[]], 20)))
    ]
    assert ratios == pytest.approx([5, 9], rel=1e-4)


@each_policy
def test_a_full_mask_is_refused(policy):
    with pytest.raises(DataError, match="none of the 3 lines of an episode is free; a smaller budget"):
        choose(policy, [[0], [0, 1, 2]], 3)


def test_an_acceleration_below_1_is_refused():
    with pytest.raises(ConfigError, match=r"acceleration >= 1, found 0\.5"):
        RandomLowBiased(acceleration=0.5)
