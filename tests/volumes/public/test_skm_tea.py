"""Echoes of SKM-TEA become volumes of one study."""

import h5py
import numpy as np
import pytest

from mrikit.errors import DataError
from mrikit.volumes import open_volumes
from tests.volumes.public.sets import KSPACE, image_of, write_skm_tea


def test_each_echo_is_a_volume_of_one_study(tmp_path):
    volumes = open_volumes(write_skm_tea(tmp_path / "MTR_001.h5"))
    assert [volume.info.volume_id for volume in volumes] == ["MTR_001_echo0", "MTR_001_echo1"]
    assert {volume.info.study_id for volume in volumes} == {"MTR_001"}
    for volume, scale in zip(volumes, (1, 0.5), strict=True):
        np.testing.assert_array_equal(np.stack(list(volume.kspace)), KSPACE * np.float32(scale))
        assert volume.mask is None


def test_the_magnitude_of_the_target_is_the_reference(tmp_path):
    volume = open_volumes(write_skm_tea(tmp_path / "a.h5"))[1]
    expected = np.sqrt(np.square(np.abs(image_of(KSPACE / 2))).sum(1))
    assert volume.reference.shape == expected.shape
    np.testing.assert_allclose(np.stack(list(volume.reference)), expected, rtol=1e-4)
    assert volume.reference[0].dtype == np.float32


def test_a_target_that_is_no_image_of_its_kspace_is_left_out_and_it_is_said(tmp_path):
    volume = open_volumes(write_skm_tea(tmp_path / "a.h5", target_scale=3.0))[0]
    assert volume.reference is None
    assert any("'target' is no image of this k-space" in note for note in volume.info.notes)


def test_a_single_mask_beside_is_planned_and_several_are_named(tmp_path):
    (one, _), (other, _) = (
        open_volumes(write_skm_tea(tmp_path / f"{len(names)}.h5", names))
        for names in (("poisson_6.0x",), ("poisson_6.0x", "poisson_8.0x"))
    )
    np.testing.assert_array_equal(one.planned_mask, np.random.default_rng(0).random((32, 24)) < 0.5)
    assert other.planned_mask is None
    assert any("poisson_6.0x, poisson_8.0x" in note for note in other.info.notes)


def test_an_ellipse_of_samples_is_full(tmp_path):
    path = write_skm_tea(tmp_path / "a.h5", target_scale=None)
    y, x = np.mgrid[-1:1:32j, -1:1:24j]
    with h5py.File(path, "r+") as file:
        file["kspace"][...] = file["kspace"][()] * (x**2 + y**2 <= 1)[None, :, :, None, None]
    assert open_volumes(path)[0].mask is None


def test_five_axes_without_anything_beside_are_refused(tmp_path):
    path = write_skm_tea(tmp_path / "a.h5", target_scale=None)
    with h5py.File(path, "r+") as file:
        del file["maps"]
    with pytest.raises(DataError, match="`mrikit data import --axes` names others"):
        open_volumes(path)[0]
