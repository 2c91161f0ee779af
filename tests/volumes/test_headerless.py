"""Of a file without a header everything that lies in it is used."""

import h5py
import numpy as np
import pytest

from mrikit.volumes import open_volumes, write_snu
from mrikit.volumes.snu import NO_HEADER
from tests.volumes.public.sets import compound
from tests.volumes.scans import make_volume

VOLUME = make_volume(padding=(0, 11))


def write(path, *, single_coil=False, attributes=None, **arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["kspace"] = VOLUME.kspace[:, 0] if single_coil else VOLUME.kspace
        for key, values in arrays.items():
            file[key] = values
        file.attrs.update({"acquisition": "AXT2", "patient_id": "p9", "max": 2.5} if attributes is None else attributes)
    return path


@pytest.mark.parametrize("folder", ["multicoil_val", "kspace"])
def test_its_own_reference_maximum_protocol_and_patient_are_used(tmp_path, folder):
    volume = open_volumes(write(tmp_path / folder / "a.h5", reconstruction_rss=VOLUME.reference))[0]
    np.testing.assert_array_equal(np.stack(list(volume.reference)), VOLUME.reference)
    info = volume.info
    assert (info.reference_max, info.acquisition, info.patient_id, info.anatomy) == (2.5, "AXT2", "p9", "brain")
    assert info.recon_matrix == (8, 9)
    assert info.notes == (NO_HEADER,)


def test_a_single_coil_reference_is_used(tmp_path):
    path = write(tmp_path / "a.h5", single_coil=True, reconstruction_esc=VOLUME.reference)
    np.testing.assert_array_equal(np.stack(list(open_volumes(path)[0].reference)), VOLUME.reference)


def test_its_own_mask_is_used(tmp_path):
    mask = np.arange(11) % 2 == 0
    path = write(tmp_path / "a.h5", reconstruction_rss=VOLUME.reference, mask=mask)
    assert open_volumes(path)[0].planned_mask.tolist() == mask.tolist()
    with h5py.File(path, "r+") as file:
        file["kspace"][...] = VOLUME.kspace * mask
    assert open_volumes(path)[0].mask.tolist() == mask.tolist()


def test_a_test_file_has_its_maximum_without_a_reference(tmp_path):
    volume = open_volumes(write(tmp_path / "a.h5"))[0]
    assert volume.reference is None
    assert (volume.info.reference_max, volume.info.recon_matrix) == (2.5, (16, 11))


def test_an_image_file_beside_comes_before_its_own_reference_and_it_is_said(tmp_path):
    snu = make_volume(mask=np.ones(11, bool), padding=(0, 11))
    write_snu(tmp_path, "knee_1", snu, image_grappa=np.asarray(snu.reference))
    with h5py.File(tmp_path / "kspace" / "knee_1.h5", "r+") as file:
        file["reconstruction_rss"] = np.ones((3, 8, 9), np.float32)
    volume = open_volumes(tmp_path / "kspace" / "knee_1.h5")[0]
    np.testing.assert_array_equal(np.stack(list(volume.reference)), snu.reference)
    assert volume.info.notes == ("'reconstruction_rss' is not used; the image file beside has the reference",)


def test_kspace_alone_says_nothing_of_itself(tmp_path):
    volume = open_volumes(write(tmp_path / "brain_1.h5", attributes={}))[0]
    assert (volume.reference, volume.info.reference_max, volume.info.anatomy) == (None, None, "brain")


def test_what_a_test_file_says_of_its_mask_is_used(tmp_path):
    path = write(tmp_path / "a.h5", attributes={"acceleration": 4, "num_low_frequency": 3})
    info = open_volumes(path)[0].info
    assert (info.acceleration, info.num_center_lines) == (4, 3)


@pytest.mark.parametrize("is_applied", [False, True])
@pytest.mark.parametrize("form", ["compound", "parts"])
def test_a_mask_is_planned_unless_kspace_in_parts_is_zero_outside_it(tmp_path, form, is_applied):
    mask = np.arange(11) % 2 == 0
    kspace = VOLUME.kspace * mask if is_applied else VOLUME.kspace
    path = write(tmp_path / "a.h5", attributes={}, mask=mask)
    with h5py.File(path, "r+") as file:
        del file["kspace"]
        file["kspace"] = compound(kspace) if form == "compound" else np.stack([kspace.real, kspace.imag], -1)
    volume = open_volumes(path)[0]
    found, other = (volume.mask, volume.planned_mask) if is_applied else (volume.planned_mask, volume.mask)
    np.testing.assert_array_equal(found, mask)
    assert other is None
