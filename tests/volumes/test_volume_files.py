"""The scan of a data folder: what it finds, and how often it opens a file."""

import os
import warnings
from dataclasses import replace

import h5py
import numpy as np
import pytest
from opened_files import counted_openings, num_open_files

from mrikit.errors import DataError
from mrikit.volumes import (
    build_index,
    open_volume,
    scan_volumes,
    warn_of_notes,
    write_fastmri,
    write_ismrmrd,
    write_snu,
)
from mrikit.volumes.files import held_open
from mrikit.volumes.index import INDEX_NAME
from tests.volumes.mrd import header, lines, scan
from tests.volumes.mrd import write as write_mrd
from tests.volumes.scans import assert_same_arrays, make_volume, without_reference


@pytest.fixture
def data(tmp_path):
    """A volume of each kind, and a reconstruction."""
    folder = tmp_path / "data"
    volume = make_volume(mask=np.arange(11) % 2 == 0, padding=(0, 11))
    write_fastmri(folder / "a.h5", volume)
    write_snu(folder, "brain_1", volume, image_grappa=np.asarray(volume.reference))
    write_ismrmrd(folder / "raw.mrd", without_reference(volume))
    with h5py.File(folder / "packed.h5", "w") as file:
        file.create_dataset("kspace", data=volume.kspace, compression=4)
    (folder / "recon").mkdir()
    with h5py.File(folder / "recon" / "a.h5", "w") as file:
        file["reconstruction"] = np.ones((1, 4, 4), np.float32)
    return folder


NAMES = ["a.h5", "kspace/brain_1.h5", "packed.h5", "raw.mrd"]


def test_every_file_is_opened_once_and_none_stays_open(data):
    num_before = num_open_files()
    with counted_openings(data) as opened:
        files = scan_volumes(data)
        volumes = [file.open() for file in files]
    assert [file.name for file in files] == NAMES
    assert set(opened.as_hdf5) == {*NAMES, "image/brain_1.h5", "recon/a.h5"}
    assert set(opened.as_hdf5.values()) == {1}
    assert not opened.for_bytes
    assert num_open_files() == num_before
    assert not (data / INDEX_NAME).exists()
    for file, volume in zip(files, volumes, strict=True):
        expected = open_volume(file.path)
        assert volume.info == expected.info
        assert file.num_slices == len(expected.kspace)
        assert_same_arrays(volume, replace(expected, kspace=np.stack(list(expected.kspace))))


def test_what_an_index_knows_is_not_opened_though_it_is_stale(data):
    build_index(data)
    (data / "packed.h5").touch()
    with counted_openings(data) as opened:
        volumes = [file.open() for file in scan_volumes(data)]
    assert len(volumes) == 4
    assert opened.as_hdf5 == {"packed.h5": 1}


def test_a_file_that_nobody_needs_is_not_opened_and_counts_as_a_volume(data):
    with counted_openings(data) as opened:
        files = scan_volumes(data, is_needed=lambda file: file.name == "a.h5")
    assert [file.name for file in files] == ["a.h5", "kspace/brain_1.h5", "packed.h5", "raw.mrd", "recon/a.h5"]
    assert opened.as_hdf5 == {"a.h5": 1}
    assert [file.num_slices for file in files] == [3, 0, 0, 0, 0]
    assert len(files[1].open().kspace) == 3


def test_an_index_is_kept_only_where_it_is_asked_for(data):
    with counted_openings(data) as opened:
        scan_volumes(data, is_index_kept=True)
        scan_volumes(data, is_index_kept=True)
    assert (data / INDEX_NAME).exists()
    assert set(opened.as_hdf5.values()) == {1}


def test_a_bad_file_is_a_volume_that_says_why_it_cannot_be_opened(data):
    (data / "a.h5").write_bytes(b"junk")
    with counted_openings(data) as opened:
        bad, *others = scan_volumes(data)
    assert opened.as_hdf5["a.h5"] == 1
    assert [file.fault for file in others] == [None] * 3
    with pytest.raises(DataError, match=r"a\.h5: not an HDF5 file \(4 bytes\)"):
        bad.open()


def test_a_file_that_changed_since_is_looked_into_again(data):
    file = scan_volumes(data)[0]
    with counted_openings(data) as opened:
        assert file.current() is file
    assert not opened.as_hdf5
    write_fastmri(data / "a.h5", make_volume(num_slices=7))
    current = file.current()
    assert current.num_slices == len(current.open().kspace) == 7
    assert current.source_signature == ((status := (data / "a.h5").stat()).st_size, status.st_mtime_ns)
    (data / "a.h5").unlink()
    with pytest.raises(DataError, match=r"a\.h5: no such file"):
        file.current().open()


def test_a_file_whose_image_file_changed_since_is_looked_into_again(data):
    for place in (data, data / "kspace" / "brain_1.h5"):
        file = next(file for file in scan_volumes(place) if file.path.stem == "brain_1")
        assert file.current() is file
        with h5py.File(data / "image" / "brain_1.h5", "r+") as image:
            image.attrs["max"] = image.attrs["max"] + 5
        assert file.current().open().info.reference_max == file.open().info.reference_max + 5


