"""Cines of CMRxRecon are read frame by frame, with ky as the phase axis."""

import numpy as np
import pytest
import scipy.io

from mrikit.errors import DataError
from mrikit.volumes import find_volumes, open_volumes
from mrikit.volumes.hdf5 import NoRawDataError
from tests.volumes.public.sets import FRAMES, KSPACE, LINES, MATRIX, write_cine, write_mask


def test_each_frame_is_a_volume_of_one_study(tmp_path):
    volumes = open_volumes(write_cine(tmp_path / "cine_lax.mat", FRAMES))
    assert [volume.info.volume_id for volume in volumes] == [f"cine_lax_time{time}" for time in range(3)]
    assert {(volume.info.study_id, volume.info.anatomy, volume.mask) for volume in volumes} == {
        ("cine_lax", "heart", None)
    }
    for volume, frame in zip(volumes, FRAMES, strict=True):
        np.testing.assert_array_equal(np.stack(list(volume.kspace)), frame)


@pytest.mark.parametrize("key", ["kspace_full", "kspace"])
def test_a_single_frame_is_one_volume(tmp_path, key):
    volume = open_volumes(write_cine(tmp_path / "one.mat", KSPACE, key))[0]
    assert volume.info.volume_id == "one"
    np.testing.assert_array_equal(np.stack(list(volume.kspace)), KSPACE)


def test_single_coil_kspace_gets_a_coil_axis(tmp_path):
    volumes = open_volumes(write_cine(tmp_path / "a.mat", FRAMES[:, :, 0], "kspace_single_full"))
    np.testing.assert_array_equal(np.stack(list(volumes[1].kspace)), FRAMES[1, :, :1])


@pytest.mark.parametrize("key", ["kspace_sub04", "kus"])
@pytest.mark.parametrize("has_mask_file", [False, True])
def test_lines_left_out_along_ky_are_the_mask(tmp_path, key, has_mask_file):
    write_cine(tmp_path / "cine_acc04.mat", FRAMES * LINES, key)
    if has_mask_file:
        write_mask(tmp_path / "cine_mask.mat", np.broadcast_to(LINES, MATRIX))
    for volume in open_volumes(tmp_path / "cine_acc04.mat"):
        np.testing.assert_array_equal(volume.mask, LINES)


def test_the_mask_file_says_more_than_zeros_do(tmp_path):
    more = LINES | (np.arange(MATRIX[1]) == 1)  # a line that was sampled and holds zeros alone
    write_cine(tmp_path / "cine.mat", KSPACE * LINES, "kspace_sub04")
    write_mask(tmp_path / "cine_mask.mat", np.broadcast_to(more, MATRIX))
    np.testing.assert_array_equal(open_volumes(tmp_path / "cine.mat")[0].mask, more)


def test_masks_may_differ_from_frame_to_frame(tmp_path):
    masks = np.stack([np.roll(LINES, shift) for shift in range(3)])[:, None] & np.ones(MATRIX, bool)
    write_cine(tmp_path / "cine_kus_kt4.mat", FRAMES * masks[:, None, None], "kus")
    write_mask(tmp_path / "cine_mask_kt4.mat", masks, "mask")
    for volume, mask in zip(open_volumes(tmp_path / "cine_kus_kt4.mat"), masks, strict=True):
        np.testing.assert_array_equal(volume.mask, mask[0])


def test_a_mask_file_that_contradicts_kspace_is_not_used_and_it_is_said(tmp_path):
    write_cine(tmp_path / "cine.mat", KSPACE * LINES, "kspace_sub04")
    write_mask(tmp_path / "cine_mask.mat", np.broadcast_to(np.roll(LINES, 1), MATRIX))
    volume = open_volumes(tmp_path / "cine.mat")[0]
    np.testing.assert_array_equal(volume.mask, LINES)
    assert "cine_mask.mat does not fit" in volume.info.notes[-1]


def test_masks_and_older_matlab_files_are_no_volumes(tmp_path):
    write_cine(tmp_path / "cine.mat", KSPACE)
    write_mask(tmp_path / "cine_mask.mat", np.ones(MATRIX))
    scipy.io.savemat(tmp_path / "old.mat", {"a": np.ones(3)})
    assert find_volumes(tmp_path) == [tmp_path / "cine.mat"]
    with pytest.raises(NoRawDataError, match=r"found \['mask04'\]. `mrikit data import` reads other arrays"):
        open_volumes(tmp_path / "cine_mask.mat")[0]
    with pytest.raises(NoRawDataError, match=r"not a MATLAB file of version 7\.3; `mrikit data import` reads older"):
        open_volumes(tmp_path / "old.mat")[0]


def test_another_number_of_axes_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"'kspace_full' has shape \(1, 3, 4, 3, 24, 32\); \(time, slice, coil, phase,"):
        open_volumes(write_cine(tmp_path / "a.mat", FRAMES[None]))
