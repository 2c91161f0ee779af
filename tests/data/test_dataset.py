from collections import Counter
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from opened_files import counted_openings

from mrikit.data import SliceDataset, SliceKey, load_training_volumes
from mrikit.errors import ConfigError, DataError, StorageError
from mrikit.volumes import Volume, build_index, open_volume, write_fastmri
from mrikit.volumes.index import INDEX_NAME
from tests.volumes.mrd import header, lines, scan
from tests.volumes.mrd import write as write_mrd
from tests.volumes.scans import make_volume


class Counting:
    """A SliceArray that notes which slices are read."""

    def __init__(self, slices):
        self.slices, self.shape, self.reads = slices, slices.shape, Counter()

    def __len__(self):
        return len(self.slices)

    def __getitem__(self, index):
        assert 0 <= index < len(self)
        self.reads[index] += 1
        return self.slices[index]


def counting_dataset(num_adjacent, num_volumes=2, num_slices=5):
    volumes = [make_volume(num_slices=num_slices, seed=seed, volume_id=f"v{seed}") for seed in range(num_volumes)]
    volumes = [replace(volume, kspace=Counting(volume.kspace)) for volume in volumes]
    return SliceDataset(volumes, num_adjacent)


def stored(dataset, volume, index):
    return torch.from_numpy(dataset.volumes[volume].kspace.slices[index])


def test_a_batch_holds_the_slices_that_were_asked_for_and_their_references():
    dataset = counting_dataset(1)
    keys = (SliceKey(1, 4), SliceKey(0, 2))
    batch = dataset.read(keys)
    assert batch.keys == keys
    assert batch.kspace.shape == (2, 1, 4, 16, 11)
    for row, (volume, index) in enumerate(keys):
        assert torch.equal(batch.kspace[row, 0], stored(dataset, volume, index))
        assert torch.equal(batch.reference[row], torch.from_numpy(dataset.volumes[volume].reference[index]))
    alone = dataset.read([SliceKey(1, 4)])
    assert torch.equal(alone.kspace[0, 0], stored(dataset, 1, 4))
    assert alone.kspace.shape == (1, 1, 4, 16, 11)
    assert (batch.kspace.dtype, batch.reference.dtype) == (torch.complex64, torch.float32)


def test_neighbours_lie_around_the_slice_and_the_ends_are_repeated():
    dataset = counting_dataset(5)
    batch = dataset.read([SliceKey(0, 0), SliceKey(1, 3)])
    assert batch.kspace.shape == (2, 5, 4, 16, 11)
    for row, volume, neighbours in ((0, 0, [0, 0, 0, 1, 2]), (1, 1, [1, 2, 3, 4, 4])):
        for column, index in enumerate(neighbours):
            assert torch.equal(batch.kspace[row, column], stored(dataset, volume, index))
    assert torch.equal(batch.reference[1], torch.from_numpy(dataset.volumes[1].reference[3]))


def test_a_slice_that_is_needed_often_is_read_once():
    dataset = counting_dataset(3)
    dataset.read([SliceKey(0, 1), SliceKey(0, 2), SliceKey(1, 4), SliceKey(0, 2)])
    assert dataset.volumes[0].kspace.reads == {0: 1, 1: 1, 2: 1, 3: 1}
    assert dataset.volumes[1].kspace.reads == {3: 1, 4: 1}


@pytest.mark.parametrize(("num_single", "found"), [(1, "1 volume has"), (3, "3 volumes have")])
def test_volumes_of_one_slice_are_counted_where_neighbours_are_asked_for(num_single, found):
    volumes = [make_volume(num_slices=1, volume_id=f"v{number}") for number in range(num_single)]
    with pytest.warns(UserWarning, match=f"^{found} one slice; its neighbours are the slice itself$") as caught:
        dataset = SliceDataset([make_volume(num_slices=2, volume_id="w"), *volumes], 3)
    assert len(caught) == 1
    batch = dataset.read([SliceKey(1, 0)])
    assert torch.equal(batch.kspace[0], torch.from_numpy(volumes[0].kspace[[0, 0, 0]]))
    SliceDataset(volumes, 1)  # warns of nothing: warnings are errors


