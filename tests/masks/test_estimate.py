import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrikit.masks import sample_mask, stored_mask


@pytest.mark.parametrize(
    ("width", "acceleration", "estimate"),
    [
        (368, 4, 3.99),
        (368, 6, 6.05),
        (368, 8, 7.88),
        (368, 12, 12.1),
        (396, 4, 4.03),
        (396, 6, 5.97),
        (396, 8, 8.25),
        (396, 12, 12.1),
    ],
)
def test_acceleration_of_a_stored_challenge_mask_is_found(width, acceleration, estimate):
    rng = np.random.RandomState(0)
    lines = sample_mask("fixed", width=width, acceleration=acceleration, center_fraction=0.08, rng=rng).lines
    assert stored_mask(lines).acceleration == pytest.approx(estimate, abs=0.06)


@pytest.mark.parametrize("width", [31, 32, 368])
def test_a_full_mask_is_all_center_at_acceleration_one(width):
    mask = stored_mask(np.ones(width, bool))
    assert (mask.kind, mask.num_center_lines, mask.acceleration, mask.true_acceleration) == ("full", width, 1.0, 1.0)


def test_a_full_mask_with_padding_is_full_over_the_acquired_columns():
    mask = stored_mask(np.ones(40, bool), (5, 37))
    assert (mask.kind, mask.acceleration, mask.true_acceleration) == ("full", 1.0, 1.0)
    assert mask.num_center_lines == 31
    assert mask.lines.sum() == 32


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
