"""Averages of fastMRI prostate become one k-space."""

import numpy as np
import pytest

from mrikit.errors import DataError
from mrikit.volumes import open_volumes
from tests.volumes.public.sets import KSPACE, alternating, write_prostate

CALIBRATION = KSPACE[..., 8:16]


def kspace_of(path):
    return np.stack(list(open_volumes(path)[0].kspace))


def test_alternating_lines_are_put_together(tmp_path):
    path = write_prostate(tmp_path / "a.h5", alternating(0, 1, 0), calibration_data=CALIBRATION)
    np.testing.assert_allclose(kspace_of(path), KSPACE, rtol=1e-6)
    volume = open_volumes(path)[0]
    assert volume.mask is None
    assert volume.info.anatomy == "prostate"
    assert volume.info.notes == (
        "3 averages are combined: each line is the mean of those that hold it",
        "'calibration_data' of shape (4, 3, 32, 8) is not used",
    )


def test_lines_that_no_average_holds_are_not_sampled(tmp_path):
    path = write_prostate(tmp_path / "a.h5", alternating(0, 0), calibration_data=CALIBRATION)
    np.testing.assert_array_equal(open_volumes(path)[0].mask, np.arange(24) % 2 == 0)


def test_averages_out_of_phase_are_turned_and_it_is_said(tmp_path):
    averages = alternating(0, 1, 0)
    averages[2] *= np.exp(2.6j)
    path = write_prostate(tmp_path / "a.h5", averages, calibration_data=CALIBRATION)
    np.testing.assert_allclose(kspace_of(path), KSPACE, rtol=1e-4, atol=1e-5)
    assert "in the middle slice 3 by -149 degrees" in open_volumes(path)[0].info.notes[1]


def test_averages_are_recognised_by_a_reference_that_counts_the_slices(tmp_path):
    reference = np.ones((4, 16, 16), np.float32)
    path = write_prostate(tmp_path / "a.h5", alternating(0, 1), reconstruction_rss=reference)
    np.testing.assert_array_equal(kspace_of(path), KSPACE)
    assert open_volumes(path)[0].reference.shape == (4, 16, 16)


def test_five_axes_that_nothing_explains_are_refused(tmp_path):
    path = write_prostate(tmp_path / "a.h5", alternating(0, 1))
    with pytest.raises(DataError, match=r"k-space has shape \(2, 4, 3, 32, 24\).*`mrikit data import --axes`"):
        open_volumes(path)[0]


def test_a_diffusion_scan_is_refused(tmp_path):
    path = write_prostate(
        tmp_path / "a.h5", alternating(0, 1), calibration_data=CALIBRATION, coil_sens_maps=CALIBRATION
    )
    with pytest.raises(DataError, match="a diffusion scan with coil_sens_maps"):
        open_volumes(path)[0]
