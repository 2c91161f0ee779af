import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrikit.errors import ConfigError, DataError
from mrikit.masks import (
    MASK_KINDS,
    AcquiredRegion,
    Mask,
    MaskPlan,
    challenge_center_fraction,
    measured,
    sample_mask,
    volume_rng,
    within,
)

PUBLISHED = [
    "equispaced",
    "equispaced_fraction",
    "fixed",
    "magic",
    "magic_fraction",
    "random",
    "random_offset",
    "random_spaced",
]


def draw(kind, width=32, acceleration=4, center_fraction=0.08, seed=123):
    plan = MaskPlan(kind=kind, acceleration=acceleration, center_fraction=center_fraction)
    return sample_mask(plan, (8, width), np.random.RandomState(seed))


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("fixed", [0, 4, 8, 12, 15, 16, 17, 20, 24, 28]),
        ("random_offset", [1, 5, 9, 13, 15, 16, 17, 21, 25, 29]),
        ("random_spaced", [1, 7, 11, 15, 16, 17, 19, 23, 24, 29]),
    ],
)
def test_snu_masks_equal_the_published_draws(kind, columns):
    assert np.flatnonzero(draw(kind, seed=430).samples).tolist() == columns


@pytest.mark.parametrize(
    ("width", "acceleration", "lines"),
    [(368, 4, 114), (368, 8, 72), (396, 4, 123), (396, 8, 77), (320, 4, 99), (320, 8, 63)],
)
def test_fixed_mask_has_the_line_counts_of_the_challenge(width, acceleration, lines):
    mask = draw("fixed", width, acceleration)
    assert mask.samples.sum() == lines
    assert mask.true_acceleration == pytest.approx(width / lines)


def test_the_leaderboard_mask_of_a_file_is_seeded_by_its_name():
    mask = sample_mask(MaskPlan(), (640, 368), volume_rng("file1000000"))
    assert mask.samples.sum() == 93
    assert np.flatnonzero(mask.samples)[:8].tolist() == [1, 6, 12, 17, 23, 28, 33, 39]


@given(
    kind=st.sampled_from(PUBLISHED),
    width=st.integers(8, 400),
    acceleration=st.integers(1, 8),
    center_fraction=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_every_published_mask_keeps_its_center_and_counts_itself(kind, width, acceleration, center_fraction, seed):
    try:
        mask = draw(kind, width, acceleration, center_fraction, seed)
    except ConfigError:
        # Only the kinds that meet the acceleration by chance or by the centre alone may draw nothing.
        assert kind in {"random", "equispaced_fraction", "magic"}
        assert center_fraction * width <= 0.5
        return
    start = (width - mask.num_center_lines + 1) // 2
    assert mask.samples.shape == (width,)
    assert mask.samples[start : start + mask.num_center_lines].all()
    assert mask.true_acceleration == pytest.approx(width / mask.samples.sum())


@pytest.mark.parametrize("kind", sorted(MASK_KINDS))
def test_the_same_seed_draws_the_same_mask_and_leaves_the_global_generator_alone(kind):
    np.random.seed(7)
    before = np.random.get_state()[1].copy()
    assert (draw(kind).samples == draw(kind).samples).all()
    assert (np.random.get_state()[1] == before).all()


@pytest.mark.parametrize("center_fraction", [0.25, 0.5, 1.0])
def test_equispaced_fraction_samples_the_center_alone_when_that_meets_the_acceleration(center_fraction):
    mask = draw("equispaced_fraction", 64, 4, center_fraction)
    assert mask.samples.sum() == mask.num_center_lines == round(64 * center_fraction)


def test_magic_fraction_samples_the_center_alone_when_that_meets_the_acceleration():
    mask = draw("magic_fraction", 64, 4, 0.5)
    assert mask.samples.sum() == mask.num_center_lines == 16


def test_magic_mask_without_center_alternates_by_parity():
    masks = {mask.offset: mask for mask in (draw("magic", 16, 4, 0.0, seed) for seed in range(20))}
    assert set(masks) == {0, 1, 2, 3}
    assert np.flatnonzero(masks[0].samples).tolist() == [1, 5, 9, 13]
    assert np.flatnonzero(masks[1].samples).tolist() == [3, 7, 11, 15]


def test_random_mask_meets_the_acceleration_on_average():
    counts = [draw("random", 368, 4, 0.08, seed).samples.sum() for seed in range(300)]
    assert 368 / np.mean(counts) == pytest.approx(4, rel=0.02)


@pytest.mark.parametrize(("acceleration", "fraction"), [(4, 0.08), (8, 0.04)])
def test_the_center_fraction_is_the_one_that_the_challenge_pairs_with_the_acceleration(acceleration, fraction):
    assert challenge_center_fraction(acceleration) == pytest.approx(fraction)


def test_padding_removes_lines_and_counts_acquired_columns_only():
    mask = within(draw("fixed", 40, 4), AcquiredRegion.whole((8, 40), (4, 36)))
    assert not mask.samples[:4].any()
    assert not mask.samples[36:].any()
    assert mask.true_acceleration == pytest.approx(32 / mask.samples.sum())


def test_padding_that_cuts_the_center_leaves_fewer_center_lines():
    mask = draw("equispaced", 64, 4, 0.2, seed=0)
    assert mask.num_center_lines == 13
    cut = within(mask, AcquiredRegion.whole((8, 64), (29, 64)))
    start = (64 - cut.num_center_lines + 1) // 2
    assert cut.samples[start : start + cut.num_center_lines].all()
    assert 0 < cut.num_center_lines < 13


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "spiral"}, "no mask is called 'spiral'; there are random, equispaced,"),
        ({"acceleration": 0.5}, "an acceleration is a number from 1, found 0.5"),
        ({"acceleration": 64}, r"acceleration must be in \[1, 32\]"),
        ({"center_fraction": 8}, r"the centre fraction is a share in \[0, 1\], found 8"),
        ({"kind": "equispaced", "acceleration": 4.5}, "whole acceleration, found 4.5; try equispaced_fraction"),
    ],
)
def test_a_number_out_of_range_is_one_clear_line(change, message):
    with pytest.raises(ConfigError, match=message):
        draw(**({"kind": "random"} | change))


def test_a_mask_without_lines_or_of_numbers_is_refused():
    with pytest.raises(DataError, match="samples no line; is it all zeros"):
        measured(np.zeros(8, bool), kind="stored", acceleration=4, num_center_lines=0)
    with pytest.raises(DataError, match="a mask is bool with axes"):
        Mask(samples=np.ones(8), kind="stored", acceleration=4, true_acceleration=4, num_center_lines=0)
