"""What was sampled shows in the zeros of k-space."""

import numpy as np
import pytest

from mrikit.errors import DataError
from mrikit.masks import AcquiredRegion, MaskPlan, sample_mask
from mrikit.volumes.sampling import find_sampling, first_coil, judge, look
from tests.volumes.scans import make_volume

KSPACE = make_volume(2, 3, (6, 5), padding=(0, 5)).kspace


def test_full_sampling_has_no_mask():
    assert find_sampling(KSPACE) == (AcquiredRegion.whole((6, 5)), None)


def test_columns_that_are_zero_everywhere_are_not_sampled():
    kspace = make_volume(2, 3, (6, 9), padding=(0, 9)).kspace.copy()
    kspace[..., [2, 7]] = 0
    kspace[0, :, :, 3] = 0  # in one slice alone: not a matter of sampling
    region, mask = find_sampling(kspace)
    np.testing.assert_array_equal(np.flatnonzero(~mask), [2, 7])
    assert region == AcquiredRegion.whole((6, 9))


def test_zero_columns_at_the_sides_are_padding():
    kspace = make_volume(1, 2, (6, 9), padding=(2, 8)).kspace
    assert find_sampling(kspace) == (AcquiredRegion.whole((6, 9), (2, 8)), None)


def test_one_side_of_kspace_is_not_the_acquired_part():
    kspace = make_volume(1, 2, (6, 9), padding=(0, 9)).kspace.copy()
    kspace[..., :6] = 0
    _, mask = find_sampling(kspace)
    np.testing.assert_array_equal(np.flatnonzero(mask), [6, 7, 8])


def test_a_pattern_in_two_dimensions_is_kept():
    pattern = np.random.default_rng(0).random((6, 9)) < 0.5
    kspace = make_volume(1, 2, (6, 9), padding=(0, 9), mask=pattern).kspace
    region, mask = find_sampling(kspace)
    np.testing.assert_array_equal(mask, pattern)
    assert region == AcquiredRegion.whole((6, 9))


def test_single_zeros_of_integer_data_are_no_pattern():
    kspace = np.ones((1, 1, 20, 20), np.complex64)
    kspace[0, 0, 3, 4] = 0
    assert find_sampling(kspace) == (AcquiredRegion.whole((20, 20)), None)


def test_an_empty_scan_is_refused():
    with pytest.raises(DataError, match="all of k-space is zero"):
        find_sampling(np.zeros_like(KSPACE))


FULL = np.ones((64, 48), bool)
WHOLE = AcquiredRegion.whole((64, 48))
Y, X = np.mgrid[-1:1:64j, -1:1:48j]
ELLIPSE = Y**2 + X**2 <= 1


def cut_corner(size):
    samples = FULL.copy()
    for row in range(size):
        samples[row, : size - row] = False
    return samples


@pytest.mark.parametrize("samples", [ELLIPSE, cut_corner(16), cut_corner(16)[::-1, ::-1]])
def test_corners_that_are_zero_were_not_acquired(samples):
    region, mask = judge(samples, None, (0, 48))
    assert mask is None
    np.testing.assert_array_equal(region.samples(), samples)


@pytest.mark.parametrize(("first", "last"), [(10, 64), (0, 50), (5, 60)])
def test_zero_rows_at_an_end_are_an_asymmetric_echo(first, last):
    samples = FULL.copy()
    samples[:first] = samples[last:] = False
    region = AcquiredRegion(matrix=(64, 48), rows=(first, last), columns=(0, 48))
    assert judge(samples, None, (0, 48)) == (region, None)


@pytest.mark.parametrize("share", [0.002, 0.03])
def test_zeros_by_chance_change_neither_the_region_nor_what_was_measured(share):
    chance = np.random.default_rng(0).random((64, 48)) < share
    assert judge(FULL & ~chance, None, (0, 48)) == (WHOLE, None)
    assert judge(FULL & ~chance, None, (4, 43)) == (AcquiredRegion.whole((64, 48), (4, 43)), None)
    region, mask = judge(ELLIPSE & ~chance, None, (0, 48))
    assert mask is None
    assert not region.samples()[~ELLIPSE].any()
    assert region.num_samples > 0.999 * ELLIPSE.sum()


@pytest.mark.parametrize("gaps", [[7], [3, 30], list(range(1, 48, 2))])
def test_gaps_between_lines_are_undersampling(gaps):
    samples = FULL.copy()
    samples[:, gaps] = False
    region, mask = judge(samples, None, (0, 48))
    assert region == WHOLE
    np.testing.assert_array_equal(mask, samples[0])


