import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrikit.masks import AcquiredRegion, MaskPlan, sample_mask, stored_mask, within


@pytest.mark.parametrize("kind", ["equispaced", "magic", "fixed", "random_offset", "random_spaced"])
@pytest.mark.parametrize("width", [93, 96, 97, 320, 368, 372, 396])
@pytest.mark.parametrize("acceleration", [2, 4, 6, 8])
def test_the_acceleration_that_a_regular_mask_was_drawn_with_is_found(kind, width, acceleration):
    for seed in range(20):
        plan = MaskPlan(kind=kind, acceleration=acceleration)
        drawn = sample_mask(plan, (8, width), np.random.RandomState(seed))
        # A narrow mask has so few bins that its random lines may fit a neighbour of R as well.
        slack = 1 if kind == "random_spaced" and width < 100 else 0
        assert abs(stored_mask(drawn.samples).acceleration - acceleration) <= slack, seed
        region = AcquiredRegion.whole((8, width), (round(0.05 * width), round(0.97 * width)))
        padded = within(drawn, region)
        assert abs(stored_mask(padded.samples, region).acceleration - acceleration) <= slack, seed


@pytest.mark.parametrize("kind", ["random", "equispaced_fraction"])
@pytest.mark.parametrize("width", [320, 368, 396])
@pytest.mark.parametrize(("acceleration", "center_fraction"), [(4, 0.08), (8, 0.04)])
def test_the_acceleration_of_any_other_mask_is_the_overall_one(kind, width, acceleration, center_fraction):
    for seed in range(50):
        plan = MaskPlan(kind=kind, acceleration=acceleration, center_fraction=center_fraction)
        drawn = sample_mask(plan, (8, width), np.random.RandomState(seed))
        assert stored_mask(drawn.samples).acceleration == pytest.approx(drawn.true_acceleration), seed


@pytest.mark.parametrize("width", [31, 32, 368])
def test_a_full_mask_is_all_center_at_acceleration_one(width):
    mask = stored_mask(np.ones(width, bool))
    assert (mask.kind, mask.num_center_lines, mask.acceleration, mask.true_acceleration) == ("full", width, 1.0, 1.0)


def test_a_full_mask_with_padding_is_full_over_the_acquired_columns():
    mask = stored_mask(np.ones(40, bool), AcquiredRegion.whole((8, 40), (5, 37)))
    assert (mask.kind, mask.acceleration, mask.true_acceleration) == ("full", 1.0, 1.0)
    assert mask.num_center_lines == 31
    assert mask.samples.sum() == 32


@given(width=st.integers(16, 400), num_center=st.integers(1, 16))
def test_the_center_block_alone_is_found(width, num_center):
    lines = np.zeros(width, bool)
    start = (width - num_center + 1) // 2
    lines[start : start + num_center] = True
    mask = stored_mask(lines)
    assert mask.num_center_lines == num_center
    assert mask.true_acceleration == pytest.approx(width / num_center)


def test_a_mask_with_no_center_has_no_center_lines():
    lines = np.zeros(32, bool)
    lines[1::4] = True
    mask = stored_mask(lines)
    assert mask.num_center_lines == 0
    assert mask.acceleration == pytest.approx(4)


def test_a_square_center_is_found_in_a_two_dimensional_pattern():
    lines = np.zeros((40, 31), bool)
    lines[::3, ::2] = True
    lines[14:26, 10:22] = True
    mask = stored_mask(lines)
    assert mask.num_center_lines == 12
    assert mask.acceleration == pytest.approx(lines.size / lines.sum())


def test_the_center_of_a_stored_pattern_is_found_in_rows_and_columns():
    samples = np.zeros((40, 31), bool)
    samples[::3, ::2] = True
    samples[11:29, 13:19] = True
    mask = stored_mask(samples)
    assert mask.center == (18, 6)
    assert mask.num_center_lines == 6


def test_padding_cuts_the_columns_of_a_pattern_s_center():
    samples = np.zeros((40, 32), bool)
    samples[16:24, 11:21] = True
    cut = within(stored_mask(samples), AcquiredRegion.whole((40, 32), (14, 32)))
    assert cut.center == (8, 5)


def test_a_pattern_that_misses_the_middle_has_no_center():
    samples = np.zeros((40, 32), bool)
    samples[3, 4] = True
    assert stored_mask(samples).center == (0, 0)
