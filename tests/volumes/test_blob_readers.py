"""Volumes that are blobs: the same bits as from a local file, by few requests, from one version."""

import gc
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import pytest
from azure.core.exceptions import HttpResponseError
from volumes.read_child import read_in_child
from waiting import HANG_S

from mrikit.errors import DataError, StorageError
from mrikit.storage import cache, read_bytes, remove, write_bytes
from mrikit.storage.blob import container_client
from mrikit.volumes import find_volumes, open_volume, write_fastmri, write_ismrmrd, write_snu
from mrikit.volumes.blob_file import BLOCK_BYTES
from mrikit.volumes.slices import FileSlices
from tests.volumes.blobs import note_requests, upload, write_every_format, write_large
from tests.volumes.scans import make_volume, without_reference

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

NAMES = [
    "full_1.h5", "single.h5", "line.h5", "plane.h5", "snu/kspace/knee_1.h5", "snu/kspace/brain_acc4_1.h5", "raw.mrd",
    "array.cfl", "chunked.h5", "scattered.h5", "gzip.h5", "lzf.h5",
]  # fmt: skip


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Path:
    return write_every_format(tmp_path_factory.mktemp("formats"))


def assert_same_volume(found, expected):
    for name in ("kspace", "reference"):
        one, other = getattr(found, name), getattr(expected, name)
        assert (one is None) == (other is None)
        if one is not None:
            assert one.shape == other.shape
            for ours, theirs in zip(one, other, strict=True):
                assert ours.dtype == theirs.dtype
                assert ours.flags.writeable
                np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(found.mask, expected.mask)
    np.testing.assert_array_equal(found.planned_mask, expected.planned_mask)
    assert replace(found.info, source=None) == replace(expected.info, source=None)


def test_every_format_is_the_same_as_from_a_local_file(local, blob_container):
    data = upload(local, blob_container / "data")
    for name in NAMES:
        found = open_volume(data / name)
        assert found.info.source == data / name
        assert_same_volume(found, open_volume(local / name))


def test_every_format_is_found_and_nothing_else(local, blob_container):
    data = upload(local, blob_container / "data")
    with h5py.File(local.parent / "recon.h5", "w") as file:
        file["reconstruction"] = np.zeros((1, 2, 2))
    write_bytes(data / "recon.h5", (local.parent / "recon.h5").read_bytes())
    write_bytes(data / ".hidden" / "a.h5", b"junk")
    write_bytes(data / "bad.h5", b"junk")
    assert find_volumes(data) == [data / name for name in sorted([*NAMES, "bad.h5"])]
    assert find_volumes(data / "raw.mrd") == [data / "raw.mrd"]
    assert find_volumes(data / "snu" / "kspace") == [data / name for name in sorted(NAMES) if name.startswith("snu")]


def test_opening_takes_a_look_and_both_ends_and_a_slice_one_exact_read(blob_container, tmp_path, monkeypatch):
    path = blob_container / "a.h5"
    write_bytes(path, write_large(tmp_path / "a.h5").read_bytes())
    sent = note_requests(monkeypatch, blob_container)
    volume = open_volume(path)
    assert sorted(request.method for request in sent) == ["GET", "GET", "HEAD"]
    size = (tmp_path / "a.h5").stat().st_size
    reads = sorted((request.first, request.count) for request in sent if request.method == "GET")
    assert reads[0] == (0, BLOCK_BYTES)
    assert sum(reads[1]) == size
    assert BLOCK_BYTES < reads[1][1] <= 2 * BLOCK_BYTES
    sent.clear()
    found = volume.kspace[1]
    slice_bytes = 4 * 160 * 120 * 8
    assert [(request.method, request.key, request.count) for request in sent] == [("GET", "a.h5", slice_bytes)]
    np.testing.assert_array_equal(found, open_volume(tmp_path / "a.h5").kspace[1])
    sent.clear()
    assert (volume.kspace[1] == found).all()
    assert sent == []