def test_a_missing_row_between_others_is_undersampling():
    samples = FULL.copy()
    samples[20] = False
    region, mask = judge(samples, None, (0, 48))
    assert (region, mask.shape, mask.sum()) == (WHOLE, (64, 48), samples.sum())


def test_lines_of_an_asymmetric_echo_stay_lines():
    samples = FULL & (np.arange(48) % 2 == 0)
    samples[:10] = False
    region, mask = judge(samples, None, (0, 48))
    assert (region.rows, region.columns, region.outline) == ((10, 64), (0, 48), None)
    np.testing.assert_array_equal(mask, np.arange(48) % 2 == 0)


@pytest.mark.parametrize("sides", [(9, 39), (14, 48)])
def test_regular_lines_beside_empty_sides_tell_where_the_scan_ends(sides):
    columns = np.arange(48)
    lines = (columns % 2 == 0) & (columns >= sides[0]) & (columns < sides[1])
    region, _ = judge(FULL & lines, None, (0, 48))
    assert region.has_center
    assert abs(region.columns[0] - sides[0]) <= 1
    assert abs(region.columns[1] - sides[1]) <= 1


@pytest.mark.parametrize("is_stored", [True, False])
def test_a_pattern_inside_an_ellipse_is_undersampled_within_it(is_stored):
    pattern = ELLIPSE & (np.random.default_rng(1).random((64, 48)) < 1 / 5)
    pattern[26:38, 18:30] = True
    region, mask = judge(pattern, pattern if is_stored else None, (0, 48))
    np.testing.assert_array_equal(mask, pattern)
    assert region.num_samples == pytest.approx(ELLIPSE.sum(), rel=0.03)
    assert region.samples()[pattern].all()


def test_a_stored_ellipse_that_was_measured_wholly_is_full():
    region, mask = judge(ELLIPSE, ELLIPSE, (0, 48))
    assert mask is None
    np.testing.assert_array_equal(region.samples(), ELLIPSE)


@pytest.mark.parametrize("kind", ["equispaced", "random", "variable_density", "variable_density_2d", "center"])
def test_a_stored_mask_with_all_its_samples_is_believed(kind):
    for seed in range(5):
        stored = sample_mask(MaskPlan(kind=kind), (64, 48), np.random.RandomState(seed)).samples
        region, mask = judge(FULL & stored, stored, (0, 48))
        assert region == WHOLE
        assert mask is stored


def test_sampled_columns_that_are_zero_at_the_sides_were_not_acquired():
    stored = np.arange(96) % 4 == 0
    stored[44:52] = True
    nonzero = np.broadcast_to(stored, (64, 96)).copy()
    nonzero[:, :9] = nonzero[:, 87:] = False
    region, mask = judge(nonzero, stored, (0, 96))
    assert region == AcquiredRegion.whole((64, 96), (9, 87))
    assert mask is stored


def test_a_mask_that_leaves_nothing_out_does_not_hide_gaps():
    samples = FULL & (np.arange(48) % 3 == 0)
    _, mask = judge(samples, np.ones(48, bool), (0, 48))
    np.testing.assert_array_equal(mask, samples[0])


def test_what_a_header_calls_zero_filling_stays_so():
    assert judge(FULL, None, (6, 44)) == (AcquiredRegion.whole((64, 48), (6, 44)), None)


def test_a_quiet_first_coil_does_not_narrow_the_region():
    kspace = np.ones((3, 2, 64, 48), np.complex64)
    kspace[:, 0, :, :8] = 0
    assert look(kspace, first_coil(kspace), None, (0, 48)) == (WHOLE, None)


def test_a_middle_slice_of_zeros_leaves_the_word_to_another():
    kspace = np.ones((3, 2, 64, 48), np.complex64)
    kspace[1] = 0
    kspace[..., :5] = 0
    assert look(kspace, first_coil(kspace), None, (0, 48)) == (AcquiredRegion.whole((64, 48), (5, 48)), None)


def test_kspace_that_is_zero_where_it_was_measured_is_refused():
    kspace = np.ones((1, 1, 64, 48), np.complex64)
    kspace[..., ::2] = 0
    with pytest.raises(DataError, match=r"zero in what mask and header, columns \[0, 48\), say was measured"):
        look(kspace, first_coil(kspace), np.arange(48) % 2 == 0, (0, 48))
    with pytest.raises(DataError, match="all of k-space is zero; was the file"):
        look(np.zeros_like(kspace), first_coil(np.zeros_like(kspace)), np.arange(48) % 2 == 0, (0, 48))
