"""The index of a prefix of blobs: shared by all machines, built by two reads per file, never trusted beyond an ETag."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from azure.core.exceptions import HttpResponseError

from mrikit.errors import DataError, StorageError
from mrikit.storage import file_state, list_files, remove, write_bytes
from mrikit.volumes import build_index, index_blob, load_index, open_volume, write_fastmri, write_snu
from mrikit.volumes.blob_file import BLOCK_BYTES
from mrikit.volumes.index import INDEX_NAME
from tests.volumes.blobs import note_requests, upload, write_every_format, write_large
from tests.volumes.scans import make_volume

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three fastMRI files of different shapes."""
    for number in range(3):
        write_fastmri(tmp_path / "local" / f"knee_{number}.h5", make_volume(num_slices=number + 1, seed=number))
    return tmp_path / "local"


@pytest.fixture
def data(folder, blob_container):
    return upload(folder, blob_container / "data")


@pytest.fixture
def read_names(monkeypatch) -> list[str]:
    """The names of all blobs that a build looks into from now on."""
    names, true_read = [], index_blob.read_entry

    def read_and_note(folder, name, blobs):
        names.append(name)
        return true_read(folder, name, blobs)

    monkeypatch.setattr(index_blob, "read_entry", read_and_note)
    return names


def refuse_to_write(monkeypatch) -> None:
    """As an identity with the role of a reader finds it from now on: blobs cannot be written."""
    true_write = index_blob.write_bytes

    def write_or_refuse(path, content):
        if isinstance(path, Path):
            return true_write(path, content)
        error = HttpResponseError("no")
        error.status_code = 403
        raise StorageError(f"{path}: access was refused") from error

    monkeypatch.setattr(index_blob, "write_bytes", write_or_refuse)


def forget(monkeypatch, tmp_path, name="another-machine") -> None:
    """From now on this is another machine, whose cache is empty."""
    monkeypatch.setenv("MRIKIT_CACHE", str(tmp_path / name))


