"""A whole folder: what is read, what is known from the last time, and what a kill leaves."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import h5py
import numpy as np
import pytest
from phantoms import make_volume
from waiting import HANG_S

from mrikit.check import check_folder
from mrikit.check.journal import JOURNAL_NAME, own_file
from mrikit.errors import ConfigError, DataError, StorageError
from mrikit.simulate import StudyConfig, simulate_study
from mrikit.volumes import write_fastmri

NUM_VOLUMES = 6


@pytest.fixture
def folder(tmp_path):
    for number in range(NUM_VOLUMES):
        volume = make_volume()
        info = replace(volume.info, patient_id=f"p{number}")
        write_fastmri(tmp_path / "data" / f"file{number}.h5", replace(volume, info=info))
    return tmp_path / "data"


def deep(folder, **options):
    """Findings as (kind, files), then how many files were read, and how many results were known."""
    report = check_folder(folder, is_deep=True, num_workers=2, **options)
    return [(finding.kind, finding.files) for finding in report.findings], report.num_read, report.num_known


def spoil(path, value=np.nan):
    with h5py.File(path, "r+") as file:
        file["kspace"][0, 0, 5, 5] = value


def journal(folder):
    return folder / ".mrikit" / "check.journal"


@pytest.mark.parametrize(("anatomy", "layout"), [("knee", "fastmri"), ("brain", "snu")])
def test_a_simulated_study_gives_no_finding(tmp_path, anatomy, layout):
    simulate_study(
        StudyConfig(anatomy=anatomy, folder=tmp_path, num_volumes=8, num_coils=(3,), num_slices=2, layout=layout)
    )
    report = check_folder(tmp_path, is_deep=True)
    assert report.findings == []
    assert (report.num_volumes, report.num_slices, report.num_read) == (8, 16, 8)


def test_only_a_deep_check_looks_into_slices(folder):
    spoil(folder / "file2.h5")
    assert check_folder(folder).findings == []
    assert deep(folder)[0] == [("not_finite", ("file2.h5",))]


def test_a_second_check_reads_nothing_and_finds_the_same(folder):
    spoil(folder / "file2.h5")
    found, *counts = deep(folder)
    assert counts == [NUM_VOLUMES, 0]
    assert deep(folder) == (found, 0, NUM_VOLUMES)
    assert found == [("not_finite", ("file2.h5",))]


def test_a_changed_file_is_read_again(folder):
    deep(folder)
    spoil(folder / "file2.h5")
    assert deep(folder) == ([("not_finite", ("file2.h5",))], 1, NUM_VOLUMES - 1)


def test_again_reads_everything(folder):
    deep(folder)
    assert deep(folder, is_again=True) == ([], NUM_VOLUMES, 0)
    assert deep(folder) == ([], 0, NUM_VOLUMES)


def test_a_changed_image_file_is_read_again(tmp_path):
    simulate_study(
        StudyConfig(anatomy="knee", folder=tmp_path, num_volumes=2, num_coils=(2,), num_slices=1, layout="snu")
    )
    deep(tmp_path)
    (image, _) = sorted(tmp_path.rglob("image/*.h5"))
    with h5py.File(image, "r+") as file:
        file["image_label"][...] *= 2
    found, num_read, num_known = deep(tmp_path)
    assert {kind for kind, _ in found} == {"reference_differs", "max_differs"}
    assert (num_read, num_known) == (1, 1)


def test_what_is_gone_is_forgotten(folder):
    spoil(folder / "file2.h5")
    deep(folder)
    (folder / "file2.h5").unlink()
    assert deep(folder) == ([], 0, NUM_VOLUMES - 1)


def test_the_journal_does_not_grow_with_every_check(folder):
    deep(folder)
    deep(folder, is_again=True)
    assert len(journal(folder).read_text().split("\n")) == NUM_VOLUMES + 1


@pytest.mark.parametrize("damage", ["torn", "garbage", "other version", "wrong shape"])
def test_a_damaged_line_of_the_journal_costs_one_file(folder, damage):
    deep(folder)
    lines = journal(folder).read_text().splitlines()
    lines[-1] = {
        "torn": lines[-1][:-9],
        "garbage": "\x00\xff",
        "other version": lines[-1].replace("[1, ", "[0, ", 1),
        "wrong shape": "[1]",
    }[damage]
    journal(folder).write_text("\n".join(lines))
    assert deep(folder) == ([], 1, NUM_VOLUMES - 1)


def test_a_check_that_is_killed_goes_on_where_it_stopped(folder):
    """The process ends itself, as by kill -9, inside the fourth volume; one thread reads one after the other."""
    script = (
        "import os, signal, sys; from pathlib import Path; from mrikit.check import check_folder\n"
        "names = set()\n"
        "def on_bytes(name, count):\n"
        "    names.add(name)\n"
        "    if len(names) == 4: os.kill(os.getpid(), signal.SIGKILL)\n"
        "check_folder(Path(sys.argv[1]), is_deep=True, num_workers=1, on_bytes=on_bytes)"
    )
    done = subprocess.run([sys.executable, "-c", script, folder], check=False)
    assert done.returncode == -9
    with journal(folder).open("a") as file:
        file.write('\n[1, "slices", "file5')  # as if it had been killed while writing
    assert deep(folder) == ([], NUM_VOLUMES - 3, 3)
    assert deep(folder) == ([], 0, NUM_VOLUMES)


def test_an_error_in_one_thread_ends_the_check_and_keeps_what_is_known(folder, monkeypatch):
    def fail_late(name, count):
        if name == "file5.h5":
            raise StorageError("no answer")

    with pytest.raises(StorageError, match="no answer"):
        check_folder(folder, is_deep=True, num_workers=1, on_bytes=fail_late)
    assert deep(folder)[1:] == (1, NUM_VOLUMES - 1)


def test_ctrl_c_ends_it_within_a_slice_and_keeps_what_is_done(folder, monkeypatch):
    read, is_closing = [], threading.Event()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, **options):
            is_closing.set()
            super().shutdown(**options)

    def interrupt(name, count):
        read.append(name)
        if len(set(read)) == 4:
            os.kill(os.getpid(), signal.SIGINT)
            assert is_closing.wait(HANG_S)

    monkeypatch.setattr("mrikit.check.contents.ThreadPoolExecutor", Pool)
    with pytest.raises(KeyboardInterrupt):
        check_folder(folder, is_deep=True, num_workers=1, on_bytes=interrupt)
    assert len(read) == 3 * 2 + 1, "two slices of each of three volumes, and the one it was at"
    monkeypatch.undo()
    assert deep(folder) == ([], NUM_VOLUMES - 3, 3)


def test_the_number_of_torch_threads_stays(folder):
    import torch

    before = torch.get_num_threads()
    deep(folder)
    assert torch.get_num_threads() == before


def test_progress_counts_the_bytes_of_all_files(folder):
    plan, done = [], []
    deep(folder, on_start=lambda *numbers: plan.append(numbers), on_bytes=lambda name, count: done.append(count))
    size_bytes = sum(path.stat().st_size for path in folder.glob("*.h5"))
    assert plan == [(NUM_VOLUMES, size_bytes, 0)]
    assert size_bytes - 2 * NUM_VOLUMES <= sum(done) <= size_bytes


def test_errors_come_first(folder):
    spoil(folder / "file4.h5")
    (folder / "file0.h5").write_bytes(b"no")
    (folder / ".file9.h5.partial").write_bytes(b"")
    report = check_folder(folder, is_deep=True)
    assert [finding.kind for finding in report.findings] == ["unreadable", "not_finite", "partial"]
    assert report.num_errors == 2


def test_own_files_of_a_folder_that_is_not_ours_lie_in_the_cache(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("MRIKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert deep(folder)[1:] == (NUM_VOLUMES, 0)
    assert deep(folder)[1:] == (0, NUM_VOLUMES)
    assert own_file(folder, JOURNAL_NAME).parent == tmp_path / "cache" / "check"
    assert own_file(folder, JOURNAL_NAME) != own_file(tmp_path, JOURNAL_NAME)
    assert sorted(path.name for path in folder.iterdir()) == [f"file{number}.h5" for number in range(NUM_VOLUMES)]


def test_a_journal_that_cannot_be_written_is_one_clear_line(folder):
    (folder / ".mrikit").write_text("a file in the way")
    with pytest.raises(StorageError, match=r"check\.journal: the results cannot be kept: File exists; free some space"):
        deep(folder)


@pytest.mark.parametrize("num_workers", [0, -1])
def test_no_worker_is_refused(folder, num_workers):
    with pytest.raises(ConfigError, match=f"at least 1 worker is needed, found {num_workers}"):
        check_folder(folder, num_workers=num_workers)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such folder"):
        check_folder(tmp_path / "nowhere")


def test_a_folder_without_volumes_but_with_leftovers_is_an_error(tmp_path):
    (tmp_path / ".archive.tar.xz.partial").write_bytes(b"")
    report = check_folder(tmp_path)
    assert [(finding.severity, finding.kind) for finding in report.findings] == [
        ("error", "no_volume"),
        ("warning", "partial"),
    ]
    assert report.findings[0].what.startswith("no volume in this folder or below")