def test_a_small_blob_is_opened_by_one_read(blob_container, tmp_path, monkeypatch):
    write_fastmri(tmp_path / "a.h5", make_volume())
    write_bytes(blob_container / "a.h5", (tmp_path / "a.h5").read_bytes())
    sent = note_requests(monkeypatch, blob_container)
    open_volume(blob_container / "a.h5")
    assert [request.method for request in sent] == ["HEAD", "GET"]


@pytest.mark.parametrize(("coils", "num_reads"), [((0, 1, 2, 3), 1), ((1, 0, 2, 3), 3), ((2, 3, 0, 1), 2)])
def test_chunks_that_lie_side_by_side_are_one_read(blob_container, tmp_path, monkeypatch, coils, num_reads):
    volume = make_volume(num_slices=2, matrix=(160, 120), recon_matrix=(80, 80))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("kspace", volume.kspace.shape, "c8", chunks=(1, 1, 160, 120))
        for slice_index in (1, 0):
            for coil in coils:  # they lie in the order in which they are written
                dataset[slice_index, coil] = volume.kspace[slice_index, coil]
    write_bytes(blob_container / "a.h5", (tmp_path / "a.h5").read_bytes())
    kspace = open_volume(blob_container / "a.h5").kspace
    sent = note_requests(monkeypatch, blob_container)
    found = kspace[0]
    np.testing.assert_array_equal(found, volume.kspace[0])
    assert len(sent) == num_reads
    assert sum(request.count for request in sent) == found.nbytes


@pytest.mark.parametrize("name", NAMES)
def test_the_first_part_of_a_slice_is_its_first_coil(local, name):
    kspace = open_volume(local / name).kspace
    if isinstance(kspace, FileSlices):
        for slice_index in range(3):
            np.testing.assert_array_equal(kspace.first_part(slice_index), kspace[slice_index][0])
    assert isinstance(kspace, FileSlices) == (name != "raw.mrd")


def test_the_first_coil_alone_is_one_exact_read(blob_container, tmp_path, monkeypatch):
    write_bytes(blob_container / "a.h5", write_large(tmp_path / "a.h5").read_bytes())
    kspace = open_volume(blob_container / "a.h5").kspace
    sent = note_requests(monkeypatch, blob_container)
    kspace.first_part(1)
    assert [request.count for request in sent] == [160 * 120 * 8]


def test_a_training_file_of_snu_is_opened_by_one_request_for_its_rows(blob_container, tmp_path, monkeypatch):
    size = {"matrix": (160, 120), "recon_matrix": (150, 120), "padding": (0, 120)}
    mask = np.arange(120) % 4 == 0
    for name, applied in (("knee_1", None), ("knee_2", mask)):
        volume = make_volume(num_slices=8, mask=applied, **size)
        volume = volume if applied is not None else replace(volume, planned_mask=mask)
        write_snu(tmp_path / "snu", name, volume, image_grappa=np.asarray(volume.reference))
    data = upload(tmp_path / "snu", blob_container / "snu")
    for name, num_rows in (("knee_1", 1), ("knee_2", 4)):
        with monkeypatch.context() as patch:
            sent = note_requests(patch, blob_container)
            volume = open_volume(data / "kspace" / f"{name}.h5")
        assert (volume.mask is None) == (name == "knee_1")
        assert len([request for request in sent if request.method == "HEAD"]) == 2
        # Both ends of two files, and the rows of one coil, or of all four to be sure that they are zero.
        assert len([request for request in sent if request.method == "GET"]) == 4 + num_rows