def test_a_volume_without_reference_gives_none():
    volume = replace(make_volume(), reference=None)
    assert SliceDataset([volume]).read([SliceKey(0, 0)]).reference is None


@pytest.mark.parametrize("num_adjacent", [0, 2, -1])
def test_an_even_number_of_neighbours_is_refused(num_adjacent):
    with pytest.raises(ConfigError, match=f"^adjacent slices are an odd number with .*, found {num_adjacent}$"):
        SliceDataset([], num_adjacent)


def test_volumes_share_a_bucket_only_if_their_slices_can_be_stacked():
    usual = make_volume(volume_id="a")
    others = [
        make_volume(num_coils=3),
        make_volume(matrix=(16, 12)),
        make_volume(matrix=(18, 11)),
        make_volume(recon_matrix=(8, 8)),
        replace(usual, reference=None),
    ]
    first, *shapes = SliceDataset([usual, *others]).shapes
    assert all(shape.bucket != first.bucket for shape in shapes)
    blind = [replace(make_volume(recon_matrix=window), reference=None) for window in ((8, 8), (8, 9))]
    one, other = SliceDataset(blind).shapes
    assert one.bucket != other.bucket
    longer = SliceDataset([make_volume(num_slices=7, seed=2)]).shapes[0]
    assert (longer.bucket, longer.num_slices) == (first.bucket, 7)


@pytest.fixture
def data(tmp_path):
    """Three full fastMRI files."""
    folder = tmp_path / "data"
    for number in range(3):
        write_fastmri(folder / f"knee_{number}.h5", make_volume(num_slices=3, seed=number))
    return folder


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_slice_that_is_not_finite_is_named_with_its_file(data, value):
    with h5py.File(data / "knee_1.h5", "r+") as file:
        file["kspace"][2, 0, 3, 3] = value
    dataset = SliceDataset(load_training_volumes(data).volumes)
    dataset.read([SliceKey(1, 1)])
    with pytest.raises(DataError, match=r"knee_1\.h5: slice 2 of kspace holds NaN or Inf; is the file damaged\?"):
        dataset.read([SliceKey(0, 0), SliceKey(1, 2)])


def test_training_volumes_come_from_a_fresh_index_without_looking_into_a_file(data):
    build_index(data)
    with counted_openings(data) as opened:
        volumes, undersampled = load_training_volumes(data)
    assert [volume.info.volume_id for volume in volumes] == ["knee_0", "knee_1", "knee_2"]
    assert undersampled == []
    assert not opened.as_hdf5
    # The first coil of one slice tells whether the volume is full.
    assert opened.for_bytes == {"knee_0.h5": 1, "knee_1.h5": 1, "knee_2.h5": 1}


def test_whether_a_volume_is_full_is_decided_once(data):
    (volume, *_), _ = load_training_volumes(data)
    with counted_openings(data) as opened:
        assert volume.is_fully_sampled
        assert volume.is_fully_sampled
    assert not opened.for_bytes
    changed = volume.replaced(info=replace(volume.info, anatomy="brain"))
    with counted_openings(data) as opened:
        assert changed.is_fully_sampled
        assert changed.acquired == volume.acquired
    assert not opened.for_bytes
    other = replace(volume, kspace=np.where(np.arange(11) % 2, np.stack(list(volume.kspace)), np.complex64(0)))
    assert not other.is_fully_sampled


def test_a_missing_or_stale_index_is_made_anew(data):
    load_training_volumes(data)
    assert (data / INDEX_NAME).exists()
    write_fastmri(data / "more" / "knee_3.h5", make_volume(seed=3))
    assert [volume.info.volume_id for volume in load_training_volumes(data).volumes][2:] == ["knee_2", "knee_3"]


