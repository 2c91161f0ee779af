"""RangeCache: what it keeps, what it forgets first, and what it survives."""

import errno
import fcntl
import multiprocessing
import os
import shutil
import subprocess
import threading
import time
import warnings
from pathlib import Path

import pytest
from storage.cache_child import data_of, hammer, loaded

from mrikit.errors import ConfigError, StorageError
from mrikit.storage import cache, write_bytes
from mrikit.storage.cache import RangeCache, parse_size, range_cache, read_into

HEAD_BYTES = 20


def entries(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "size"]


def taken(folder: Path) -> int:
    return sum(path.stat().st_size for path in entries(folder))


def test_what_was_saved_is_loaded_and_nothing_else(tmp_path):
    ranges = RangeCache(tmp_path / "ranges", 10**6)
    assert loaded(ranges, "a") is None
    ranges.save("a", data_of("a"))
    assert loaded(ranges, "a") == data_of("a")
    assert loaded(ranges, "b") is None
    assert loaded(RangeCache(tmp_path / "ranges", 10**6), "a") == data_of("a")


def test_an_entry_of_another_length_is_not_taken(tmp_path):
    ranges = RangeCache(tmp_path, 10**6)
    ranges.save("a", data_of("a"))
    assert loaded(ranges, "a", 999) is None


def test_an_empty_entry_is_one_too(tmp_path):
    ranges = RangeCache(tmp_path, 10**6)
    ranges.save("a", b"")
    assert loaded(ranges, "a", 0) == b""


@pytest.mark.parametrize("position", [0, 9, 17, HEAD_BYTES, HEAD_BYTES + 999])
def test_a_damaged_entry_is_never_served_and_is_removed(tmp_path, position):
    ranges = RangeCache(tmp_path, 10**6)
    ranges.save("a", data_of("a"))
    (path,) = entries(tmp_path)
    damaged = bytearray(path.read_bytes())
    damaged[position] ^= 1
    path.write_bytes(damaged)
    assert loaded(ranges, "a") is None
    assert entries(tmp_path) == []


