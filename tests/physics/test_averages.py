"""Averages become one k-space without loss of signal."""

import numpy as np
import pytest

from mrikit.physics.averages import combine_averages
from tests.volumes.mrd import scan


@pytest.fixture
def kspace():
    """(coil, readout, phase) complex64 without a zero."""
    rng = np.random.default_rng(0)
    return (rng.standard_normal((3, 8, 10)) + 1j * rng.standard_normal((3, 8, 10))).astype(np.complex64)


def lines_of(kspace, *starts):
    """One average for each start, which holds every second line from there."""
    averages = np.zeros((len(starts), *kspace.shape), np.complex64)
    for number, start in enumerate(starts):
        averages[number, ..., start::2] = kspace[..., start::2]
    return averages


def test_equal_averages_are_left_as_they_are(kspace):
    found, angles = combine_averages(np.stack([kspace, kspace]))
    np.testing.assert_array_equal(found, kspace)
    assert not angles.any()


def test_alternating_lines_are_put_together(kspace):
    found, angles = combine_averages(lines_of(kspace, 0, 1, 0))
    np.testing.assert_allclose(found, kspace, rtol=1e-6)
    assert not angles.any()


@pytest.mark.parametrize("angle", [2.6, -1.0, np.pi])
def test_averages_out_of_phase_are_turned_before_their_mean(kspace, angle):
    found, angles = combine_averages(np.stack([kspace, kspace * np.exp(1j * angle), kspace]))
    np.testing.assert_allclose(found, kspace, rtol=1e-5, atol=1e-5)
    assert abs(np.exp(-1j * angles[1]) - np.exp(1j * angle)) < 1e-6
    assert angles[0] == angles[2] == 0


def test_alternating_averages_are_turned_by_the_lines_that_they_share(kspace):
    averages = lines_of(kspace, 0, 1, 0)
    averages[2] *= np.exp(2.6j)
    found, angles = combine_averages(averages)
    np.testing.assert_allclose(found, kspace, rtol=1e-5, atol=1e-5)
    assert angles[2] == pytest.approx(-2.6)


@pytest.mark.parametrize("angle", [2.6, -1.0, 0.5])
def test_averages_that_share_no_line_are_turned_by_their_neighbours(angle):
    image = scan(num_slices=1, readout=64, phase=48)[0]
    averages = lines_of(image, 0, 1)
    averages[1] *= np.exp(1j * angle)
    found, angles = combine_averages(averages)
    assert angles[1] == pytest.approx(-angle, abs=0.1)
    assert np.linalg.norm(found - image) < 0.1 * np.linalg.norm(image)


def test_noise_alone_is_not_turned():
    rng = np.random.default_rng(1)
    noise = (rng.standard_normal((2, 4, 32, 32)) + 1j * rng.standard_normal((2, 4, 32, 32))).astype(np.complex64)
    found, angles = combine_averages(noise)
    np.testing.assert_allclose(found, noise.mean(axis=0), rtol=1e-5, atol=1e-6)
    assert not angles.any()


def test_what_no_average_measured_stays_zero(kspace):
    found, _ = combine_averages(lines_of(kspace, 0, 0))
    assert not found[..., 1::2].any()
