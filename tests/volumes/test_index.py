"""The sidecar index: what it remembers, when it reads again, and what it survives."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from mrikit.errors import DataError, StorageError
from mrikit.volumes import (
    build_index,
    data_folder,
    index_workers,
    load_index,
    open_volume,
    write_fastmri,
    write_ismrmrd,
    write_snu,
)
from mrikit.volumes.index import INDEX_NAME
from mrikit.volumes.index_file import INDEX_VERSION, partial_path
from tests.volumes.scans import make_volume, without_reference


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with three fastMRI files of different shapes."""
    folder = tmp_path / "data"
    for number in range(3):
        volume = make_volume(num_slices=number + 1, seed=number, mask=np.arange(11) % 2 == 0 if number else None)
        write_fastmri(folder / f"knee_{number}.h5", volume)
    return folder


@pytest.fixture
def read_names(monkeypatch) -> list[str]:
    """The names of all files that a build reads from now on."""
    names = []
    true_read = index_workers.read_entry

    def read_and_note(folder, name):
        names.append(name)
        return true_read(folder, name)

    monkeypatch.setattr(index_workers, "read_entry", read_and_note)
    return names


def test_every_format_opens_from_the_index_as_from_its_file(data):
    volume = make_volume(mask=np.ones(11, bool), padding=(0, 11))
    write_snu(data / "snu", "brain_1", volume, image_grappa=np.asarray(volume.reference))
    planned = replace(volume, mask=None, planned_mask=np.arange(11) % 4 == 0)
    write_snu(data / "snu", "brain_2", planned, image_grappa=np.asarray(volume.reference))
    write_ismrmrd(data / "raw.mrd", without_reference(volume))
    mask = np.random.default_rng(1).random((16, 11)) < 0.4
    write_fastmri(data / "plane.h5", without_reference(make_volume(mask=mask, padding=(0, 11))))
    (data / "array.hdr").write_text("16 11 1 4\n")
    (data / "array.cfl").write_bytes(make_volume(num_slices=1).kspace.tobytes())
    for key, options in {"chunked": {"chunks": (1, 1, 16, 11)}, "compressed": {"compression": 4}}.items():
        with h5py.File(data / f"{key}.h5", "w") as file:
            file.create_dataset("kspace", data=volume.kspace, **options)
    build_index(data)
    index = load_index(data)
    assert len(index) == 10
    for name, shape in zip(index.names, index.shapes, strict=True):
        expected = open_volume(data / name)
        found = index.open(expected.info.volume_id)
        assert found.info == expected.info == index.info(expected.info.volume_id)
        assert list(found.kspace.shape) == shape == list(expected.kspace.shape)
        np.testing.assert_array_equal(np.stack(list(found.kspace)), np.stack(list(expected.kspace)))
        assert (found.reference is None) == (expected.reference is None)
        if expected.reference is not None:
            np.testing.assert_array_equal(np.stack(list(found.reference)), np.stack(list(expected.reference)))
        np.testing.assert_array_equal(found.mask, expected.mask)
        np.testing.assert_array_equal(found.planned_mask, expected.planned_mask)
    assert index.open("brain_2").planned_mask is not None


