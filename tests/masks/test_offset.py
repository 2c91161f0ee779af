import numpy as np
import pytest

from mrikit.errors import ConfigError
from mrikit.masks import AcquiredRegion, MaskPlan, sample_mask, within
from mrikit.masks.kinds.halves import half_sizes, join_halves, magic_starts, spread, stepped

REGULAR = ["equispaced", "equispaced_fraction", "magic", "magic_fraction"]
MAGIC_RULES = ["even", "banding", "banding_v2"]


def draw(kind, acceleration=4.0, *, width=80, seed=0, first_column=0, center_fraction=0.08, **settings):
    plan = MaskPlan(kind=kind, acceleration=acceleration, center_fraction=center_fraction, settings=settings)
    return sample_mask(plan, (96, width), np.random.RandomState(seed), first_column)


def distances(lines):
    """From the middle, signed, of the lines."""
    return np.flatnonzero(lines) - len(lines) // 2


@pytest.mark.parametrize("kind", ["random", *REGULAR])
def test_a_centre_is_as_many_lines_as_are_set(kind):
    mask = draw(kind, num_center_lines=10)
    assert mask.num_center_lines == 10
    assert mask.samples[35:45].all()


@pytest.mark.parametrize("kind", REGULAR)
def test_lines_by_the_acquired_column_are_the_same_for_every_seed(kind):
    own = draw(kind, offset="acquired", first_column=5).samples
    for seed in range(5):
        np.testing.assert_array_equal(draw(kind, offset="acquired", first_column=5, seed=seed).samples, own)
    np.testing.assert_array_equal(draw(kind, offset="5").samples, own)
    assert any((draw(kind, seed=seed).samples != own).any() for seed in range(9))


def test_equispaced_lines_begin_with_the_first_acquired_column():
    region = AcquiredRegion.whole((96, 80), (11, 80))
    lines = within(draw("equispaced", offset="acquired", first_column=11, center_fraction=0), region).samples
    assert np.flatnonzero(lines).tolist() == list(range(11, 80, 4))


@pytest.mark.parametrize("step", [2, 3, 4, 5, 6, 8, 12])
@pytest.mark.parametrize("offset", [0, 1])
def test_even_halves_complete_each_other_at_any_acceleration(step, offset):
    starts = magic_starts(offset, step, "even")
    found = distances(join_halves(*(stepped(240, int(start), step) for start in starts)))
    mirrored = -found[found < 0]
    positive = found[found >= 0]
    # A line of the other half lies half a step beside each, as near as columns allow.
    beside = np.abs(positive[2:-2, None] - mirrored).min(axis=1)
    assert (beside == step // 2).all()


@pytest.mark.parametrize("rule", MAGIC_RULES)
@pytest.mark.parametrize("offset", range(6))
def test_at_four_fold_the_rules_are_one(rule, offset):
    np.testing.assert_array_equal(
        draw("magic", offset=str(offset), rule=rule).samples, draw("magic", offset=str(offset % 2)).samples
    )


def test_published_halves_do_not_complete_each_other_beyond_four_fold():
    starts = [magic_starts(0, 8, rule) for rule in ("banding", "even")]
    assert starts == [(1, 2), (2, 5)]  # 2 from each other's mirror image, and 4


@pytest.mark.parametrize("rule", MAGIC_RULES)
@pytest.mark.parametrize("acceleration", [3.0, 4.0, 5.5])
def test_a_magic_fraction_meets_its_acceleration(rule, acceleration):
    mask = draw("magic_fraction", acceleration, width=368, rule=rule)
    assert mask.true_acceleration == pytest.approx(acceleration, rel=0.05)


def test_a_centre_that_meets_the_acceleration_alone_is_all_there_is():
    for rule in MAGIC_RULES:
        assert draw("magic_fraction", center_fraction=0.5, rule=rule).samples.sum() == 40


def test_halves_have_all_columns():
    for width in (7, 8):
        positive, negative = half_sizes(width)
        assert join_halves(np.ones(positive, bool), np.zeros(negative, bool)).tolist() == [
            column >= width // 2 for column in range(width)
        ]


def test_lines_at_a_broken_distance_are_the_nearest_columns():
    assert np.flatnonzero(spread(12, 0.5, 2.5)).tolist() == [0, 3, 6, 8, 10]


@pytest.mark.parametrize(
    ("kind", "settings", "named"),
    [
        ("magic", {"rule": "odd"}, "rule"),
        ("equispaced", {"offset": "-1"}, "offset"),
        ("equispaced", {"offset": "first"}, "offset"),
        ("random", {"num_center_lines": -1}, "num_center_lines"),
        ("random", {"offset": "3"}, "offset"),
    ],
)
def test_wrong_settings_are_refused(kind, settings, named):
    with pytest.raises(ConfigError, match=named):
        MaskPlan(kind=kind, settings=settings)


def test_a_centre_wider_than_k_space_is_refused():
    with pytest.raises(ConfigError, match="does not fit into 80"):
        draw("random", num_center_lines=81)
