"""Public data sets read the same from the index, held open, in another process, and from blobs."""

import pickle

import numpy as np
import pytest

from mrikit.volumes import scan_volumes
from mrikit.volumes.files import held_open, open_volumes
from tests.volumes.blobs import upload
from tests.volumes.public.sets import write_every_set
from tests.volumes.test_blob_readers import assert_same_volume

IDS = [
    "calgary", "cine_time0", "cine_time1", "cine_time2", "cine_acc04_time0", "cine_acc04_time1", "cine_acc04_time2",
    "knee_echo0", "knee_echo1", "prostate",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_every_set(tmp_path_factory.mktemp("sets") / "data")


@pytest.fixture(scope="module")
def opened(folder):
    return {volume.info.volume_id: volume for file in scan_volumes(folder) for volume in open_volumes(file.path)}


@pytest.mark.parametrize("is_index_kept", [False, True])
def test_the_index_gives_the_same_volumes(folder, opened, is_index_kept):
    files = scan_volumes(folder, is_index_kept=is_index_kept)
    assert [file.volume_id for file in files] == IDS
    for file in files:
        volume = file.open()
        assert volume.info == opened[file.volume_id].info
        assert_same_volume(volume, opened[file.volume_id])


def test_slices_can_be_pickled_and_held_open(opened):
    for volume in opened.values():
        copy = pickle.loads(pickle.dumps(volume.kspace))
        with held_open(volume) as held:
            for slice_index in (-1, 0):
                np.testing.assert_array_equal(copy[slice_index], volume.kspace[slice_index])
                np.testing.assert_array_equal(held.kspace[slice_index], volume.kspace[slice_index])


@pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
def test_blobs_give_the_same_volumes(folder, opened, blob_container):
    files = scan_volumes(upload(folder, blob_container / "data"))
    assert [file.volume_id for file in files] == IDS
    for file in files:
        assert_same_volume(file.open(), opened[file.volume_id])


def test_slices_are_counted_from_both_ends_and_no_further(opened):
    kspace = opened["calgary"].kspace
    np.testing.assert_array_equal(kspace[-1], kspace[3])
    with pytest.raises(IndexError):
        kspace[4]
