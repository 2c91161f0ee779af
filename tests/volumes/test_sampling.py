"""What was sampled shows in the zeros of k-space."""

import numpy as np
import pytest

from mrikit.errors import DataError
from mrikit.masks import AcquiredRegion
from mrikit.volumes.sampling import find_sampling
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
