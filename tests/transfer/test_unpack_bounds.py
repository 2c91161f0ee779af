"""Bounds of memory and time: hostile archives, links that stall, Ctrl-C in any place."""

import io
import os
import signal
import tarfile
import threading
import time
import tracemalloc

import pytest
from transfer.archive_server import Faults, running_server
from transfer.archives import compress, compressed, random_members, sha256, tar_of, unpack_bytes
from waiting import HANG_S, until

from mrikit.errors import ConfigError, DataError, StorageError, TransferError
from mrikit.transfer.link import Link
from mrikit.transfer.retry import Patience
from mrikit.transfer.source import FileSource, HttpSource
from mrikit.transfer.unpacking import sequential
from mrikit.transfer.unpacking.sequential import Trailer, decode_sequentially
from mrikit.transfer.unpacking.unpack import UnpackSettings, unpack
from mrikit.transfer.unpacking.unpack_all import UnpackJob, unpack_all
from mrikit.transfer.unpacking.xz_blocks import PIECE_BYTES, read_blocks

MEMBERS = random_members([300, 3000])


class InMemory:
    """A source in memory that may be slow."""

    name, version = "a.tar", "1"

    def __init__(self, data, wait_s=0.0):
        self.data, self.wait_s, self.num_reads = data, wait_s, 0

    @property
    def size_bytes(self):
        return len(self.data)

    def read(self, start, count):
        self.num_reads += 1
        time.sleep(self.wait_s)
        return self.data[start : start + count]

    def close(self):
        pass


class Zeros(InMemory):
    """Followed by terabytes of zeros."""

    size_bytes = 10**13

    def read(self, start, count):
        found = super().read(start, count)
        return found + bytes(count - len(found))


@pytest.mark.parametrize("kind", ["gz", "xz in one block"])
def test_padding_is_passed_over_quickly(tmp_path, kind):
    start = time.process_time()
    assert unpack_bytes(compressed(tar_of(MEMBERS), kind) + bytes(2**25), tmp_path).manifest.archive.state == "whole"
    assert time.process_time() - start < 5  # byte by byte it took half a minute


@pytest.mark.parametrize("num_zeros", [3, 4, 2**22 + 3, 2**23])
def test_padding_of_xz_comes_in_fours(tmp_path, num_zeros):
    result = unpack_bytes(compressed(tar_of(MEMBERS), "xz in one block") + bytes(num_zeros), tmp_path, memory_bytes=1)
    assert result.manifest.archive.state == ("trailing bytes" if num_zeros % 4 else "whole")


@pytest.mark.parametrize("kind", ["gz", "plain"])
def test_endless_padding_can_be_stopped(tmp_path, kind):
    stop = threading.Event()
    timer = threading.Timer(0.5, stop.set)
    timer.start()
    with pytest.raises(TransferError, match="stopped; the same command goes on"):
        unpack(
            Zeros(compressed(tar_of(MEMBERS), kind)), tmp_path, settings=UnpackSettings(max_expansion=9e9), stop=stop
        )
    timer.join()


@pytest.mark.parametrize("is_damaged", [False, True])
def test_reading_for_a_digest_can_be_stopped(tmp_path, is_damaged):
    data = tar_of(random_members([40_000_000, 10]))
    if is_damaged:  # what is left is read for the digest all the same
        data = data[:512] + bytes(512) + b"no header" * 60 + data[2000:]
    else:
        unpack(InMemory(data), tmp_path, settings=UnpackSettings(num_volumes=2))
    stop, source = threading.Event(), InMemory(data, wait_s=0.2)
    timer = threading.Timer(0.5, stop.set)
    timer.start()
    with pytest.raises(TransferError, match="stopped; the same command goes on"):
        unpack(source, tmp_path, settings=UnpackSettings(num_workers=1), digest="0" * 64, stop=stop)
    timer.join()
    assert source.num_reads < 8  # of 20


@pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
def test_ctrl_c_does_not_wait_for_a_busy_server(tmp_path):
    (tmp_path / "a.tar").write_bytes(tar_of(random_members([3_000_000] * 4)))
    with running_server(tmp_path) as server:
        source = HttpSource(
            Link(server.url("a.tar")),
            patience=Patience(max_wait_s=2 * HANG_S),
            on_retry=lambda _line: os.kill(os.getpid(), signal.SIGINT),
        )
        assert source.size_bytes
        server.faults.busy_every, server.faults.retry_after = 1, str(2 * HANG_S)
        start = time.perf_counter()
        with pytest.raises(KeyboardInterrupt):
            unpack_all([UnpackJob(source=source)], tmp_path / "out", settings=UnpackSettings())
        assert time.perf_counter() - start < HANG_S


@pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
def test_ctrl_c_does_not_wait_for_a_link_that_stalls(tmp_path):
    (tmp_path / "a.tar").write_bytes(tar_of(random_members([3_000_000] * 4)))
    with running_server(tmp_path, faults=Faults(throttle=200.0)) as server:
        source = HttpSource(Link(server.url("a.tar")))
        assert source.size_bytes

        def interrupt():
            until(lambda: server.num_bodies)
            os.kill(os.getpid(), signal.SIGINT)

        interrupting = threading.Thread(target=interrupt)
        start = time.perf_counter()
        with pytest.raises(KeyboardInterrupt):
            interrupting.start()
            unpack_all([UnpackJob(source=source)], tmp_path / "out", settings=UnpackSettings())
        assert time.perf_counter() - start < HANG_S
        interrupting.join()


def test_pieces_of_every_kind_are_of_bounded_size():
    zeros = bytes(100_000_000)
    for kind, command in {
        "zst": ("zstd", "-q"),
        "gz": ("gzip", "-1"),
        "xz": ("xz", "-0"),
        "bz2": ("bzip2", "-1"),
    }.items():
        data = compress(zeros, *command)
        pieces = decode_sequentially(iter([data]), kind, Trailer(), 0)
        assert max(len(piece.data) for piece in pieces) <= PIECE_BYTES


def test_one_call_of_zstandard_gives_little():
    data = compress(bytes(100_000_000), "zstd", "-q")
    unit = sequential._Zstd(0)
    assert len(unit.decompress(data, 1)) <= 2**25


def test_extended_headers_without_end_take_no_memory(tmp_path):
    file = io.BytesIO()
    for number in range(40):
        record = b"%d key%04d=" % (900_013, number) + b"x" * (900_013 - 16) + b"\n"
        info = tarfile.TarInfo("pax")
        info.type, info.size = tarfile.XHDTYPE, len(record)
        file.write(info.tobuf() + record + bytes(-len(record) % 512))
    path = tmp_path / "a.tar"
    path.write_bytes(file.getvalue() + tar_of(MEMBERS))
    del file
    tracemalloc.start()
    try:
        assert unpack(FileSource(path), tmp_path / "out", settings=UnpackSettings(num_workers=1)).is_ok
        assert tracemalloc.get_traced_memory()[1] < 28_000_000  # three reads ahead, and a header
    finally:
        tracemalloc.stop()