def test_a_compressed_slice_reads_its_chunks_and_little_else(blob_container, tmp_path, monkeypatch):
    volume = make_volume(num_slices=6, matrix=(160, 120), recon_matrix=(80, 80))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("kspace", data=volume.kspace, chunks=(1, 4, 160, 120), compression=1)
    write_bytes(blob_container / "a.h5", (tmp_path / "a.h5").read_bytes())
    kspace = open_volume(blob_container / "a.h5").kspace
    sent = note_requests(monkeypatch, blob_container)
    np.testing.assert_array_equal(kspace[3], volume.kspace[3])
    assert len(sent) <= 3
    assert sum(request.count for request in sent) <= volume.kspace[3].nbytes + 3 * BLOCK_BYTES
    sent.clear()
    np.testing.assert_array_equal(kspace[3], volume.kspace[3])
    assert sent == []


def test_raw_data_larger_than_its_ends_are_read(blob_container, tmp_path):
    volume = without_reference(make_volume(num_slices=4, matrix=(160, 120), recon_matrix=(80, 80), padding=(0, 120)))
    write_ismrmrd(tmp_path / "a.mrd", volume)
    write_bytes(blob_container / "a.mrd", (tmp_path / "a.mrd").read_bytes())
    assert_same_volume(open_volume(blob_container / "a.mrd"), open_volume(tmp_path / "a.mrd"))


@pytest.mark.parametrize("name", ["full_1.h5", "gzip.h5", "raw.mrd", "snu/kspace/knee_1.h5", "array.cfl"])
def test_a_blob_that_was_replaced_is_refused_and_not_read_wrongly(local, blob_container, name, monkeypatch):
    data = upload(local, blob_container / "data")
    volume = open_volume(data / name)
    monkeypatch.setenv("MRIKIT_CACHE_SIZE", "0")  # what the cache holds is of the old version, and would be right
    whole = read_bytes(data / name)
    write_bytes(data / name, whole)
    with pytest.raises(DataError, match=rf"^az://\S+/{name}: replaced or deleted since it was looked at; run `mrikit"):
        volume.kspace[0]


def test_what_went_wrong_is_said_on_one_line_that_names_the_blob(local, blob_container, monkeypatch):
    data = upload(local, blob_container / "data")
    kspace = open_volume(data / "full_1.h5").kspace
    monkeypatch.setenv("MRIKIT_CACHE_SIZE", "0")
    remove(data / "full_1.h5")
    with pytest.raises(
        DataError, match=r"^az://\S+/full_1\.h5: replaced or deleted since it was looked at; run `mrikit"
    ):
        kspace[0]
    with pytest.raises(DataError, match=r"^az://\S+/full_1\.h5: no such file$"):
        open_volume(data / "full_1.h5")
    write_bytes(data / "bad.h5", b"junk")
    with pytest.raises(
        DataError, match=r"^az://\S+/bad\.h5: not an HDF5 file \(4 bytes\); is the download complete\?$"
    ):
        open_volume(data / "bad.h5")
    write_bytes(data / "empty.h5", b"")
    with pytest.raises(DataError, match=r"^az://\S+/empty\.h5: not an HDF5 file \(0 bytes\); is the download complete"):
        open_volume(data / "empty.h5")
    whole = (local / "full_1.h5").read_bytes()
    write_bytes(data / "short.h5", whole[:-1000])
    with pytest.raises(DataError, match=r"^az://\S+/short\.h5: a truncated HDF5 file; copy it again$"):
        open_volume(data / "short.h5")
    with pytest.raises(DataError, match=r"^az://\S+/nothing: no such folder; there is no blob below it$"):
        find_volumes(blob_container / "nothing")
    with pytest.raises(DataError, match=r"^az://\S+/lost\.hdr: No such file or directory; a BART array is a \.hdr"):
        open_volume(data / "lost.cfl")


def test_a_container_that_is_gone_stops_the_work(local, blob_container):
    data = upload(local, blob_container / "data")
    kspace = open_volume(data / "full_1.h5").kspace
    container_client(blob_container.container).delete_container()
    with pytest.raises(
        StorageError, match=rf"^az://\S+/full_1\.h5: there is no container '{blob_container.container}'"
    ):
        kspace[2]