def test_every_format_opens_from_the_index_as_from_its_file(tmp_path, blob_container):
    local = write_every_format(tmp_path / "formats")
    data = upload(local, blob_container / "data")
    build_index(data)
    assert not Path(os.environ["MRIKIT_CACHE"], "ranges").exists()
    index = pickle.loads(pickle.dumps(load_index(data)))
    assert index.names == build_index(local).names
    assert len(index) == 12
    for name, shape in zip(index.names, index.shapes, strict=True):
        expected = open_volume(local / name)
        found = index.open(expected.info.volume_id)
        assert found.info.source == data / name
        assert list(found.kspace.shape) == shape == list(expected.kspace.shape)
        for ours, theirs in zip(found.kspace, expected.kspace, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert (found.reference is None) == (expected.reference is None)
        if expected.reference is not None:
            np.testing.assert_array_equal(np.stack(list(found.reference)), np.stack(list(expected.reference)))
        np.testing.assert_array_equal(found.mask, expected.mask)
        np.testing.assert_array_equal(found.planned_mask, expected.planned_mask)


def test_a_build_lists_once_and_reads_each_file_twice(tmp_path, blob_container, monkeypatch):
    for number in range(4):
        write_large(tmp_path / "large" / f"{number}.h5", seed=number)
    data = upload(tmp_path / "large", blob_container)
    sent = note_requests(monkeypatch, blob_container)
    build_index(data)
    listings = [request for request in sent if request.method == "GET" and not request.key]
    reads = [request for request in sent if request.method == "GET" and request.key]
    assert len(listings) == 1
    assert sorted(request.key for request in reads) == sorted([f"{number}.h5" for number in range(4)] * 2)
    assert max(request.count for request in reads) <= 2 * BLOCK_BYTES
    assert [(request.method, request.key) for request in sent if request.method != "GET"] == [("PUT", INDEX_NAME)]
    assert not Path(os.environ["MRIKIT_CACHE"], "ranges").exists()


def test_a_fresh_index_costs_one_listing_and_on_another_machine_one_read(data, read_names, monkeypatch, tmp_path):
    container = type(data)(data.container)
    build_index(data)
    before = file_state(data / INDEX_NAME)
    read_names.clear()
    sent = note_requests(monkeypatch, container)
    assert len(load_index(data)) == 3
    assert [(request.method, request.key) for request in sent] == [("GET", "")]
    sent.clear()
    forget(monkeypatch, tmp_path)
    assert len(load_index(data)) == len(load_index(data)) == len(build_index(data)) == 3
    assert [request.key for request in sent] == ["", f"data/{INDEX_NAME}", "", ""]
    assert read_names == []
    assert file_state(data / INDEX_NAME) == before


def test_a_slice_of_an_indexed_volume_is_one_request(data, folder, monkeypatch):
    volume = build_index(data).open("knee_2")
    sent = note_requests(monkeypatch, type(data)(data.container))
    np.testing.assert_array_equal(volume.kspace[1], open_volume(folder / "knee_2.h5").kspace[1])
    assert [(request.method, request.count) for request in sent] == [("GET", 4 * 16 * 11 * 8)]


def test_only_new_and_changed_blobs_are_read_again_and_vanished_ones_dropped(data, folder, read_names):
    build_index(data)
    read_names.clear()
    write_fastmri(folder / "knee_1.h5", make_volume(num_slices=7))
    write_bytes(data / "knee_1.h5", (folder / "knee_1.h5").read_bytes())
    write_bytes(data / "deep" / "knee_9.h5", (folder / "knee_2.h5").read_bytes())
    remove(data / "knee_0.h5")
    with pytest.raises(
        DataError, match=r"^az://\S+/data: since it was indexed 1 files came, 1 went and 1 changed; run"
    ):
        load_index(data)
    index = build_index(data)
    assert sorted(read_names) == ["deep/knee_9.h5", "knee_1.h5"]
    assert index.names == ["deep/knee_9.h5", "knee_1.h5", "knee_2.h5"]
    assert len(index.open("knee_1").kspace) == 7
    assert load_index(data).names == index.names


def test_the_same_bytes_written_again_are_another_version(data, folder, read_names):
    index = build_index(data)
    read_names.clear()
    write_bytes(data / "knee_1.h5", (folder / "knee_1.h5").read_bytes())
    with pytest.raises(
        DataError, match=r"knee_1\.h5: replaced or deleted since it was looked at; run `mrikit data index"
    ):
        index.open("knee_1").kspace[0]
    build_index(data)
    assert read_names == ["knee_1.h5"]
    load_index(data).open("knee_1").kspace[0]


@pytest.mark.parametrize("pointed_at", ["snu", "snu/kspace"])
def test_a_new_image_file_of_an_snu_pair_is_noticed(tmp_path, blob_container, pointed_at):
    volume = make_volume(mask=np.ones(11, bool))
    write_snu(tmp_path / "snu", "knee_1", volume, image_grappa=np.asarray(volume.reference))
    snu = upload(tmp_path / "snu", blob_container / "snu")
    remove(snu / "image" / "knee_1.h5")
    assert build_index(blob_container / pointed_at).open("knee_1").reference is None
    write_bytes(snu / "image" / "knee_1.h5", (tmp_path / "snu/image/knee_1.h5").read_bytes())
    reference = build_index(blob_container / pointed_at).open("knee_1").reference
    np.testing.assert_array_equal(np.stack(list(reference)), volume.reference)


def test_bad_blobs_are_listed_and_tried_again(data, folder, read_names):
    write_bytes(data / "bad.h5", b"no")
    index = build_index(data)
    assert index.names == ["knee_0.h5", "knee_1.h5", "knee_2.h5"]
    message = f"{data / 'bad.h5'}: not an HDF5 file (2 bytes); is the download complete?"
    assert [(bad.path, bad.message) for bad in index.bad_files] == [(data / "bad.h5", message)]
    assert load_index(data).bad_files == index.bad_files
    read_names.clear()
    write_bytes(data / "bad.h5", (folder / "knee_1.h5").read_bytes())
    assert build_index(data).bad_files == []
    assert read_names == ["bad.h5"]


KILLED_BUILD = """
import sys, time
from mrikit.storage import parse_location
from mrikit.storage import cache_folder
from mrikit.volumes import build_index, index_blob
true_read, count = index_blob.read_entry, 0
def read_then_wait(folder, name, blobs):
    global count
    count += 1
    if count > 2:
        while not any(path.read_text().count("knee_1.h5") for path in cache_folder().rglob("*.partial")):
            time.sleep(0.01)
        print("ready", flush=True)
        sys.stdin.read()
    return true_read(folder, name, blobs)
index_blob.read_entry = read_then_wait
build_index(parse_location(sys.argv[1]), 1)
"""


def test_a_build_that_is_killed_is_continued(data, read_names, azurite_env):
    environment = {**os.environ, **azurite_env}
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_BUILD, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as build:
        assert build.stdout.readline() == b"ready\n"
        build.kill()
    assert INDEX_NAME not in list_files(data)
    assert len(build_index(data)) == 3
    assert read_names == ["knee_2.h5"]
    assert not list(Path(os.environ["MRIKIT_CACHE"]).rglob("*.partial"))


def test_where_it_may_not_be_written_the_index_is_kept_here_with_one_warning(data, monkeypatch, read_names):
    refuse_to_write(monkeypatch)
    with pytest.warns(
        UserWarning, match="this identity may not write here; the index is in .*, for this machine alone"
    ):
        index = build_index(data)
    assert INDEX_NAME not in list_files(data)
    assert index.path == load_index(data).path
    assert index.path.is_relative_to(os.environ["MRIKIT_CACHE"])
    read_names.clear()
    assert len(build_index(data)) == 3  # without another warning
    assert read_names == []


def test_a_stale_index_of_others_does_not_hide_the_one_that_is_kept_here(data, folder, monkeypatch, read_names):
    build_index(data)
    write_bytes(data / "knee_7.h5", (folder / "knee_1.h5").read_bytes())
    with monkeypatch.context() as patch:
        refuse_to_write(patch)
        with pytest.warns(UserWarning, match="may not write"):
            build_index(data)
        assert load_index(data).names[-1] == "knee_7.h5"
    read_names.clear()
    index = build_index(data)  # now it may
    assert index.path == data / INDEX_NAME
    assert read_names == []
    assert not list(Path(os.environ["MRIKIT_CACHE"]).rglob("kept.jsonl"))


def test_a_write_that_fails_for_another_reason_is_an_error(data, monkeypatch):
    def fail(path, content):
        raise StorageError(f"{path}: the service refused with 500")

    monkeypatch.setattr(index_blob, "write_bytes", fail)
    with pytest.raises(StorageError, match="refused with 500"):
        build_index(data)


def test_the_index_can_be_a_local_file(data, tmp_path):
    path = tmp_path / "index.jsonl"
    assert build_index(data, path=path).path == path
    assert INDEX_NAME not in list_files(data)
    assert load_index(data, path=path).names == ["knee_0.h5", "knee_1.h5", "knee_2.h5"]
    with pytest.raises(DataError, match="not indexed yet; run `mrikit data index az://"):
        load_index(data)


def test_an_index_that_is_damaged_is_built_anew(data):
    write_bytes(data / INDEX_NAME, b'{"version": 3}\n')
    with pytest.raises(DataError, match="not indexed yet"):
        load_index(data)
    assert len(build_index(data)) == len(load_index(data)) == 3


def test_a_prefix_that_moved_keeps_its_index_but_for_the_versions(data, folder, blob_container):
    index = build_index(data)
    moved = upload(folder, blob_container / "moved")
    write_bytes(moved / INDEX_NAME, Path(*_only_copy()).read_bytes())
    with pytest.raises(DataError, match="0 files came, 0 went and 3 changed"):
        load_index(moved)
    assert build_index(moved).names == index.names


def _only_copy() -> list[Path]:
    return list(Path(os.environ["MRIKIT_CACHE"]).rglob("published-*.jsonl"))


def test_a_cache_that_cannot_be_written_does_not_stop_loading(data, full_disk, monkeypatch):
    build_index(data)
    subprocess.run(["mount", "-o", "remount,ro", full_disk], check=True)
    monkeypatch.setenv("MRIKIT_CACHE", str(full_disk / "cache"))
    assert len(load_index(data)) == 3


def test_old_copies_of_the_index_are_removed(data, folder):
    build_index(data)
    write_bytes(data / "knee_7.h5", (folder / "knee_1.h5").read_bytes())
    build_index(data)
    assert len(_only_copy()) == 1


def test_a_prefix_without_volumes_is_refused(blob_container):
    write_bytes(blob_container / "data" / "readme.txt", b"hello")
    with pytest.raises(
        DataError, match=r"^az://\S+/data: no volume in this folder or below; looked for files that end"
    ):
        build_index(blob_container / "data")
    with pytest.raises(DataError, match=r"^az://\S+/nowhere: no such folder; there is no blob below it"):
        build_index(blob_container / "nowhere")


def test_progress_counts_the_blobs_that_are_read(data):
    seen = []
    build_index(data, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
