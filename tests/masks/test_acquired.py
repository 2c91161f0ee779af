import numpy as np
import pytest

from mrikit.errors import DataError
from mrikit.masks import AcquiredRegion, MaskPlan, sample_mask, stored_mask, within
from mrikit.masks.mask import measured


def ellipse(size, width):
    y, x = np.mgrid[-1 : 1 : 1j * size, -1 : 1 : 1j * width]
    return y**2 + x**2 <= 1


def draw(kind, shape, seed=0):
    return sample_mask(MaskPlan(kind=kind, acceleration=4), shape, np.random.RandomState(seed))


@pytest.mark.parametrize("columns", [(0, 60), (6, 51), (13, 60)])
@pytest.mark.parametrize("rows", [64, 63, 40])
@pytest.mark.parametrize("kind", ["equispaced_fraction", "poisson_disc", "variable_density_2d"])
def test_a_region_of_whole_columns_cuts_masks_to_the_same_bits_whatever_their_rows(kind, rows, columns):
    mask, region = draw(kind, (rows, 60)), AcquiredRegion.whole((64, 60), columns)
    cut = within(mask, region)
    expected = mask.samples.copy()
    expected[..., : columns[0]] = expected[..., columns[1] :] = False
    np.testing.assert_array_equal(cut.samples, expected)
    assert cut.true_acceleration == expected[..., slice(*columns)].size / expected.sum()


def test_a_region_is_what_its_samples_are():
    region = AcquiredRegion(matrix=(6, 5), rows=(2, 6), columns=(1, 4))
    samples = np.zeros((6, 5), bool)
    samples[2:6, 1:4] = True
    np.testing.assert_array_equal(region.samples(), samples)
    assert AcquiredRegion.around(samples) == region
    assert (region.num_samples, region.has_center) == (12, True)
    assert not AcquiredRegion(matrix=(6, 5), rows=(4, 6), columns=(1, 4)).has_center


def test_an_outline_keeps_every_row():
    samples = ellipse(20, 16)
    region = AcquiredRegion.around(samples)
    np.testing.assert_array_equal(region.samples(), samples)
    assert (region.rows, region.num_samples) == ((1, 19), samples.sum())  # a tip between two samples


def test_a_pattern_is_cut_to_the_outline_and_counts_its_samples_only():
    region = AcquiredRegion.around(ellipse(64, 48))
    cut = within(draw("variable_density_2d", (64, 48)), region)
    assert cut.samples.any()
    assert not cut.samples[~ellipse(64, 48)].any()
    assert cut.true_acceleration == ellipse(64, 48).sum() / cut.samples.sum()


def test_lines_through_an_outline_count_its_samples_only():
    region, lines = AcquiredRegion.around(ellipse(64, 48)), np.arange(48) % 3 == 0
    cut = within(measured(lines, kind="equispaced", acceleration=3, num_center_lines=0), region)
    np.testing.assert_array_equal(np.flatnonzero(cut.samples), np.arange(3, 46, 3))
    assert cut.true_acceleration == ellipse(64, 48).sum() / (ellipse(64, 48) & lines).sum()


def test_fewer_rows_reach_as_far_out_in_kspace():
    region = AcquiredRegion.around(ellipse(64, 48))
    few = region.samples((32, 48))
    np.testing.assert_array_equal(few, region.samples()[::2])
    partial = AcquiredRegion(matrix=(64, 48), rows=(16, 64), columns=(0, 48))
    np.testing.assert_array_equal(partial.samples((32, 48))[:, 0], np.arange(32) >= 8)


def test_rows_that_were_not_acquired_cut_the_center_of_a_pattern():
    samples = np.zeros((40, 32), bool)
    samples[10:30, 12:20] = True
    cut = within(stored_mask(samples), AcquiredRegion(matrix=(40, 32), rows=(17, 40), columns=(0, 32)))
    assert cut.center == (7, 8)
    assert not cut.samples[:17].any()


def test_a_stored_pattern_that_fills_the_outline_is_full():
    region = AcquiredRegion.around(ellipse(64, 48))
    mask = stored_mask(ellipse(64, 48), region)
    assert (mask.kind, mask.acceleration, mask.true_acceleration) == ("full", 1, 1)
    assert stored_mask(ellipse(64, 48)).kind == "stored"


def test_a_mask_beside_the_region_samples_nothing():
    lines = np.arange(48) < 4
    mask = measured(lines, kind="mine", acceleration=4, num_center_lines=0)
    with pytest.raises(DataError, match="samples no line"):
        within(mask, AcquiredRegion.whole((64, 48), (6, 42)))
