import numpy as np
import pytest

from mrikit.masks import MaskPlan, sample_mask
from mrikit.masks.spread import largest_side_lobe, point_spread, sampling_density, side_lobe_energy

SHAPE = (64, 48)


def samples_of(kind, acceleration=4.0, center_fraction=0.0):
    plan = MaskPlan(kind=kind, acceleration=acceleration, center_fraction=center_fraction)
    return sample_mask(plan, SHAPE, np.random.RandomState(0)).samples


def test_a_full_mask_has_no_side_lobe():
    assert largest_side_lobe(point_spread(np.ones(SHAPE, bool))) == pytest.approx(0, abs=1e-12)


def test_regular_lines_fold_everything_onto_itself():
    assert largest_side_lobe(point_spread(samples_of("equispaced"))) == pytest.approx(1)


def test_the_side_lobe_of_a_block_is_that_of_a_sinc():
    block = np.zeros(4800, bool)
    block[2300:2500] = True
    assert largest_side_lobe(point_spread(block)) == pytest.approx(0.2172, abs=1e-3)


@pytest.mark.parametrize("shape", [(480,), (481,), (24, 30)])
def test_a_full_mask_has_all_energy_in_its_main_lobe(shape):
    assert side_lobe_energy(point_spread(np.ones(shape, bool))) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("step", [2, 4, 8])
def test_regular_lines_have_equal_energy_in_each_fold(step):
    assert side_lobe_energy(point_spread(np.arange(480) % step == 0)) == pytest.approx(1 - 1 / step)


def test_a_sinc_has_nine_tenths_of_its_energy_in_the_main_lobe():
    block = np.zeros(4800, bool)
    block[2300:2500] = True
    assert 1 - side_lobe_energy(point_spread(block)) == pytest.approx(0.9028, abs=1e-3)
    square = np.zeros((480, 480), bool)
    square[225:255, 225:255] = True
    assert 1 - side_lobe_energy(point_spread(square)) == pytest.approx(0.9028**2, abs=3e-3)


def test_random_patterns_have_small_side_lobes():
    assert largest_side_lobe(point_spread(samples_of("poisson_disc"))) < 0.3


def test_the_density_is_the_share_of_samples_nearby():
    assert sampling_density(np.ones(SHAPE, bool)) == pytest.approx(1)
    assert sampling_density(np.arange(480) % 4 == 0).mean() == pytest.approx(0.25, abs=0.01)
