"""What is written in a file format is read back from it, and its foreign readers agree."""

import pickle
import time
from dataclasses import replace
from pathlib import Path

import h5py
import ismrmrd
import ismrmrd.xsd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrikit.errors import DataError, StorageError
from mrikit.volumes import open_volume, write_fastmri, write_ismrmrd, write_snu
from mrikit.volumes.header import make_header, read_header
from tests.volumes.scans import (
    MASK_FACTS,
    RAW_FACTS,
    assert_same_arrays,
    assert_same_facts,
    make_volume,
    without_reference,
)


@st.composite
def volumes(draw):
    phase = draw(st.integers(1, 12))
    left = draw(st.integers(0, phase // 2))
    right = draw(st.integers(phase // 2 + 1, phase))
    matrix = (draw(st.integers(1, 12)), phase)
    mask = np.array(draw(st.lists(st.booleans(), min_size=phase, max_size=phase)))
    mask[phase // 2] = True
    return make_volume(
        num_slices=draw(st.integers(1, 3)),
        num_coils=draw(st.integers(1, 3)),
        matrix=matrix,
        recon_matrix=(draw(st.integers(1, 12)), draw(st.integers(1, 12))),
        padding=(left, right),
        mask=draw(st.sampled_from([None, mask])),
        fov_mm=draw(st.sampled_from([None, (320.1, 160.0 / 3)])),
        field_strength_t=draw(st.sampled_from([None, 2.8936])),
        system=draw(st.sampled_from([None, "Biograph_mMR"])),
        patient_id=draw(st.sampled_from([None, "p<17>&"])),
        acquisition=draw(st.sampled_from([None, "AXT2"])),
        anatomy="brain",
        acceleration=draw(st.sampled_from([None, 4.0])),
        num_center_lines=draw(st.sampled_from([None, 26])),
    )


@settings(max_examples=40, deadline=None)
@given(volume=volumes())
def test_a_fastmri_file_keeps_every_fact(volume, tmp_path_factory):
    path = tmp_path_factory.mktemp("fastmri") / "knee_1.h5"
    write_fastmri(path, volume)
    found = open_volume(path)
    assert_same_arrays(found, volume)
    assert_same_facts(found.info, volume.info, [*RAW_FACTS, *MASK_FACTS, "volume_id"])
    assert found.info.source == path


@settings(max_examples=40, deadline=None)
@given(volume=volumes())
def test_an_mrd_file_keeps_every_fact_of_raw_data(volume, tmp_path_factory):
    volume = without_reference(volume)
    path = tmp_path_factory.mktemp("mrd") / "knee_1.mrd"
    left, right = volume.info.padding
    if volume.mask is not None:  # MRD cannot tell zero filling from lines that were not measured
        is_inside = np.isin(np.arange(volume.info.matrix[1]), range(left, right))
        volume = replace(volume, mask=None if volume.mask[left:right].all() else volume.mask & is_inside)
    write_ismrmrd(path, volume)
    found = open_volume(path)
    assert_same_arrays(found, volume)
    assert_same_facts(found.info, volume.info, [*RAW_FACTS, "volume_id"])


@pytest.mark.parametrize("num_coils", [1, 4])
def test_an_snu_pair_keeps_what_the_format_holds(tmp_path, num_coils):
    mask = np.arange(11) % 3 == 0
    volume = make_volume(num_coils=num_coils, mask=mask, padding=(0, 11), acquisition="AXT2")
    write_snu(tmp_path, "brain_acc4_1", volume, image_grappa=np.asarray(volume.reference))
    found = open_volume(tmp_path / "kspace" / "brain_acc4_1.h5")
    assert_same_arrays(found, volume)
    names = ["patient_id", "acquisition", "matrix", "recon_matrix", "padding"]
    assert_same_facts(found.info, volume.info, names)
    assert (found.info.anatomy, found.info.volume_id) == ("brain", "brain_acc4_1")
    assert found.info.reference_max == pytest.approx(np.asarray(volume.reference).max())


def test_an_snu_pair_keeps_a_mask_that_is_only_planned(tmp_path):
    mask = np.arange(11) % 3 == 0
    volume = replace(make_volume(padding=(0, 11)), planned_mask=mask)
    write_snu(tmp_path, "knee_acc4_1", volume, image_grappa=np.asarray(volume.reference))
    assert_same_arrays(open_volume(tmp_path / "kspace" / "knee_acc4_1.h5"), volume)


@pytest.mark.parametrize(("write", "name"), [(write_fastmri, "a.h5"), (write_ismrmrd, "a.mrd")])
def test_formats_without_planned_masks_keep_all_of_kspace(tmp_path, write, name):
    volume = without_reference(make_volume())
    write(tmp_path / name, replace(volume, planned_mask=np.arange(11) % 3 == 0))
    assert_same_arrays(open_volume(tmp_path / name), volume)


def test_a_two_dimensional_mask_is_kept(tmp_path):
    mask = np.random.default_rng(1).random((16, 11)) < 0.3
    volume = without_reference(make_volume(mask=mask, padding=(0, 11)))
    write_fastmri(tmp_path / "a.h5", volume)
    assert_same_arrays(open_volume(tmp_path / "a.h5"), volume)
    with pytest.raises(DataError, match="whole phase lines; found a 2-D mask"):
        write_ismrmrd(tmp_path / "b.h5", volume)


@pytest.mark.parametrize("write", [write_fastmri, write_ismrmrd])
def test_the_same_volume_gives_the_same_bytes(tmp_path, write):
    write(tmp_path / "one.h5", make_volume())
    time.sleep(1.1)  # HDF5 keeps times in whole seconds, if it keeps them
    write(tmp_path / "two.h5", make_volume())
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_the_header_is_valid_for_the_ismrmrd_package():
    info = make_volume().info
    header = ismrmrd.xsd.CreateFromDocument(make_header(info, num_coils=4, num_slices=3))
    encoding = header.encoding[0]
    assert (encoding.encodedSpace.matrixSize.x, encoding.encodedSpace.matrixSize.y) == info.matrix
    assert (encoding.reconSpace.matrixSize.x, encoding.reconSpace.matrixSize.y) == info.recon_matrix
    limits = encoding.encodingLimits.kspace_encoding_step_1
    # fastMRI's own formula for the acquired columns
    left = encoding.encodedSpace.matrixSize.y // 2 - limits.center
    assert (left, left + limits.maximum + 1) == info.padding
    assert header.acquisitionSystemInformation.systemFieldStrength_T == pytest.approx(info.field_strength_t)
    assert header.acquisitionSystemInformation.systemModel == info.system
    assert header.measurementInformation.protocolName == info.acquisition
    assert header.subjectInformation.patientID == info.patient_id


def test_the_ismrmrd_package_reads_our_acquisitions(tmp_path):
    volume = make_volume(mask=np.arange(11) % 2 == 0)
    write_ismrmrd(tmp_path / "a.h5", volume)
    with ismrmrd.Dataset(str(tmp_path / "a.h5"), mode="r") as dataset:
        found = [dataset.read_acquisition(number) for number in range(dataset.number_of_acquisitions())]
    lines = [2, 4, 6, 8]  # sampled columns inside padding [1, 9)
    assert [(one.idx.slice, one.idx.kspace_encode_step_1 + 1) for one in found] == [
        (slice_index, line) for slice_index in range(3) for line in lines
    ]
    for one in found:
        expected = volume.kspace[one.idx.slice][:, :, one.idx.kspace_encode_step_1 + 1]
        np.testing.assert_array_equal(one.data, expected)


def test_fastmri_attributes_are_what_fastmri_writes(tmp_path):
    volume = make_volume(mask=np.arange(11) % 2 == 0, acceleration=4, num_center_lines=1)
    write_fastmri(tmp_path / "a.h5", volume)
    with h5py.File(tmp_path / "a.h5") as file:
        assert dict(file.attrs) == {
            "acceleration": 4,
            "acquisition": "CORPDFS_FBK",
            "max": pytest.approx(np.max(volume.reference)),
            "norm": pytest.approx(np.linalg.norm(np.asarray(volume.reference))),
            "num_low_frequency": 1,
            "patient_id": "p<17>&",
        }
        assert sorted(file) == ["ismrmrd_header", "kspace", "mask", "reconstruction_rss"]
        assert file["kspace"].chunks is None


def test_one_coil_gives_a_single_coil_file(tmp_path):
    write_fastmri(tmp_path / "a.h5", make_volume(num_coils=1))
    with h5py.File(tmp_path / "a.h5") as file:
        assert sorted(file) == ["ismrmrd_header", "kspace", "reconstruction_esc"]
        assert file["kspace"].shape == (3, 16, 11)


def test_a_volume_survives_pickling(tmp_path):
    volume = make_volume()
    write_fastmri(tmp_path / "a.h5", volume)
    write_ismrmrd(tmp_path / "b.h5", without_reference(volume))
    for name in ("a.h5", "b.h5"):
        found = pickle.loads(pickle.dumps(open_volume(tmp_path / name)))
        np.testing.assert_array_equal(found.kspace[-1], volume.kspace[-1])


def test_columns_without_the_centre_cannot_be_written(tmp_path):
    with pytest.raises(DataError, match=r"padding \[6, 9\) of 11 columns leaves out the k-space centre at 5"):
        write_fastmri(tmp_path / "a.h5", make_volume(padding=(6, 9)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference": np.zeros((2, 8, 9), np.float32)}, r"reference has shape \(2, 8, 9\); \(3, 8, 9\) would fit"),
        ({"mask": np.ones(12, bool)}, r"mask has shape \(12,\); \(11,\) or \(16, 11\) would fit"),
        ({"planned_mask": np.ones(12, bool)}, r"mask has shape \(12,\); \(11,\) or \(16, 11\) would fit"),
        ({"kspace": np.zeros((3, 16, 11), np.complex64)}, r"k-space of shape \(3, 16, 11\) does not fit"),
    ],
)
def test_a_volume_that_does_not_fit_together_cannot_be_written(tmp_path, changes, message):
    for write in (write_fastmri, write_ismrmrd):
        with pytest.raises(DataError, match=message):
            write(tmp_path / "a.h5", replace(make_volume(), **changes))
    assert list(tmp_path.iterdir()) == []


def test_an_mrd_file_without_a_line_cannot_be_written(tmp_path):
    with pytest.raises(DataError, match=r"the mask samples none of the acquired columns \[1, 9\); an MRD file needs"):
        write_ismrmrd(tmp_path / "a.h5", make_volume(mask=np.arange(11) == 10))
    assert list(tmp_path.iterdir()) == []


def test_a_kspace_file_that_cannot_appear_leaves_its_image_alone(tmp_path):
    volume = make_volume(mask=np.ones(11, bool))
    (tmp_path / "kspace" / "knee_1.h5").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"kspace/knee_1.h5: cannot be written: Is a directory"):
        write_snu(tmp_path, "knee_1", volume, image_grappa=np.asarray(volume.reference))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "image" / "knee_1.h5"]
    (tmp_path / "kspace" / "knee_1.h5").rmdir()
    write_snu(tmp_path, "knee_1", volume, image_grappa=np.asarray(volume.reference))
    assert_same_arrays(open_volume(tmp_path / "kspace" / "knee_1.h5"), volume)


def test_an_snu_pair_needs_reference_mask_and_a_window_of_one_size(tmp_path):
    volume = make_volume(mask=np.ones(11, bool))
    with pytest.raises(DataError, match="holds a reference and a"):
        write_snu(tmp_path, "knee_1", replace(volume, mask=None), image_grappa=np.zeros((3, 8, 9), np.float32))
    with pytest.raises(DataError, match=r"image_grappa has shape \(3, 8, 8\), the reference \(3, 8, 9\)"):
        write_snu(tmp_path, "knee_1", volume, image_grappa=np.zeros((3, 8, 8), np.float32))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing_behind(full_disk: Path):
    volume = make_volume(matrix=(256, 256), recon_matrix=(8, 8))
    for write in (write_fastmri, write_ismrmrd):
        with pytest.raises(StorageError, match="the disk is full"):
            write(full_disk / "a.h5", volume)
        assert list(full_disk.iterdir()) == []


def test_a_full_disk_leaves_no_half_of_an_snu_pair(full_disk: Path):
    volume = make_volume(matrix=(256, 256), mask=np.ones(256, bool))
    with pytest.raises(StorageError, match="the disk is full"):
        write_snu(full_disk, "knee_1", volume, image_grappa=np.asarray(volume.reference))
    assert [path for path in full_disk.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("<ismrmrdHeader", "not valid XML"),
        ("<a><b/></a>", r"no <encoding>; found \['b'\]"),
        (
            '<h xmlns="http://www.ismrm.org/ISMRMRD"><encoding><trajectory>cartesian</trajectory></encoding></h>',
            "no <encodedSpace/fieldOfView_mm/x>",
        ),
    ],
)
def test_a_bad_header_says_what_is_missing(xml, message):
    with pytest.raises(DataError, match=message):
        read_header(xml)


def test_a_header_with_a_word_for_a_number_is_refused():
    xml = make_header(make_volume().info, 1, 1).replace("<y>11</y>", "<y>many</y>")
    with pytest.raises(DataError, match="'many' as <encodedSpace/matrixSize/y>; a number is needed"):
        read_header(xml)