def test_an_entry_that_a_crash_cut_short_is_never_served(tmp_path):
    ranges = RangeCache(tmp_path, 10**6)
    ranges.save("a", data_of("a"))
    (path,) = entries(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    assert loaded(ranges, "a") is None


def test_what_was_used_longest_ago_goes_first(tmp_path):
    ranges = RangeCache(tmp_path, 10 * (1000 + HEAD_BYTES))
    for number in range(10):
        ranges.save(f"k{number}", data_of(f"k{number}"))
    for number in (0, 2, 4):
        assert loaded(ranges, f"k{number}") is not None  # used now, though saved first
    ranges.save("new", data_of("new"))
    left = {key for key in [f"k{number}" for number in range(10)] + ["new"] if loaded(ranges, key) is not None}
    assert {"k0", "k2", "k4", "k9", "new"} <= left
    assert {"k1", "k3"}.isdisjoint(left)


def test_entries_never_take_more_than_the_bound(tmp_path):
    ranges = RangeCache(tmp_path, 20_000)
    for number in range(100):
        ranges.save(str(number), data_of(str(number), 100 + 37 * number % 1900))
        assert taken(tmp_path) <= 20_000
    assert taken(tmp_path) > 10_000


def test_what_is_larger_than_the_bound_is_not_kept(tmp_path):
    ranges = RangeCache(tmp_path, 5000)
    ranges.save("small", data_of("small"))
    ranges.save("large", data_of("large", 5000))
    assert loaded(ranges, "large", 5000) is None
    assert loaded(ranges, "small") is not None


def test_the_folder_is_listed_only_when_it_is_full(tmp_path, monkeypatch):
    ranges = RangeCache(tmp_path, 100_000)
    listed = []
    true_evict = RangeCache._evict
    monkeypatch.setattr(RangeCache, "_evict", lambda self, limit: listed.append(limit) or true_evict(self, limit))
    for number in range(300):
        ranges.save(str(number), data_of(str(number)))
    # Once to count what there is, then for every tenth of the bound.
    assert 15 <= len(listed) <= 30


def test_a_lost_count_is_made_anew(tmp_path):
    ranges = RangeCache(tmp_path, 20_000)
    for number in range(19):
        ranges.save(str(number), data_of(str(number)))
    (tmp_path / "size").write_text("junk")
    ranges.save("a", data_of("a"))
    assert taken(tmp_path) <= 20_000
    assert int((tmp_path / "size").read_text()) == taken(tmp_path)


def test_what_killed_processes_left_goes_with_the_next_eviction(tmp_path):
    ranges = RangeCache(tmp_path, 10_000)
    ranges.save("a", data_of("a"))
    (entry,) = entries(tmp_path)
    old, fresh = entry.with_name(".old.1.1"), entry.with_name(".fresh.1.1")
    for path in (old, fresh):
        path.write_bytes(bytes(100))
    os.utime(old, (time.time() - 7200,) * 2)
    (tmp_path / "size").unlink()
    ranges.save("b", data_of("b"))
    assert not old.exists()
    assert fresh.exists()


def test_an_entry_that_vanishes_while_it_is_read_is_read_to_its_end(tmp_path, monkeypatch):
    ranges = RangeCache(tmp_path, 10**6)
    ranges.save("a", data_of("a"))
    (path,) = entries(tmp_path)
    true_open = os.open

    def open_and_remove(*arguments):
        descriptor = true_open(*arguments)
        path.unlink()
        return descriptor

    monkeypatch.setattr(os, "open", open_and_remove)
    assert loaded(ranges, "a") == data_of("a")
    monkeypatch.undo()
    assert loaded(ranges, "a") is None


def test_a_full_disk_is_warned_of_once_and_what_is_there_is_still_used(full_disk):
    ranges = RangeCache(full_disk / "ranges", 10**9)
    ranges.save("a", data_of("a"))
    with pytest.warns(UserWarning, match="is not kept here: No space left on device; free some space, or set"):
        ranges.save("large", bytes(1_100_000))
    ranges.save("larger", bytes(1_200_000))  # a second warning would be an error
    assert loaded(ranges, "a") == data_of("a")
    assert not [path for path in entries(full_disk) if path.name.startswith(".")]


def test_a_disk_that_was_full_is_tried_again_after_a_minute(full_disk, monkeypatch):
    ranges = RangeCache(full_disk / "ranges", 10**9)
    filler = full_disk / "filler"
    filler.write_bytes(bytes(1_000_000))
    with pytest.warns(UserWarning, match="No space left"):
        ranges.save("a", data_of("a", 200_000))
    filler.unlink()
    ranges.save("a", data_of("a", 200_000))
    assert loaded(ranges, "a", 200_000) is None
    later = time.monotonic() + 61
    monkeypatch.setattr(cache.time, "monotonic", lambda: later)
    ranges.save("a", data_of("a", 200_000))
    assert loaded(ranges, "a", 200_000) is not None


def test_a_folder_that_cannot_be_written_is_warned_of_and_no_error(full_disk):
    subprocess.run(["mount", "-o", "remount,ro", full_disk], check=True)
    with pytest.warns(UserWarning, match="is not kept here: Read-only file system"):
        RangeCache(full_disk / "ranges", 10**9).save("a", b"a")


def test_a_file_system_without_locks_keeps_entries_too(tmp_path, monkeypatch):
    def refuse(*_arguments):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    ranges = RangeCache(tmp_path, 10**6)
    ranges.save("a", data_of("a"))
    assert loaded(ranges, "a") == data_of("a")


def test_processes_and_threads_share_one_cache_without_damage(tmp_path):
    context = multiprocessing.get_context("spawn")
    failures = context.Queue()
    workers = [context.Process(target=hammer, args=(tmp_path, seed, failures)) for seed in range(3)]
    threads = [threading.Thread(target=hammer, args=(tmp_path, seed, failures)) for seed in range(3, 6)]
    for worker in (*workers, *threads):
        worker.start()
    for worker in (*workers, *threads):
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert failures.empty()
    assert taken(tmp_path) <= 50_000
    assert not [path for path in entries(tmp_path) if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("50GB", 50 * 10**9), ("50 gb", 50 * 10**9), ("1.5T", 15 * 10**11), ("200MB", 2 * 10**8), ("7", 7)],
)
def test_sizes_are_understood(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["many", "-1GB", "5 GiB", "GB", ""])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ConfigError, match=r"^MRIKIT_CACHE_SIZE: '.*' is no size; write a number and a unit such as 50"):
        parse_size(text)


def test_the_size_is_that_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("MRIKIT_CACHE", str(tmp_path))
    monkeypatch.setenv("MRIKIT_CACHE_SIZE", "3MB")
    assert range_cache().max_bytes == 3_000_000
    assert range_cache().folder == tmp_path / "ranges"
    monkeypatch.setenv("MRIKIT_CACHE_SIZE", "0")
    assert range_cache() is None