def test_a_large_extended_header_costs_no_more_than_its_length(tmp_path):
    records = b"6 a=b\n" * (2**20 // 6)
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, len(records)
    start = time.process_time()
    data = info.tobuf() + records + bytes(-len(records) % 512) + tar_of(MEMBERS)
    assert unpack_bytes(compressed(data, "gz"), tmp_path).is_ok
    assert time.process_time() - start < 5


def test_a_gap_before_a_block_is_not_read_at_once():
    first, second = (compress(tar_of(MEMBERS), "xz", "-0") for _ in range(2))
    empty = compress(b"", "xz") + bytes(2**20 - 4096)
    source = InMemory(first + empty * 5 + second)
    assert read_blocks(source) is None
    assert len(read_blocks(InMemory(first + empty + second))) == 2


def test_an_index_of_very_many_blocks_is_left_alone(monkeypatch):
    data = compress(tar_of(MEMBERS), "xz", "-0", "--block-size=1000")
    monkeypatch.setattr("mrikit.transfer.unpacking.xz_blocks._MAX_BLOCKS", 5)
    assert read_blocks(InMemory(data)) is None


@pytest.mark.parametrize(
    ("command", "memory_bytes"),
    [(("xz", "--lzma2=preset=0,dict=300MiB"), 2**29), (("zstd", "-q", "--long=28", "-1", "--no-progress"), 2**28)],
)
def test_a_dictionary_that_is_too_large_is_said_with_what_would_do(tmp_path, command, memory_bytes):
    # From a pipe zstd does not know that it will need less.
    data = compress(tar_of(MEMBERS), *command)
    with pytest.raises(
        DataError, match=r"^a.tar.xz: its (xz|zst) data need a dictionary of .* MiB or more; .*--memory"
    ):
        unpack_bytes(data, tmp_path, memory_bytes=2**20)
    assert unpack_bytes(data, tmp_path, memory_bytes=memory_bytes).is_ok


@pytest.mark.parametrize("at_once", [0, -3])
def test_fewer_archives_at_once_than_one_are_refused(tmp_path, at_once):
    with pytest.raises(ConfigError, match=rf"^at_once = {at_once}: at least 1 is needed$"):
        unpack_all([], tmp_path, settings=UnpackSettings(), at_once=at_once)


@pytest.mark.parametrize("at_once", [1, 2])
def test_no_more_archives_are_under_way_than_asked(tmp_path, at_once):
    under_way, most, lock = set(), [0], threading.Lock()

    def begin(event):
        with lock:
            under_way.add(event.archive)
            most[0] = max(most[0], len(under_way))
        time.sleep(0.02)

    def end(job, _outcome):
        with lock:
            under_way.discard(job.source.name)

    for name in "abcd":
        (tmp_path / f"{name}.tar").write_bytes(tar_of(random_members([1000] * 10, folder=name)))
    jobs = [UnpackJob(source=FileSource(tmp_path / f"{name}.tar")) for name in "abcd"]
    unpack_all(jobs, tmp_path / "out", settings=UnpackSettings(), at_once=at_once, on_event=begin, on_outcome=end)
    assert most[0] == at_once


def test_an_error_about_one_outcome_does_not_stop_the_others(tmp_path):
    def refuse(job, _outcome):
        if job.source.name == "a.tar":
            raise StorageError("a.tar: cannot be deleted: Read-only file system")

    for name in "abc":
        (tmp_path / f"{name}.tar").write_bytes(tar_of({f"{name}.h5": b"1"}))
    jobs = [UnpackJob(source=FileSource(tmp_path / f"{name}.tar")) for name in "abc"]
    first, *others = unpack_all(jobs, tmp_path / "out", settings=UnpackSettings(), at_once=1, on_outcome=refuse)
    assert str(first) == "a.tar: cannot be deleted: Read-only file system"
    assert all(other.is_ok for other in others)


def test_a_note_that_cannot_be_written_leaves_no_thread(tmp_path, monkeypatch):
    def full(*_words):
        raise StorageError("full")

    monkeypatch.setattr("mrikit.transfer.unpacking.record.UnpackRecord.add", full)
    before = threading.active_count()
    with pytest.raises(StorageError, match="full"):
        unpack_bytes(compressed(tar_of(random_members([3_000_000] * 8)), "gz"), tmp_path)
    assert threading.active_count() == before


def test_a_digest_that_a_few_volumes_cannot_use_is_not_read(tmp_path):
    data = compressed(tar_of(random_members([400_000] * 5)), "xz in blocks")
    unpack_bytes(data, tmp_path, num_volumes=3)
    source = InMemory(data)
    source.name = "a.tar.xz"
    source.version = str((tmp_path / "a.tar.xz").stat().st_mtime_ns)
    read = []
    source.read = lambda start, count: read.append(count) or data[start : start + count]
    unpack(source, tmp_path / "out", settings=UnpackSettings(num_workers=1, num_volumes=3), digest=sha256(data))
    assert sum(read) < len(data) / 4
