"""How often reconstruction opens the files of volumes."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from opened_files import counted_openings
from phantoms import make_volume
from reconstruct.networks import masks, save_unet

from mrikit.data import MaskPlan
from mrikit.reconstruct import ReconstructConfig, Shard, reconstruct_folder
from mrikit.volumes import build_index, write_fastmri, write_ismrmrd, write_snu

PLAN = MaskPlan(kind="equispaced", acceleration=4, center_fraction=0.2)
CONFIG = ReconstructConfig(model="zero_filled", mask=PLAN)


@pytest.fixture
def data(tmp_path):
    """Volumes of several slices: plain, to get a reference made, in two files, and raw."""
    folder = tmp_path / "data"
    lines = np.zeros(28, bool)
    lines[::3] = lines[8:20] = True
    full, masked = (make_volume(3, 2, (32, 28), (24, 20), mask) for mask in (None, lines))
    write_fastmri(folder / "knee_full.h5", full)
    write_fastmri(folder / "knee_unreferenced.h5", replace(full, reference=None))
    write_snu(folder, "knee_acc3_1", replace(masked, reference=full.reference), image_grappa=full.reference)
    write_ismrmrd(folder / "raw.mrd", replace(full, reference=None))
    return folder


READ_AT_KNOWN_BYTES = ["knee_full.h5", "knee_unreferenced.h5", "kspace/knee_acc3_1.h5"]


def assert_looked_into_and_read_once(opened):
    """HDF5 tells once what a file holds, and its samples are then read in one go; those of MRD by HDF5 too."""
    looked = dict.fromkeys([*READ_AT_KNOWN_BYTES, "image/knee_acc3_1.h5"], 1)
    assert opened.as_hdf5 == {**looked, "raw.mrd": 2}
    assert opened.for_bytes == dict.fromkeys(READ_AT_KNOWN_BYTES, 1)


def test_every_volume_is_looked_into_once_and_read_once(data, tmp_path):
    with counted_openings(data) as opened:
        assert reconstruct_folder(data, tmp_path / "out", CONFIG).num_volumes == 4
    assert_looked_into_and_read_once(opened)


def test_routing_opens_no_volume_again(data, tmp_path):
    for acceleration in (3, 4):
        save_unet(tmp_path / "runs" / f"{acceleration}.safetensors", masks=masks(acceleration))
    config = ReconstructConfig(weights=(tmp_path / "runs",), task="auto", mask=PLAN)
    with counted_openings(data) as opened:
        assert reconstruct_folder(data, tmp_path / "out", config).num_volumes == 4
    assert_looked_into_and_read_once(opened)


def test_of_several_processes_each_looks_into_every_volume_once_and_reads_its_own(data, tmp_path):
    _leave_plain_files(data)
    names = READ_AT_KNOWN_BYTES[:2]
    num_read = []
    for rank in range(2):
        with counted_openings(data) as opened:
            reconstruct_folder(data, tmp_path / "out", CONFIG, shard=Shard(rank=rank, num_shards=2))
        assert {name: opened.as_hdf5[name] for name in names} == dict.fromkeys(names, 1)
        num_read.append(sum(opened.for_bytes[name] for name in names))
    assert num_read == [1, 1]


def test_a_volume_that_is_done_is_not_opened(data, tmp_path):
    reconstruct_folder(data, tmp_path / "out", CONFIG)
    shutil.rmtree(data / "image")
    with counted_openings(data) as opened:
        assert reconstruct_folder(data, tmp_path / "out", CONFIG).num_skipped == 4
    assert not opened.as_hdf5
    assert not opened.for_bytes


def test_a_volume_of_a_fresh_index_is_opened_once_to_be_read(data, tmp_path):
    build_index(data)
    with counted_openings(data) as opened:
        reconstruct_folder(data, tmp_path / "out", CONFIG)
    assert opened.as_hdf5 == {"raw.mrd": 1}
    assert opened.for_bytes == dict.fromkeys(READ_AT_KNOWN_BYTES, 1)


def test_a_volume_that_changes_before_its_turn_is_reconstructed_as_it_is_then(data, tmp_path):
    _leave_plain_files(data)

    def change(_volume_id, _num_slices):
        if not changed:
            write_fastmri(data / "knee_unreferenced.h5", make_volume(2, 2, (40, 36), (24, 20)))
            changed.append(True)

    changed = []
    summary = reconstruct_folder(data, tmp_path / "out", CONFIG, on_slice=change)
    assert summary.num_slices == 3 + 2
    assert reconstruct_folder(data, tmp_path / "out", CONFIG).num_skipped == 2


def _leave_plain_files(data):
    (data / "raw.mrd").unlink()
    for name in ("kspace", "image"):
        shutil.rmtree(data / name)
