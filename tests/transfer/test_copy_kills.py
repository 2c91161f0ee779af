"""A copy that is killed at random moments goes on where it was; only blocks in flight come twice."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from transfer.archive_server import ArchiveServer, Faults, running_server
from transfer.copying import signatures_in, write_archive
from waiting import HANG_S, until

from mrikit.storage import BlobPath, Location, list_files
from mrikit.storage.blob import blob_client

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

BLOCK = 2**17
CONNECTIONS = 4
NAMES = ("brain_a.tar.xz", "brain_b.tar.xz")
SIZE = 160 * BLOCK + 1234


@pytest.fixture
def contents(tmp_path):
    return {name: write_archive(tmp_path / "source", name, SIZE) for name in NAMES}


@pytest.fixture
def server(tmp_path, contents):
    with running_server(tmp_path / "source", faults=Faults(throttle=6e6)) as server:
        yield server


def child_of(server: ArchiveServer, folder: Path, to: Location, **settings) -> "subprocess.Popen[bytes]":
    """Start the copy; its mail is in a file."""
    (folder / "mail.txt").write_text(server.mail(*NAMES))
    bounds = {"block_bytes": BLOCK, "num_connections": CONNECTIONS, "memory_bytes": 8 * BLOCK} | settings
    options = {"mail": str(folder / "mail.txt"), "to": str(to), "settings": bounds}
    (folder / "options.json").write_text(json.dumps(options))
    command = [sys.executable, str(Path(__file__).with_name("copy_child.py")), str(folder / "options.json")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def kill_at_random(server: ArchiveServer, folder: Path, to: Location, num_kills: int) -> None:
    """Kill the copy so many times, each time a random bit further, then let it end."""
    rng = random.Random(5)
    num_killed = 0
    for _ in range(num_kills):
        before = server.bytes_sent
        child = child_of(server, folder, to)
        mark = before + rng.randrange(2, int(2 * SIZE / num_kills))
        while server.bytes_sent < mark and child.poll() is None:
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        num_killed += child.returncode == -signal.SIGKILL
    assert num_killed >= max(1, num_kills - 2), "on a busy machine it may end before the last ones"
    server.faults.throttle = None
    child = child_of(server, folder, to)
    output, errors = child.communicate(timeout=HANG_S)
    assert child.returncode == 0, errors.decode()
    assert {state for _, state, _ in json.loads(output)} <= {"copied", "present"}


@pytest.mark.parametrize("num_kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_kills_cost_a_folder_no_more_than_the_blocks_in_flight(server, contents, tmp_path, num_kills):
    to = tmp_path / "to"
    kill_at_random(server, tmp_path, to, num_kills)
    assert {name: (to / name).read_bytes() for name in NAMES} == contents
    assert server.bytes_sent <= 2 * SIZE + num_kills * CONNECTIONS * BLOCK + 2 * (num_kills + 1)
    assert not [name for name in list_files(to) if name.endswith((".partial", ".journal"))]


@pytest.mark.parametrize("num_kills", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_kills_cost_a_container_no_more_than_the_blocks_in_flight(
    server, contents, tmp_path, blob_container: BlobPath, num_kills
):
    kill_at_random(server, tmp_path, blob_container, num_kills)
    assert {name: blob_client(blob_container / name).download_blob().readall() for name in NAMES} == contents
    assert server.bytes_sent <= 2 * SIZE + num_kills * CONNECTIONS * BLOCK + 2 * (num_kills + 1)


def test_ctrl_c_stops_at_once_and_keeps_what_is_there(server, contents, tmp_path):
    server.faults.throttle = 1e6
    child = child_of(server, tmp_path, tmp_path / "to")
    until(lambda: server.bytes_sent >= 8 * BLOCK, child)
    server.faults.throttle = 1e3  # for what is asked from now on, which would take hours
    child.send_signal(signal.SIGINT)
    output, errors = child.communicate(timeout=HANG_S)
    assert (child.returncode, output) == (130, b"")
    assert b"Traceback" not in errors
    server.faults.throttle = None
    sent = server.bytes_sent
    child = child_of(server, tmp_path, tmp_path / "to")
    child.communicate(timeout=HANG_S)
    assert child.returncode == 0
    assert server.bytes_sent - sent <= 2 * SIZE - 8 * BLOCK + CONNECTIONS * BLOCK


def test_the_query_is_not_in_the_list_of_processes(server, tmp_path):
    (tmp_path / "mail.txt").write_text(server.mail(*NAMES))
    server.faults.throttle = 2e6
    command = [sys.executable, "-m", "mrikit", "data", "copy", tmp_path / "mail.txt", "--to", tmp_path / "to"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seen: set[str] = set()
    while server.bytes_sent < SIZE and child.poll() is None:
        seen.update(process_texts())
        time.sleep(0.02)
    child.kill()
    child.wait()
    assert any(str(tmp_path / "mail.txt") in text for text in seen)
    assert not signatures_in("\n".join(seen))


def process_texts() -> list[str]:
    """Command line and environment of every process that may be looked at."""
    texts = []
    for path in [*Path("/proc").glob("[0-9]*/cmdline"), *Path("/proc").glob("[0-9]*/environ")]:
        with contextlib.suppress(OSError):
            texts.append(path.read_bytes().decode(errors="replace"))
    return texts


@pytest.mark.slow
def test_memory_does_not_grow_with_the_archive(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    peaks = []
    for megabytes in (30, 300):
        for name in NAMES:
            with (source / name).open("wb") as file:
                file.truncate(megabytes * 2**20 // 2)
        with running_server(source) as server:
            child = child_of(server, tmp_path, tmp_path / f"to-{megabytes}", block_bytes=2**20, memory_bytes=2**23)
            _, errors = child.communicate(timeout=HANG_S)
            peaks.append(int(errors) * 1024)
        for name in NAMES:
            os.truncate(tmp_path / f"to-{megabytes}" / name, 0)
    assert peaks[1] - peaks[0] < 8 * 2**20
    assert peaks[1] < 256 * 2**20