def test_a_refusal_says_which_role_is_needed(local, blob_container, monkeypatch):
    data = upload(local, blob_container / "data")

    def refuse(path, start, buffer, *, if_version):
        error = HttpResponseError("no")
        error.status_code = 403
        raise StorageError(f"{path}: access was refused") from error

    kspace = open_volume(data / "full_1.h5").kspace
    monkeypatch.setattr(cache, "read_range_into", refuse)
    with pytest.raises(StorageError, match=r"^az://\S+/full_1\.h5: access was refused$"):
        kspace[2]


def test_damage_in_a_blob_is_found_as_in_a_file(blob_container, tmp_path):
    write_large(tmp_path / "whole.h5")
    whole = np.frombuffer((tmp_path / "whole.h5").read_bytes(), np.uint8)
    for number, position in enumerate(range(0, 2000, 101)):
        damaged = whole.copy()
        damaged[position : position + 3] ^= 0x55
        (tmp_path / "damaged.h5").write_bytes(damaged.tobytes())
        write_bytes(blob_container / f"{number}.h5", damaged.tobytes())
        try:
            expected = open_volume(tmp_path / "damaged.h5").kspace.shape
        except DataError:
            with pytest.raises(DataError, match=r"^az://\S+/\d+\.h5: [^\n]+$"):
                open_volume(blob_container / f"{number}.h5")
        else:
            assert open_volume(blob_container / f"{number}.h5").kspace.shape == expected


def test_no_file_stays_open_in_hdf5(local, blob_container):
    data = upload(local, blob_container / "data")
    for name in ("gzip.h5", "raw.mrd", "lzf.h5"):
        open_volume(data / name).kspace[1]
    gc.collect()
    assert h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE) == 0


def test_many_threads_read_many_formats_at_once(local, blob_container):
    data = upload(local, blob_container / "data")
    names = NAMES * 3
    expected = {name: open_volume(local / name).kspace[1] for name in NAMES}
    volumes = {name: open_volume(data / name) for name in NAMES}
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda name: volumes[name].kspace[1], names))
    for name, kspace in zip(names, found, strict=True):
        np.testing.assert_array_equal(kspace, expected[name])


def test_h5py_is_not_held_up_while_a_blob_is_waited_for(local, blob_container, monkeypatch):
    data = upload(local, blob_container / "data")
    kspace = open_volume(data / "gzip.h5").kspace
    monkeypatch.setenv("MRIKIT_CACHE_SIZE", "0")
    is_waiting, may_go = threading.Event(), threading.Event()
    true_read = cache.read_range_into

    def wait(*args, **kwargs):
        is_waiting.set()
        assert may_go.wait(HANG_S)
        return true_read(*args, **kwargs)

    monkeypatch.setattr(cache, "read_range_into", wait)
    reader = threading.Thread(target=lambda: kspace[0])
    reader.start()
    assert is_waiting.wait(HANG_S)
    open_volume(local / "gzip.h5")  # would wait for ever
    may_go.set()
    reader.join()


@pytest.mark.parametrize("name", ["full_1.h5", "gzip.h5", "raw.mrd"])
def test_volumes_can_be_pickled_and_read_by_another_process(local, blob_container, name):
    data = upload(local, blob_container / "data")
    context = get_context("spawn")
    answers = context.Queue()
    child = context.Process(target=read_in_child, args=(pickle.dumps(open_volume(data / name)), answers))
    child.start()
    np.testing.assert_array_equal(answers.get(timeout=HANG_S), open_volume(local / name).kspace[2])
    child.join()


def test_without_a_cache_nothing_is_written_to_this_machine(local, blob_container, monkeypatch):
    monkeypatch.setenv("MRIKIT_CACHE_SIZE", "0")
    data = upload(local, blob_container / "data")
    assert_same_volume(open_volume(data / "gzip.h5"), open_volume(local / "gzip.h5"))
    assert not Path(os.environ["MRIKIT_CACHE"]).exists()