def test_a_folder_that_cannot_be_written_is_read_file_by_file(data, monkeypatch):
    def refuse(folder):
        raise StorageError(f"{folder.path}: the index cannot be written here")

    expected = load_training_volumes(data).volumes
    (data / INDEX_NAME).unlink()
    monkeypatch.setattr("mrikit.volumes.volume_files.update_index", refuse)
    found = load_training_volumes(data).volumes
    assert [volume.info for volume in found] == [volume.info for volume in expected]
    assert not (data / INDEX_NAME).exists()
    (data / "knee_1.h5").write_bytes(b"junk")
    message = r"^.*knee_1\.h5: not an HDF5 file .* \(copy or unpack it again, or leave it out\)$"
    with pytest.raises(DataError, match=message):
        load_training_volumes(data)


def test_one_file_can_be_trained_on(data):
    volumes, _ = load_training_volumes(data / "knee_1.h5")
    assert [volume.info for volume in volumes] == [open_volume(data / "knee_1.h5").info]


def test_volumes_that_were_acquired_undersampled_are_left_out_and_counted(data):
    lines = np.arange(11) % 2 == 0
    write_fastmri(data / "a_test.h5", make_volume(mask=lines, seed=7))
    hidden = make_volume(mask=lines, seed=8)
    write_fastmri(data / "b_test.h5", replace(hidden, mask=None))
    volumes, undersampled = load_training_volumes(data)
    assert [volume.info.volume_id for volume in volumes] == ["knee_0", "knee_1", "knee_2"]
    assert undersampled == ["a_test", "b_test"]
    for number in range(3):
        (data / f"knee_{number}.h5").unlink()
    with pytest.raises(
        DataError, match=r"all 2 volumes were acquired undersampled, such as a_test; training needs fully"
    ):
        load_training_volumes(data)


def test_bad_files_are_refused_with_the_first_named_and_the_others_counted(data):
    for name in ("knee_1.h5", "knee_2.h5", "z.h5"):
        (data / name).write_bytes(b"junk")
    with pytest.raises(DataError) as caught:
        load_training_volumes(data)
    message = str(caught.value)
    assert message.startswith(f"{data / 'knee_1.h5'}: not an HDF5 file")
    assert message.endswith("; 2 more cannot be read (copy or unpack it again, or leave it out)")


def test_two_volumes_of_one_name_are_refused(data):
    write_fastmri(data / "val" / "knee_1.h5", make_volume(seed=3))
    with pytest.raises(DataError, match=r"data: 2 volumes are called 'knee_1'; rename one, or name one subfolder"):
        load_training_volumes(data)


def test_a_folder_without_volumes_is_refused(tmp_path):
    with pytest.raises(DataError, match="no volume in this folder or below"):
        load_training_volumes(tmp_path)
    with pytest.raises(DataError, match="nowhere: no such folder"):
        load_training_volumes(tmp_path / "nowhere")


def test_kspace_with_its_centre_in_the_corner_is_not_trained_on(tmp_path):
    kspace = scan(readout=32, phase=32)
    info = make_volume().info
    for name, shift in (("good", 0), ("corner", 16)):
        moved = np.roll(kspace, (shift, shift), (-2, -1))
        facts = replace(info, volume_id=name, matrix=(32, 32), recon_matrix=(24, 24), padding=(0, 32))
        write_fastmri(tmp_path / f"{name}.h5", Volume(kspace=moved, info=facts))
    with pytest.raises(DataError, match=r"corner\.h5: the k-space centre lies in the corner.*; shift k-space"):
        load_training_volumes(tmp_path)
    (tmp_path / "corner.h5").unlink()
    assert [volume.info.volume_id for volume in load_training_volumes(tmp_path).volumes] == ["good"]


def test_what_readers_inferred_is_said_before_training(tmp_path):
    for name in ("a.h5", "b.h5"):
        write_mrd(tmp_path / name, header((32, 24, 1)), lines(scan()))
    build_index(tmp_path)
    with pytest.warns(UserWarning, match=r"^a\.h5 and 1 more: the header names no k-space centre; line 12 is taken"):
        load_training_volumes(tmp_path)