def test_half_of_the_free_space_is_used_without_being_told(full_disk, monkeypatch):
    monkeypatch.setenv("MRIKIT_CACHE", str(full_disk / "deep" / "cache"))
    monkeypatch.delenv("MRIKIT_CACHE_SIZE", raising=False)
    assert range_cache().max_bytes == 2**19


class TestOfBlobs:
    """Through the cache to a real Azurite."""

    pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

    @pytest.fixture
    def requests(self, monkeypatch) -> list[tuple[int, int]]:
        """Start and count of every range that is requested."""
        seen, true_read = [], cache.read_range_into

        def read_and_note(path, start, buffer, *, if_version):
            seen.append((start, len(buffer)))
            return true_read(path, start, buffer, if_version=if_version)

        monkeypatch.setattr(cache, "read_range_into", read_and_note)
        return seen

    def test_a_range_is_requested_once(self, blob_container, requests):
        version = write_bytes(blob_container / "a", data_of("a")).version
        for _ in range(3):
            buffer = bytearray(100)
            assert read_into(blob_container / "a", 300, memoryview(buffer), version)
            assert buffer == data_of("a")[300:400]
        assert requests == [(300, 100)]

    def test_without_a_cache_every_read_is_a_request(self, blob_container, requests, monkeypatch):
        monkeypatch.setenv("MRIKIT_CACHE_SIZE", "0")
        version = write_bytes(blob_container / "a", data_of("a")).version
        for _ in range(2):
            read_into(blob_container / "a", 0, memoryview(bytearray(10)), version)
        assert len(requests) == 2
        assert not Path(os.environ["MRIKIT_CACHE"], "ranges").exists()

    def test_a_new_version_of_a_blob_is_not_served_from_the_old_one(self, blob_container):
        path, buffer = blob_container / "a", bytearray(1000)
        old = write_bytes(path, data_of("old")).version
        read_into(path, 0, memoryview(buffer), old)
        new = write_bytes(path, data_of("new")).version
        assert read_into(path, 0, memoryview(buffer), new)
        assert buffer == data_of("new")

    def test_a_range_of_a_version_that_is_gone_is_refused(self, blob_container):
        path = blob_container / "a"
        old = write_bytes(path, data_of("old")).version
        write_bytes(path, data_of("new"))
        with pytest.raises(StorageError, match="it was changed by someone else meanwhile"):
            read_into(path, 0, memoryview(bytearray(10)), old)

    def test_a_range_beyond_the_end_is_not_kept(self, blob_container):
        version = write_bytes(blob_container / "a", bytes(10)).version
        assert not read_into(blob_container / "a", 5, memoryview(bytearray(10)), version)
        assert not entries(Path(os.environ["MRIKIT_CACHE"]))

    def test_a_full_disk_does_not_stop_reading(self, blob_container, full_disk, monkeypatch):
        monkeypatch.setenv("MRIKIT_CACHE", str(full_disk))
        monkeypatch.setenv("MRIKIT_CACHE_SIZE", "1GB")
        data = data_of("large", 2**21)
        version, buffer = write_bytes(blob_container / "a", data).version, bytearray(2**21)
        with pytest.warns(UserWarning, match="No space left on device"):
            assert read_into(blob_container / "a", 0, memoryview(buffer), version)
        assert buffer == data
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert read_into(blob_container / "a", 1, memoryview(bytearray(2**21 - 1)), version)


def test_a_cache_that_is_deleted_while_it_is_used_is_made_again(tmp_path, monkeypatch):
    ranges = RangeCache(tmp_path / "ranges", 10**6)
    true_replace = Path.replace
    monkeypatch.setattr(
        Path, "replace", lambda self, target: (shutil.rmtree(ranges.folder), true_replace(self, target))
    )
    ranges.save("a", data_of("a"))
    monkeypatch.undo()
    ranges.save("a", data_of("a"))
    assert loaded(ranges, "a") == data_of("a")


def test_what_is_being_written_is_never_evicted(tmp_path):
    ranges = RangeCache(tmp_path, 10_000)
    ranges.save("a", data_of("a"))
    (entry,) = entries(tmp_path)
    writing = entry.with_name(".b.1.1")
    writing.write_bytes(bytes(1000))
    os.utime(writing, (time.time() - 60,) * 2)
    for number in range(30):
        ranges.save(str(number), data_of(str(number)))
    assert writing.exists()
    assert taken(tmp_path) <= 11_000
