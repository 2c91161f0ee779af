"""Training, reconstruction and scores from blobs: the same bits as from a folder."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training.small_run import are_same_bits, newest_state, run, write_study
from waiting import HANG_S

from mrikit.data import SliceDataset, SliceKey, load_batches, load_training_volumes, plan_epoch
from mrikit.errors import DataError
from mrikit.evaluate import data_of, evaluate
from mrikit.reconstruct import ReconstructConfig, reconstruct_folder
from mrikit.storage import BlobPath, cache, list_files, write_bytes
from mrikit.volumes import build_index, open_volume, write_fastmri, write_ismrmrd, write_snu
from mrikit.volumes.index import INDEX_NAME
from mrikit.volumes.reconstruction import find_reconstructions, read_reconstruction
from tests.volumes.blobs import note_requests, upload, write_large
from tests.volumes.scans import make_volume, without_reference

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three full fastMRI files."""
    for number in range(3):
        write_fastmri(tmp_path / "local" / f"knee_{number}.h5", make_volume(num_slices=3, seed=number))
    return tmp_path / "local"


@pytest.fixture
def data(folder, blob_container):
    return upload(folder, blob_container / "data")


def assert_same_epoch(found: SliceDataset, expected: SliceDataset, num_workers: int) -> None:
    plan = plan_epoch(expected.shapes, micro_batch_size=2, batch_size=2, seed=0, epoch=0)
    assert found.shapes == expected.shapes
    pairs = zip(load_batches(found, plan, num_workers), load_batches(expected, plan, 0), strict=True)
    for ours, theirs in pairs:
        assert ours.keys == theirs.keys
        assert torch.equal(ours.kspace, theirs.kspace)
        assert (ours.reference is None) == (theirs.reference is None)
        if ours.reference is not None:
            assert torch.equal(ours.reference, theirs.reference)


@pytest.mark.parametrize(("num_workers", "num_adjacent"), [(0, 1), (3, 1), (2, 3)])
def test_batches_from_blobs_are_those_from_a_folder(data, folder, num_workers, num_adjacent):
    found, expected = (SliceDataset(load_training_volumes(place).volumes, num_adjacent) for place in (data, folder))
    assert_same_epoch(found, expected, num_workers)


def test_a_slice_and_its_neighbours_are_requested_at_once(data, monkeypatch):
    dataset = SliceDataset(load_training_volumes(data).volumes, num_adjacent=3)
    monkeypatch.setenv("MRIKIT_CACHE_SIZE", "0")
    together, true_read = threading.Barrier(3), cache.read_range_into

    def read(path, start, buffer, *, if_version):
        if len(buffer) > 3000:  # a slice of k-space; alone it would wait in vain
            together.wait(HANG_S)
        return true_read(path, start, buffer, if_version=if_version)

    monkeypatch.setattr(cache, "read_range_into", read)
    assert dataset.read([SliceKey(0, 1)]).kspace.shape[1] == 3


def test_the_second_epoch_comes_from_the_disk(data, monkeypatch):
    dataset = SliceDataset(load_training_volumes(data).volumes)
    keys = [SliceKey(volume, index) for volume in range(3) for index in range(3)]
    first = [dataset.read([key]) for key in keys]
    sent = note_requests(monkeypatch, BlobPath(data.container))
    for key, batch in zip(keys, first, strict=True):
        assert torch.equal(dataset.read([key]).kspace, batch.kspace)
    assert sent == []


def test_a_start_lists_once_and_reads_one_coil_of_each_volume(tmp_path, blob_container, monkeypatch):
    for number in range(3):
        write_large(tmp_path / "large" / f"{number}.h5", seed=number)
    data = upload(tmp_path / "large", blob_container / "data")
    build_index(data)
    sent = note_requests(monkeypatch, blob_container)
    load_training_volumes(data)
    reads = [request for request in sent if request.key]
    assert len(sent) == len(reads) + 1
    assert sorted((request.key, request.count) for request in reads) == [
        (f"data/{number}.h5", 160 * 120 * 8) for number in range(3)
    ]
    sent.clear()
    load_training_volumes(data)
    assert [request.key for request in sent] == [""]


def test_the_index_is_made_where_there_is_none(data, folder):
    found = load_training_volumes(data)
    assert INDEX_NAME in list_files(data)
    expected = load_training_volumes(folder)
    assert [replace(volume.info, source=None) for volume in found.volumes] == [
        replace(volume.info, source=None) for volume in expected.volumes
    ]


def test_one_blob_can_be_trained_on(data):
    volumes, _ = load_training_volumes(data / "knee_1.h5")
    assert [volume.info for volume in volumes] == [open_volume(data / "knee_1.h5").info]