def test_a_reconstruction_that_is_named_alone_says_what_it_is(data):
    (file,) = scan_volumes(data / "recon" / "a.h5")
    with pytest.raises(DataError, match="a reconstruction, not k-space"):
        file.open()


@pytest.mark.parametrize("name", NAMES)
def test_a_volume_that_is_held_open_opens_its_file_once_for_all_slices(data, name):
    volume = open_volume(data / name)
    expected, num_before = np.stack(list(volume.kspace)), num_open_files()
    with counted_openings(data) as opened, held_open(volume) as held:
        for _ in range(2):
            np.testing.assert_array_equal(np.stack(list(held.kspace)), expected)
    assert opened.as_hdf5[name] + opened.for_bytes[name] == 1
    assert num_open_files() == num_before


def test_a_volume_that_is_held_open_is_read_as_it_was_whatever_takes_its_name(data):
    expected = open_volume(data / "a.h5").kspace[2]
    with held_open(open_volume(data / "a.h5")) as volume:
        volume.kspace[0]
        write_fastmri(data / "a.h5", make_volume(num_slices=1, seed=5))
        np.testing.assert_array_equal(volume.kspace[2], expected)


def test_a_held_file_is_closed_after_an_error_too(data):
    num_before = num_open_files()
    volume = make_volume(mask=np.arange(11) % 2 == 0, padding=(0, 11))
    write_fastmri(data / "whole.h5", volume)
    opened = open_volume(data / "whole.h5")
    os.truncate(data / "whole.h5", opened.kspace.start + 100)
    with pytest.raises(DataError, match="the file ends inside slice 0"), held_open(opened) as held:
        held.kspace[0]
    assert num_open_files() == num_before


@pytest.fixture
def dual(tmp_path):
    """A file of two contrasts, a quarter as bright the second time."""
    kspace = scan(num_slices=2)
    xml = header((32, 24, 1), center=12)
    write_mrd(tmp_path / "data" / "leg.h5", xml, [*lines(kspace, contrast=0), *lines(kspace / 4, contrast=1)])
    return tmp_path / "data", kspace


def test_each_volume_of_a_file_is_found_by_scan_and_index(dual):
    folder, kspace = dual
    index = build_index(folder)
    for volumes in ([file.open() for file in scan_volumes(folder)], [index.open(name) for name in index.volume_ids]):
        assert [volume.info.volume_id for volume in volumes] == ["leg_contrast0", "leg_contrast1"]
        for volume, scale in zip(volumes, (1, 4), strict=True):
            np.testing.assert_allclose(volume.kspace[1], kspace[1] / scale, rtol=1e-6)
    assert index.labels == ["leg.h5 (contrast0)", "leg.h5 (contrast1)"]


def test_a_file_of_several_volumes_is_opened_by_name_or_says_what_there_is(dual):
    folder, kspace = dual
    volume = open_volume(folder / "leg.h5", volume_id="leg_contrast1")
    np.testing.assert_allclose(volume.kspace[0], kspace[0] / 4, rtol=1e-6)
    with pytest.raises(DataError, match=r"holds 2 volumes; found leg_contrast0, leg_contrast1\. Name one of them$"):
        open_volume(folder / "leg.h5")
    with pytest.raises(DataError, match="holds no volume leg; found leg_contrast0, leg_contrast1"):
        open_volume(folder / "leg.h5", volume_id="leg")


def test_a_volume_that_its_file_no_longer_holds_is_named(dual):
    folder, kspace = dual
    second = scan_volumes(folder)[1]
    (folder / "leg.h5").unlink()
    write_mrd(folder / "leg.h5", header((32, 24, 1), center=12), lines(kspace))
    with pytest.raises(DataError, match=r"changed meanwhile, and holds no volume leg_contrast1; found leg$"):
        second.current()


def test_notes_are_said_once_with_the_number_of_their_volumes(tmp_path):
    for name in ("a.h5", "b.h5"):
        write_mrd(tmp_path / name, header((32, 24, 1)), lines(scan()))
    build_index(tmp_path)
    with pytest.warns(UserWarning, match="no k-space centre") as told:
        warn_of_notes(scan_volumes(tmp_path))
    assert [str(one.message) for one in told] == [
        "a.h5 and 1 more: the header names no k-space centre; line 12 is taken, the middle of all lines"
    ]


def test_many_notes_are_counted(tmp_path):
    for size in range(24, 44):
        write_mrd(tmp_path / f"{size}.h5", header((32, size, 1)), lines(scan(phase=size)))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        warn_of_notes(scan_volumes(tmp_path))
    assert len(told) == 8 + 1  # of ten, because two sizes have the same middle line
    assert str(told[-1].message) == "2 more notes on volumes; `mrikit data check` lists all"


def test_an_interpolated_image_is_said(tmp_path):
    xml = header((32, 24, 1), (32, 48, 1), center=12, mm=(460, 204.5, 7.5), shown_mm=(230, 194, 5))
    write_mrd(tmp_path / "a.h5", xml, lines(scan()))
    with pytest.warns(UserWarning, match="^a.h5: the scanner shows 32 x 48 pixels, of which 16 x 23 were measured"):
        warn_of_notes(scan_volumes(tmp_path))
