from collections import Counter

import numpy as np
import pytest

from mrikit.errors import ConfigError
from mrikit.masks import MaskPlan, sample_mask, volume_rng
from mrikit.masks.kinds.center import center_block
from mrikit.masks.kinds.cvpr19 import FAMILIES

WIDTHS = [(64, 4), (64, 5), (65, 4), (65, 5)]


def draw(seed=0, width=64, acceleration=4.0, center_fraction=0.08, **settings):
    plan = MaskPlan(kind="episode", acceleration=acceleration, center_fraction=center_fraction, settings=settings)
    return sample_mask(plan, (16, width), np.random.RandomState(seed))


def draws(num, **settings):
    return [draw(seed, **settings) for seed in range(num)]


@pytest.mark.parametrize(("width", "num_given"), WIDTHS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_number_of_lines_of_an_episode_is_as_likely_and_no_other(family, width, num_given):
    masks = draws(400, width=width, num_given=num_given, budget=9, families=(family,))
    counts = Counter(int(mask.samples.sum()) for mask in masks)
    assert set(counts) == set(range(num_given, num_given + 10))
    assert min(counts.values()) > 15


@pytest.mark.parametrize(("width", "num_given"), WIDTHS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_given_middle_is_in_every_mask(family, width, num_given):
    middle = center_block(width, num_given)
    for mask in draws(30, width=width, num_given=num_given, budget=width - num_given, families=(family,)):
        assert mask.samples[middle].all()
        assert mask.num_center_lines >= num_given
        assert mask.true_acceleration == pytest.approx(width / mask.samples.sum())


def test_every_family_comes_as_often():
    masks = draws(300, num_given=2, budget=10, families=("low_to_high", "grid"))
    alone = [mask.num_center_lines == mask.samples.sum() for mask in masks if mask.samples.sum() > 4]
    assert 0.4 < np.mean(alone) < 0.6


def test_a_symmetric_mask_of_an_even_number_of_lines_is_its_own_mirror_image():
    masks = draws(100, num_given=4, budget=20, families=("symmetric",))
    assert all((mask.samples == mask.samples[::-1]).all() for mask in masks if mask.samples.sum() % 2 == 0)
    odd = [mask.samples for mask in masks if mask.samples.sum() % 2]
    assert {int((samples != samples[::-1]).sum()) for samples in odd} == {2}


def test_the_step_of_a_grid_follows_from_the_number_of_lines():
    steps = {}
    for mask in draws(100, num_given=2, budget=20, families=("grid",)):
        outside = np.flatnonzero(mask.samples[33:]) + 1
        if mask.samples.sum() > 3:
            assert set(outside % outside[0]) == {0}
            steps[int(mask.samples.sum())] = int(outside[0])
    assert len(steps) == 19
    assert [steps[count] for count in sorted(steps)] == sorted(steps.values(), reverse=True)
    assert (steps[4], steps[22]) == (21, 3)


def test_without_settings_an_episode_goes_from_the_centre_fraction_to_the_acceleration():
    counts = {int(mask.samples.sum()) for mask in draws(300, acceleration=4, center_fraction=0.1)}
    assert counts == set(range(6, 17))
    assert {draw(acceleration=4).acceleration} == {4}
    assert {int(mask.samples.sum()) for mask in draws(50, acceleration=32, center_fraction=0)} == {1, 2}


def test_a_volume_keeps_one_mask():
    plan = MaskPlan(kind="episode", settings={"num_given": 4, "budget": 30})
    masks = [sample_mask(plan, (16, 64), volume_rng(name)).samples for name in ("knee1", "knee1", "knee2")]
    assert np.array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[0], masks[2])


def test_settings_come_back_from_words():
    plan = MaskPlan(kind="episode", settings={"families": "basic,grid", "budget": "3"})
    assert plan.settings == {"families": ("basic", "grid"), "budget": 3}
    assert plan.facts["settings"] == {"families": ["basic", "grid"], "budget": 3}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"families": ("basic", "spiral")},
            r"families of the episode mask are basic, .*_grid, found 'spiral'",
        ),
        ({"families": ()}, r"families of the episode mask are basic, .*, found none"),
        ({"num_given": -1}, r"the episode mask needs num_given and budget from 0, found -1 and 0"),
        ({"budget": -2}, r"the episode mask needs num_given and budget from 0, found 0 and -2"),
        ({"num_given": 30, "budget": 40}, r"of 30 given and 40 chosen lines is more than the 64 of k-space"),
        ({"num_given": 30}, r"the centre alone has 30 samples, but acceleration 4 allows 16 of 64"),
    ],
)
def test_an_episode_that_cannot_be_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        draw(**settings)