def test_undersampled_volumes_are_left_out_as_from_a_folder(data, folder):
    lines = np.arange(11) % 2 == 0
    hidden = make_volume(mask=lines, seed=8)
    write_fastmri(folder / "hidden.h5", replace(hidden, mask=None))
    write_fastmri(folder / "told.h5", hidden)
    dead = make_volume(seed=9)
    dead.kspace[:, 0] = 0  # a coil that was not plugged in says nothing about the others
    write_fastmri(folder / "dead_coil.h5", dead)
    rows = make_volume(seed=10)
    rows.kspace[:, :, :4] = 0  # an asymmetric echo is what the scanner acquired
    write_fastmri(folder / "rows.h5", rows)
    for name in ("hidden.h5", "told.h5", "dead_coil.h5", "rows.h5"):
        write_bytes(data / name, (folder / name).read_bytes())
    for place in (data, folder):
        volumes, undersampled = load_training_volumes(place)
        assert [volume.info.volume_id for volume in volumes] == ["dead_coil", "knee_0", "knee_1", "knee_2", "rows"]
        assert undersampled == ["hidden", "told"]


def test_bad_blobs_are_refused_with_the_first_named(data):
    write_bytes(data / "bad.h5", b"junk")
    message = r"^az://\S+/data/bad\.h5: not an HDF5 file \(4 bytes\).* \(copy or unpack it again, or leave it out\)$"
    with pytest.raises(DataError, match=message):
        load_training_volumes(data)


def test_a_blob_that_is_replaced_while_training_is_refused(data, folder, monkeypatch):
    dataset = SliceDataset(load_training_volumes(data).volumes)
    monkeypatch.setenv("MRIKIT_CACHE_SIZE", "0")
    write_bytes(data / "knee_1.h5", (folder / "knee_2.h5").read_bytes())
    dataset.read([SliceKey(0, 0)])
    with pytest.raises(DataError, match=r"^az://\S+/knee_1\.h5: replaced or deleted since it was looked at"):
        dataset.read([SliceKey(1, 0)])


def test_training_from_blobs_gives_the_weights_of_training_from_a_folder(tmp_path, blob_container):
    local = write_study(tmp_path / "study")
    data = upload(local, blob_container / "study")
    states = []
    for number, place in enumerate((data, local)):
        run(place, tmp_path / f"run-{number}", training__num_epochs=1, execution__num_workers=3)
        states.append(newest_state(tmp_path / f"run-{number}"))
    assert are_same_bits(*states)
    weights = [load_file(tmp_path / f"run-{number}" / "weights.safetensors") for number in range(2)]
    assert are_same_bits(*weights)
    assert json.loads((tmp_path / "run-0" / "config.json").read_text())["data"] == str(data)


def test_reconstruction_and_scores_from_blobs_are_those_from_a_folder(tmp_path, blob_container):
    local = tmp_path / "local"
    volume = make_volume(mask=np.arange(11) % 2 == 0, padding=(0, 11))
    write_snu(local / "acc2", "knee_1", volume, image_grappa=np.asarray(volume.reference))
    write_fastmri(local / "deep" / "knee_2.h5", make_volume(mask=np.arange(11) % 2 == 0, seed=3, padding=(0, 11)))
    raw = make_volume(mask=np.arange(11) % 2 == 0, seed=4, padding=(0, 11))
    write_ismrmrd(local / "knee_3.mrd", without_reference(raw))
    data = upload(local, blob_container / "data")
    scores = []
    for number, place in enumerate((data, local)):
        recon = tmp_path / f"recon-{number}"
        summary = reconstruct_folder(place, recon, ReconstructConfig(model="zero_filled"))
        assert (summary.num_volumes, summary.num_failed) == (3, 0)
        assert reconstruct_folder(place, recon, ReconstructConfig(model="zero_filled")).num_skipped == 3
        assert data_of(recon) == (place if number == 0 else place.resolve())
        scores.append(evaluate(place, recon, scorer="fastmri"))
    ours, theirs = (
        [path.relative_to(tmp_path / f"recon-{n}") for path in find_reconstructions(tmp_path / f"recon-{n}")]
        for n in range(2)
    )
    assert ours == theirs == [Path("acc2/knee_1.h5"), Path("deep/knee_2.h5"), Path("knee_3.h5")]
    for name in ours:
        one, other = (read_reconstruction(tmp_path / f"recon-{number}" / name) for number in range(2))
        np.testing.assert_array_equal(one.image, other.image)
    assert [replace(row, path="") for row in scores[0].rows] == [replace(row, path="") for row in scores[1].rows]
    assert [row.path for row in scores[0].rows] == [str(data / "acc2/kspace/knee_1.h5"), str(data / "deep/knee_2.h5")]
    assert [volume.reason for volume in scores[0].unscored] == ["the file has no reference image"]
