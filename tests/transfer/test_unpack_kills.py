"""kill -9 at any moment, and the same command again."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from transfer.archives import compress, files_in, random_members, sha256, tar_of
from waiting import HANG_S, until

from mrikit.storage import FileState, list_files
from mrikit.transfer.source import FileSource
from mrikit.transfer.unpacking.manifest import read_manifest
from mrikit.transfer.unpacking.unpack import UnpackSettings, unpack

MEMBERS = random_members([60_000] * 30)
CHILD = """
import sys
from pathlib import Path
from mrikit.storage import parse_location
from mrikit.transfer.source import FileSource
from mrikit.transfer.unpacking.unpack import UnpackSettings, unpack
unpack(FileSource(Path(sys.argv[1])), parse_location(sys.argv[2]), settings=UnpackSettings(num_workers=2))
"""


INTERRUPTED = """
import signal, sys, time
from pathlib import Path
from mrikit.transfer.source import FileSource
from mrikit.transfer.unpacking.unpack import UnpackSettings
from mrikit.transfer.unpacking.unpack_all import UnpackJob, unpack_all

class Interrupted(BaseException):
    pass

def interrupt(*_where):
    raise Interrupted

signal.signal(signal.SIGINT, interrupt)
jobs = [UnpackJob(source=FileSource(Path(path))) for path in sys.argv[2:]]
try:
    unpack_all(jobs, Path(sys.argv[1]), settings=UnpackSettings(num_workers=2), on_event=lambda _: time.sleep(0.01))
except Interrupted:
    sys.exit(130)
"""


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "a.tar.xz"
    path.write_bytes(compress(tar_of(MEMBERS), "xz", "-0", "-T2", "--block-size=50000"))
    return path


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
def test_a_folder_is_right_after_any_number_of_kills(archive, tmp_path, seed):
    out = tmp_path / "out"
    context = multiprocessing.get_context("fork")
    rng = np.random.default_rng(seed)
    written: dict[str, int] = {}
    num_kills = 0
    for _ in range(5):
        child = context.Process(target=_unpack_slowly, args=(archive, out))
        child.start()
        target = min(29, len(list_files(out)) + int(rng.integers(1, 7)))
        while child.is_alive() and len(list_files(out)) < target:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.01))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        num_kills += child.exitcode == -signal.SIGKILL
        for name, data in files_in_without_temporaries(out).items():
            assert data == MEMBERS[name]
            time_ns = (out / name).stat().st_mtime_ns
            assert written.setdefault(name, time_ns) == time_ns  # never written twice
    result = unpack(FileSource(archive), out, settings=UnpackSettings())
    assert num_kills >= 4
    assert result.is_ok
    assert result.num_written == 30 - len(written)
    assert files_in(out) == MEMBERS
    assert {member.name: member.sha256 for member in read_manifest(out, "a.tar.xz").done} == {
        name: sha256(data) for name, data in MEMBERS.items()
    }
    for name, time_ns in written.items():
        assert (out / name).stat().st_mtime_ns == time_ns


@pytest.mark.slow
@pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
def test_a_container_is_right_after_any_number_of_kills(archive, blob_container):
    out = blob_container / "out"
    rng = np.random.default_rng(0)
    before: dict[str, FileState] = {}
    num_kills = 0
    for _ in range(8):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(archive), str(out)])
        target = min(30, len(list_files(out)) + int(rng.integers(1, 4)))
        while child.poll() is None and len(list_files(out)) < target:
            time.sleep(0.005)
        child.kill()
        num_kills += child.wait() == -signal.SIGKILL
        now = list_files(out)
        for name, state in before.items():
            assert now[name] == state  # never written twice
        before = {name: state for name, state in now.items() if not name.startswith(".mrikit")}
    result = unpack(FileSource(archive), out, settings=UnpackSettings())
    assert num_kills >= 6
    assert result.is_ok
    assert result.num_written == 30 - len(before)
    assert files_in(out) == MEMBERS


def test_an_interrupt_ends_all_threads_soon_and_the_same_command_goes_on(archive, tmp_path):
    other = tmp_path / "b.tar"
    other.write_bytes(tar_of(random_members([60_000] * 300, seed=1)))
    out = tmp_path / "out"
    child = subprocess.Popen([sys.executable, "-c", INTERRUPTED, str(out), str(archive), str(other)])
    until(lambda: len(list_files(out)) >= 8, child)
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=HANG_S) == 130
    assert not [name for name in list_files(out) if ".tmp" in name or ".lock" in name]
    assert unpack(FileSource(archive), out, settings=UnpackSettings()).is_ok


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_torn_line_of_the_journal_costs_one_look_at_its_file(archive, tmp_path, cut):
    out = tmp_path / "out"
    unpack(FileSource(archive), out, settings=UnpackSettings(num_volumes=6))
    journal = out / ".mrikit/a.tar.xz.jsonl"
    journal.write_bytes(journal.read_bytes()[:-cut])
    result = unpack(FileSource(archive), out, settings=UnpackSettings())
    assert (result.is_ok, result.num_written) == (True, 24)
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def files_in_without_temporaries(folder):
    return {name: data for name, data in files_in(folder).items() if not name.rpartition("/")[2].startswith(".")}


def _unpack_slowly(path, out):
    def wait(event):
        time.sleep(0.003)

    unpack(FileSource(path), out, settings=UnpackSettings(num_workers=2), on_event=wait)
