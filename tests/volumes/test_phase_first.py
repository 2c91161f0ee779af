"""fastMRI files whose arrays have the phase axis first, although the header says otherwise."""

import h5py
import numpy as np
import pytest

from mrikit.volumes import open_volume
from tests.volumes.mrd import header, rss, scan

KSPACE = scan(readout=32, phase=24)
IMAGE = rss(KSPACE).astype(np.float32)
XML = header((32, 24, 1), center=12)


def write(path, kspace, reference=None, mask=None, xml=XML):
    with h5py.File(path, "w") as file:
        file["kspace"], file["ismrmrd_header"] = np.ascontiguousarray(kspace), xml
        if reference is not None:
            file["reconstruction_rss"] = np.ascontiguousarray(reference)
        if mask is not None:
            file["mask"] = mask
    return path


def swapped(array):
    return np.swapaxes(array, -1, -2)


def open_warned(path, match):
    with pytest.warns(UserWarning, match=match):
        return open_volume(path)


def test_a_file_in_the_usual_order_is_read_as_it_is(tmp_path):
    volume = open_volume(write(tmp_path / "a.h5", KSPACE, IMAGE))
    assert volume.info.notes == ()
    np.testing.assert_array_equal(np.stack(list(volume.kspace)), KSPACE)


@pytest.mark.parametrize("size", [20, 24])
@pytest.mark.parametrize("is_image_swapped", [True, False])
def test_a_phase_first_file_is_transposed_with_its_reference(tmp_path, size, is_image_swapped):
    window = IMAGE[:, (32 - size) // 2 :][:, :size, (24 - size) // 2 :][..., :size]
    path = write(tmp_path / "a.h5", swapped(KSPACE), swapped(window) if is_image_swapped else window)
    volume = open_warned(
        path, "the array is 24 x 32, and the header has readout 32 and phase 24: its phase axis comes first"
    )
    np.testing.assert_array_equal(np.stack(list(volume.kspace)), KSPACE)
    np.testing.assert_array_equal(np.stack(list(volume.reference)), window)
    assert (volume.info.matrix, volume.info.padding, volume.info.recon_matrix) == ((32, 24), (0, 24), (size, size))


def test_a_phase_first_mask_is_transposed_too(tmp_path):
    mask = np.arange(32 * 24).reshape(32, 24) % 3 == 0
    volume = open_warned(write(tmp_path / "a.h5", swapped(KSPACE * mask), mask=swapped(mask)), "is transposed")
    np.testing.assert_array_equal(volume.mask, mask)
    lines = np.arange(24) % 2 == 0
    volume = open_warned(write(tmp_path / "b.h5", swapped(KSPACE * lines), mask=lines), "is transposed")
    np.testing.assert_array_equal(volume.mask, lines)


def test_an_array_that_may_be_phase_first_is_said_and_left(tmp_path):
    volume = open_warned(
        write(tmp_path / "a.h5", swapped(KSPACE[..., 2:])), "its phase axis may come first; it is taken as it"
    )
    assert volume.info.matrix == (22, 32)


def test_a_square_matrix_has_no_order_to_tell(tmp_path):
    square = scan(readout=24, phase=24)
    volume = open_volume(write(tmp_path / "a.h5", square, xml=header((24, 24, 1), center=12)))
    assert volume.info.notes == ()
