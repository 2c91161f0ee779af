"""Partial files and temporary files of writers that are gone."""

import os
import re
import subprocess
import sys

import pytest

from mrikit.check.leftovers import check_leftovers
from mrikit.storage import BlobPath, atomic_path
from mrikit.transfer.unpacking.lock import locked

DATA = BlobPath("data")
HOST = re.sub(r"[^A-Za-z0-9-]", "-", os.uname().nodename)


def kinds(*names, folder=DATA):
    return [(finding.severity, finding.kind, finding.files) for finding in check_leftovers(folder, names)]


def test_ordinary_files_are_none(tmp_path):
    assert kinds("a.h5", "b/.mrikit/archive.jsonl", ".mrikit-index.jsonl", "a.partial", "x/.hidden.tmp") == []


def test_a_partial_copy_is_told_with_what_would_do():
    (finding,) = check_leftovers(DATA, ["knee/.knee_multicoil_val.tar.xz.partial", "a.h5"])
    assert (finding.severity, finding.kind) == ("warning", "partial")
    assert finding.files == ("knee/.knee_multicoil_val.tar.xz.partial",)
    assert finding.what == "1 unfinished files of a copy or an index"
    assert finding.remedy == "give the same command again, which goes on from them, or delete them"


@pytest.mark.parametrize("suffix", [".h5", ".jsonl", ""])
def test_what_a_killed_writer_left_is_told(tmp_path, suffix):
    script = (
        "import os, signal, sys; from pathlib import Path; from mrikit.storage import BlobPath, atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as path: path.touch(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / f"a.b{suffix}"], check=False)
    names = [path.name for path in tmp_path.iterdir()]
    assert kinds(*names) == [("warning", "temporary", tuple(names))]
    assert len(names) == 1


def test_what_a_living_writer_is_at_is_none(tmp_path):
    with atomic_path(tmp_path / "a.h5") as path:
        path.touch()
        assert kinds(path.name) == []


def test_of_another_host_nothing_is_known():
    name = f".a.other-{HOST}.{os.getpid()}.tmp.h5"
    assert kinds(name) == [("warning", "temporary", (name,))]


def test_the_lock_of_an_unpack_that_was_killed_is_told_and_that_of_a_running_one_is_not(tmp_path):
    name = "knee/.mrikit/.a.tar.xz.lock"
    (tmp_path / "knee/.mrikit").mkdir(parents=True)
    with locked(tmp_path / "knee", "a.tar.xz"):
        assert (tmp_path / name).exists()
        assert kinds(name, folder=tmp_path) == []
    (tmp_path / name).touch()
    assert kinds(name, folder=tmp_path) == [("warning", "temporary", (name,))]