def test_a_slice_of_an_indexed_volume_is_one_exact_read(data, monkeypatch):
    index = build_index(data)
    monkeypatch.setattr(h5py, "File", None)  # no HDF5 from here
    reads = []
    true_read = os.preadv

    def read_and_note(descriptor, buffers, offset):
        reads.append(sum(len(buffer) for buffer in buffers))
        return true_read(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", read_and_note)
    np.testing.assert_array_equal(
        index.open("knee_2").kspace[1], make_volume(3, seed=2, mask=index.open("knee_2").mask).kspace[1]
    )
    assert reads == [4 * 16 * 11 * 8]


def test_a_fresh_index_reads_no_file_and_is_not_rewritten(data, read_names):
    build_index(data)
    before = (data / INDEX_NAME).stat()
    read_names.clear()
    assert len(build_index(data)) == len(load_index(data)) == 3
    assert read_names == []
    after = (data / INDEX_NAME).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_only_new_and_changed_files_are_read_again_and_vanished_ones_dropped(data, read_names):
    build_index(data)
    read_names.clear()
    write_fastmri(data / "knee_1.h5", make_volume(num_slices=7))
    shutil.copy(data / "knee_2.h5", data / "knee_9.h5")
    (data / "knee_0.h5").unlink()
    with pytest.raises(DataError, match="1 files came, 1 went and 1 changed; run `mrikit data index"):
        load_index(data)
    index = build_index(data)
    assert sorted(read_names) == ["knee_1.h5", "knee_9.h5"]
    assert index.names == ["knee_1.h5", "knee_2.h5", "knee_9.h5"]
    assert len(index.open("knee_1").kspace) == 7
    assert load_index(data).names == index.names


def test_a_file_of_the_same_size_with_another_time_is_read_again(data, read_names):
    build_index(data)
    read_names.clear()
    os.utime(data / "knee_1.h5", ns=(0, 0))
    build_index(data)
    assert read_names == ["knee_1.h5"]


@pytest.mark.parametrize("pointed_at", ["snu", "snu/kspace"])
def test_a_new_image_file_of_an_snu_pair_is_noticed(tmp_path, pointed_at):
    volume = make_volume(mask=np.ones(11, bool))
    write_snu(tmp_path / "snu", "knee_1", volume, image_grappa=np.asarray(volume.reference))
    image = tmp_path / "snu" / "image" / "knee_1.h5"
    folder, kept = tmp_path / pointed_at, tmp_path / "kept.h5"
    image.rename(kept)
    assert build_index(folder).open("knee_1").reference is None
    kept.rename(image)
    reference = build_index(folder).open("knee_1").reference
    np.testing.assert_array_equal(np.stack(list(reference)), volume.reference)


def test_bad_files_are_listed_and_tried_again(data, read_names):
    (data / "bad.h5").write_text("no")
    good = (data / "knee_1.h5").read_bytes()
    (data / "knee_1.h5").write_bytes(good[:1000])
    index = build_index(data)
    assert index.names == ["knee_0.h5", "knee_2.h5"]
    assert [bad_file.path.name for bad_file in index.bad_files] == ["bad.h5", "knee_1.h5"]
    assert index.bad_files[1].message == f"{data / 'knee_1.h5'}: a truncated HDF5 file; copy it again"
    assert load_index(data).bad_files == index.bad_files
    read_names.clear()
    (data / "knee_1.h5").write_bytes(good)
    assert build_index(data).names == ["knee_0.h5", "knee_1.h5", "knee_2.h5"]
    assert sorted(read_names) == ["bad.h5", "knee_1.h5"]


def test_damaged_bytes_become_a_finding_and_never_another_error(tmp_path):
    write_fastmri(tmp_path / "whole.h5", make_volume(num_slices=1, num_coils=1))
    whole = np.frombuffer((tmp_path / "whole.h5").read_bytes(), np.uint8)
    # Not the text heap (bytes 2000 to 6300): HDF5 itself loops forever on some of its damages.
    for number, position in enumerate(range(0, 2000, 7)):
        damaged = whole.copy()
        damaged[position : position + 3] ^= 0x55
        (tmp_path / f"damaged_{number}.h5").write_bytes(damaged.tobytes())
    index = build_index(tmp_path, num_workers=1)
    assert len(index) + len(index.bad_files) == 287
    assert len(index.bad_files) > 40
    assert all("\n" not in bad_file.message for bad_file in index.bad_files)


def test_reconstructions_are_left_out_and_not_read_again(data, read_names):
    with h5py.File(data / "recon.h5", "w") as file:
        file["reconstruction"] = np.zeros((1, 2, 2))
    assert len(build_index(data)) == 3
    read_names.clear()
    assert len(build_index(data)) == 3
    assert build_index(data).bad_files == []
    assert read_names == []


def test_a_folder_that_was_moved_keeps_its_index(data, read_names):
    build_index(data)
    read_names.clear()
    moved = data.rename(data.parent / "moved")
    index = load_index(moved)
    np.testing.assert_array_equal(index.open("knee_0").kspace[0], make_volume(1, seed=0).kspace[0])
    assert index.open("knee_0").info.source == moved / "knee_0.h5"


def test_worker_processes_find_what_one_process_finds(data, monkeypatch):
    (data / "bad.h5").write_text("no")
    alone = build_index(data, num_workers=1, path=data / ".alone")
    monkeypatch.setattr(index_workers, "FILES_PER_WORKER", 1)
    progress = []
    together = build_index(
        data, num_workers=3, path=data / ".together", on_progress=lambda *counts: progress.append(counts)
    )
    assert progress == [(done, 4) for done in (1, 2, 3, 4)]
    assert (data / ".alone").read_bytes() == (data / ".together").read_bytes()
    assert together.names == alone.names
    assert together.bad_files == alone.bad_files


def test_a_worker_that_dies_is_reported_and_its_file_can_be_found(data, monkeypatch):
    parent = os.getpid()
    true_read = index_workers.read_entry

    def read_or_die(folder, name):
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return true_read(folder, name)

    monkeypatch.setattr(index_workers, "FILES_PER_WORKER", 1)
    monkeypatch.setattr(index_workers, "read_entry", read_or_die)
    with pytest.raises(DataError, match=r"ended the process that read it \(exit code -9\); find it with"):
        build_index(data, num_workers=2)
    assert not (data / INDEX_NAME).exists()
    assert len(build_index(data, num_workers=1)) == 3


def test_progress_counts_the_files_that_are_read(data):
    seen = []
    build_index(data, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


KILLED_BUILD = """
import sys
from pathlib import Path
from mrikit.volumes import build_index, index_workers
true_read, count = index_workers.read_entry, 0
def read_then_wait(folder, name):
    global count
    count += 1
    if count > int(sys.argv[2]):
        print("ready", flush=True)
        sys.stdin.read()
    return true_read(folder, name)
index_workers.read_entry = read_then_wait
build_index(Path(sys.argv[1]), num_workers=1)
"""


def kill_a_build(data: Path, num_files: int = 2) -> None:
    """Start a build in a process of its own and kill it with -9 after it has read some files."""
    command = [sys.executable, "-c", KILLED_BUILD, str(data), str(num_files)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as build:
        assert build.stdout.readline() == b"ready\n"
        build.kill()


def test_a_first_build_that_is_killed_is_continued(data, read_names):
    kill_a_build(data)
    assert not (data / INDEX_NAME).exists()
    assert len(build_index(data)) == 3
    assert read_names == ["knee_2.h5"]
    assert not partial_path(data / INDEX_NAME).exists()
    assert len(load_index(data)) == 3


def test_a_later_build_that_is_killed_leaves_the_old_index(data, read_names):
    build_index(data)
    old = (data / INDEX_NAME).read_bytes()
    for number in range(3, 6):
        write_fastmri(data / f"knee_{number}.h5", make_volume())
    kill_a_build(data)
    assert (data / INDEX_NAME).read_bytes() == old
    read_names.clear()
    assert len(build_index(data)) == 6
    assert read_names == ["knee_5.h5"]


def test_a_line_that_a_killed_build_left_incomplete_is_read_again(data, read_names):
    kill_a_build(data)
    partial = partial_path(data / INDEX_NAME)
    partial.write_bytes(partial.read_bytes()[:-20])
    kill_a_build(data, num_files=1)  # appends after the incomplete line
    assert len(build_index(data)) == 3
    assert read_names == ["knee_2.h5"]


def test_what_a_killed_build_of_another_version_had_read_is_read_again(data, read_names):
    kill_a_build(data)
    partial = partial_path(data / INDEX_NAME)
    lines = [json.loads(line) for line in partial.read_text().splitlines() if line]
    assert {line[0] for line in lines} == {INDEX_VERSION}
    older = [json.dumps([INDEX_VERSION - 1, *line[1:]]) for line in lines[:1]]
    oldest = [json.dumps(line[1:]) for line in lines[1:]]  # said no version
    partial.write_text("\n".join(["", *older, *oldest]))
    assert len(build_index(data)) == 3
    assert read_names == ["knee_0.h5", "knee_1.h5", "knee_2.h5"]


@pytest.mark.parametrize(
    "content", ["", "{", '{"version": 0}\n', f'{{"version": {INDEX_VERSION}, "names": ["a"]}}\n', "\x00\xff"]
)
def test_an_index_that_is_damaged_or_of_another_version_is_built_anew(data, content):
    (data / INDEX_NAME).write_text(content)
    with pytest.raises(DataError, match="not indexed yet; run `mrikit data index"):
        load_index(data)
    assert len(build_index(data)) == 3
    assert len(load_index(data)) == 3


def test_an_index_of_a_later_version_is_left_unread(data):
    build_index(data)
    whole = (data / INDEX_NAME).read_text()
    (data / INDEX_NAME).write_text(whole.replace(f'{{"version":{INDEX_VERSION},', f'{{"version":{INDEX_VERSION + 1},'))
    with pytest.raises(DataError, match="not indexed yet"):
        load_index(data)


def test_a_read_only_folder_says_where_the_index_can_go(full_disk, tmp_path):
    write_fastmri(full_disk / "knee_1.h5", make_volume())
    subprocess.run(["mount", "-o", "remount,ro", full_disk], check=True)
    with pytest.raises(StorageError, match="Read-only file system; keep it elsewhere with `mrikit data index --index"):
        build_index(full_disk)
    elsewhere = tmp_path / "index.jsonl"
    assert len(build_index(full_disk, path=elsewhere)) == 1
    assert len(load_index(full_disk, path=elsewhere)) == 1


def test_a_read_only_folder_with_a_current_index_needs_nothing_written(full_disk):
    write_fastmri(full_disk / "knee_1.h5", make_volume())
    build_index(full_disk)
    (full_disk / f"{INDEX_NAME}.partial").write_bytes(b"left by a kill")
    subprocess.run(["mount", "-o", "remount,ro", full_disk], check=True)
    assert len(build_index(full_disk)) == 1


def test_a_read_only_folder_with_a_file_less_than_its_index_says_where_the_index_can_go(full_disk):
    for number in range(2):
        write_fastmri(full_disk / f"knee_{number}.h5", make_volume())
    build_index(full_disk)
    (full_disk / "knee_0.h5").unlink()
    subprocess.run(["mount", "-o", "remount,ro", full_disk], check=True)
    with pytest.raises(StorageError, match="Read-only file system; keep it elsewhere with `mrikit data index --index"):
        build_index(full_disk)


def test_a_full_disk_says_where_the_index_can_go(full_disk):
    write_fastmri(full_disk / "knee_1.h5", make_volume())
    with (full_disk / "filler").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(4096))
    with pytest.raises(StorageError, match="No space left on device; keep it elsewhere"):
        build_index(full_disk)
    assert not (full_disk / INDEX_NAME).exists()


def test_an_empty_or_missing_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="no volume in this folder or below"):
        build_index(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        build_index(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_two_volumes_of_one_name_cannot_be_told_apart(data):
    shutil.copytree(data, data / "again")
    index = build_index(data)
    assert len(index) == 6
    with pytest.raises(DataError, match=r"2 volumes are called 'knee_1': \['again/knee_1.h5', 'knee_1.h5'\]"):
        index.open("knee_1")
    with pytest.raises(DataError, match="no volume 'knee_7' among 6"):
        index.info("knee_7")


def test_links_to_nowhere_are_bad_files(data):
    (data / "lost.h5").symlink_to(data / "nothing.h5")
    assert [bad_file.message for bad_file in build_index(data).bad_files] == [f"{data / 'lost.h5'}: no such file"]


def test_numbers_as_ids_are_kept_as_text(data):
    with h5py.File(data / "knee_1.h5", "r+") as file:
        file.attrs["patient_id"] = 7
    assert build_index(data).info("knee_1").patient_id == "7"


def test_as_many_workers_as_this_process_has_processors(data, monkeypatch):
    asked = []
    true_read = data_folder.read_entries
    monkeypatch.setattr(os, "sched_getaffinity", lambda process_id: {5, 7, 9})
    monkeypatch.setattr(
        data_folder, "read_entries", lambda folder, names, workers: asked.append(workers) or true_read(folder, names, 1)
    )
    build_index(data)
    assert asked == [3]


def test_the_index_is_text_without_pickles_and_can_be_pickled(data):
    index = build_index(data)
    head, *lines = (data / INDEX_NAME).read_text().splitlines()
    assert json.loads(head)["names"] == index.names
    assert [json.loads(line)["info"]["patient_id"] for line in lines] == ["p<17>&"] * 3
    copy = pickle.loads(pickle.dumps(index))
    np.testing.assert_array_equal(copy.open("knee_1").kspace[1], index.open("knee_1").kspace[1])
