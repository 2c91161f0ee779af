"""Floats of Calgary-Campinas become centred k-space with the right image."""

import h5py
import numpy as np
import pytest

from mrikit.errors import DataError
from mrikit.volumes import open_volumes
from tests.volumes.public.sets import KSPACE, centred, image_of, phantom, write_calgary

AXES = (-2, -1)


def image_in(path):
    return np.stack([image_of(one) for one in open_volumes(path)[0].kspace])


def test_kspace_with_its_centre_at_the_corner_is_centred(tmp_path):
    path = write_calgary(tmp_path / "a.h5", np.fft.ifftshift(KSPACE, axes=AXES))
    volume = open_volumes(path)[0]
    np.testing.assert_array_equal(np.stack(list(volume.kspace)), KSPACE)
    assert volume.mask is None
    assert "the centre of k-space lies at index 0 and is brought to the middle" in volume.info.notes


@pytest.mark.parametrize("matrix", [(32, 24), (31, 24), (32, 25), (33, 27)])
def test_the_object_lies_in_the_middle_wherever_the_transform_had_its_origin(tmp_path, matrix):
    image = phantom(matrix)
    numpy_order = np.fft.fft2(image, norm="ortho")  # origin of image and of k-space at index 0, object in the middle
    found = image_in(write_calgary(tmp_path / "a.h5", numpy_order.astype(np.complex64)))
    np.testing.assert_allclose(np.abs(found), np.abs(image), atol=1e-5)
    rolled = np.fft.ifftshift(centred(image), axes=AXES)  # the object lies around index 0 too
    found = image_in(write_calgary(tmp_path / "b.h5", rolled))
    np.testing.assert_allclose(np.abs(found), np.abs(image), atol=1e-2)


def test_kspace_with_its_centre_in_the_middle_stays(tmp_path):
    volume = open_volumes(write_calgary(tmp_path / "a.h5", KSPACE))[0]
    np.testing.assert_array_equal(np.stack(list(volume.kspace)), KSPACE)


def test_partitions_that_were_not_measured_are_no_undersampling(tmp_path):
    kspace = KSPACE.copy()
    kspace[..., 20:] = 0
    assert open_volumes(write_calgary(tmp_path / "a.h5", np.fft.ifftshift(kspace, axes=AXES)))[0].mask is None


def test_samples_left_out_in_two_dimensions_are_the_mask(tmp_path):
    mask = np.random.default_rng(0).random(KSPACE.shape[2:]) < 0.3
    mask[13:19, 9:15] = True
    path = write_calgary(tmp_path / "a.h5", np.fft.ifftshift(KSPACE * mask, axes=AXES))
    np.testing.assert_array_equal(open_volumes(path)[0].mask, mask)


@pytest.mark.parametrize("values", [np.abs(KSPACE), np.random.default_rng(0).standard_normal(KSPACE.shape)])
def test_other_floats_of_four_axes_are_taken_for_images(tmp_path, values):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = values.astype(np.float32)
    with pytest.raises(DataError, match="k-space is float32; complex values are needed"):
        open_volumes(tmp_path / "a.h5")[0]
