import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrikit.simulate.shapes import chord, coverage, ellipse, intersection, profile, segment, soft_step, union

AXIS = np.linspace(-40, 40, 321, dtype=np.float32)
Y, X = np.meshgrid(AXIS, AXIS, indexing="ij")


def test_a_circle_has_its_exact_distance_and_a_smooth_edge_keeps_its_area():
    distance = ellipse(Y, X, (3.0, -5.0), (20.0, 20.0))
    away = np.hypot(Y - 3, X + 5)
    np.testing.assert_allclose(distance[away > 1], (away - 20)[away > 1], atol=1e-3)
    assert coverage(distance, 0.25).sum() * 0.25**2 == pytest.approx(np.pi * 20**2, rel=1e-3)


def test_the_middle_of_an_ellipse_is_inside():
    assert ellipse(Y, X, (0.0, 0.0), (10.0, 4.0))[160, 160] == -4


def test_coarse_pixels_cover_the_same_area_as_fine_ones():
    axis = np.linspace(-39, 39, 27, dtype=np.float32)
    coarse = ellipse(axis[:, None], axis[None, :], (0.4, 0.3), (21.0, 21.0))
    assert coverage(coarse, 3.0).sum() * 9 == pytest.approx(np.pi * 21**2, rel=0.02)


def test_the_distance_to_a_segment_is_that_to_its_nearest_point():
    distance = segment(np.array([0.0, 5.0, 3.0]), np.array([0.0, 0.0, 14.0]), (0.0, 0.0), (0.0, 10.0))
    np.testing.assert_allclose(distance, [0, 5, 5])


@given(st.floats(-30, 30), st.floats(-30, 30), st.floats(0.1, 10))
def test_rounded_union_and_intersection_bound_the_sharp_ones(first, second, rounding):
    one, two = np.float32(first), np.float32(second)
    meet, join = intersection(one, two, rounding), union(one, two, rounding)
    assert max(one, two) <= meet <= max(one, two) + rounding / 4 + 1e-5
    assert min(one, two) - rounding / 4 - 1e-5 <= join <= min(one, two)


def test_a_profile_meets_its_knots_and_stays_constant_beyond_them():
    knots = {-10: 3.0, 0: 7.0, 20: 1.0}
    found = profile(np.array([-99, -10, 0, 20, 99], np.float32), knots)
    np.testing.assert_allclose(found, [3, 3, 7, 1, 1], atol=0.02)
    between = profile(AXIS, knots)
    assert between.min() >= 1
    assert between.max() <= 7


def test_soft_step_rises_from_0_to_1_over_its_width():
    np.testing.assert_allclose(soft_step(np.array([-3.0, -2.0, 0.0, 2.0, 3.0]), 2.0), [0, 0, 0.5, 1, 1])


def test_the_chord_of_a_ball_follows_pythagoras():
    assert chord(3, 5) == pytest.approx(0.8)
    assert chord(-5, 5) == chord(9, 5) == 0
