"""Copying archives: what arrives, what is skipped, how the bounds hold."""

import hashlib
import shutil
import threading
import time

import pytest
from transfer.archive_server import CANARY
from transfer.copying import BLOCK, NAME, archive, digest_of, settings, write_archive

from mrikit.errors import ConfigError, StorageError
from mrikit.transfer.copying.blocks import plan_blocks
from mrikit.transfer.copying.digest import InOrderDigest
from mrikit.transfer.copying.folder_target import FolderTarget
from mrikit.transfer.copying.limits import Buffers, RateLimit
from mrikit.transfer.copying.stream import copy_archives, plan_copy
from mrikit.transfer.results import CopyEvent

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])


def test_an_archive_arrives_whole_and_checked(server, data, tmp_path):
    [result] = copy_archives([archive(server)], tmp_path / "to", digests=digest_of(data), settings=settings())
    assert (result.state, result.checksum, result.moved_bytes) == ("copied", "ok", len(data))
    assert result.sha256 == hashlib.sha256(data).hexdigest()
    assert (tmp_path / "to" / NAME).read_bytes() == data


@pytest.mark.parametrize("size", [0, 1, BLOCK, BLOCK + 1])
def test_archives_of_any_size_arrive(server, tmp_path, size):
    data = write_archive(tmp_path / "source", size_bytes=size)
    [result] = copy_archives([archive(server)], tmp_path / "to", digests=digest_of(data), settings=settings())
    assert (result.state, result.checksum) == ("copied", "ok")
    assert (tmp_path / "to" / NAME).read_bytes() == data


def test_every_byte_is_asked_for_once(server, data, tmp_path):
    copy_archives([archive(server)], tmp_path / "to", settings=settings())
    assert server.bytes_sent == len(data) + 1


def test_several_archives_arrive_in_their_order(server, tmp_path):
    names = [f"part_{number}.tar" for number in range(5)]
    contents = [write_archive(tmp_path / "source", name, 3 * BLOCK + number) for number, name in enumerate(names)]
    results = copy_archives([archive(server, name) for name in names], tmp_path / "to", settings=settings())
    assert [result.name for result in results] == names
    assert [(tmp_path / "to" / name).read_bytes() for name in names] == contents


def test_an_archive_that_is_there_costs_nothing(server, data, tmp_path):
    copy_archives([archive(server)], tmp_path / "to", digests=digest_of(data), settings=settings())
    sent = server.bytes_sent
    [result] = copy_archives([archive(server)], tmp_path / "to", digests=digest_of(data), settings=settings())
    assert (result.state, result.checksum, result.moved_bytes) == ("present", "ok", 0)
    assert server.bytes_sent == sent


def test_an_archive_that_is_there_needs_no_valid_link(server, data, tmp_path):
    copy_archives([archive(server)], tmp_path / "to", settings=settings())
    expired = archive(server, expires_at=1_700_000_000)
    assert copy_archives([expired], tmp_path / "to", settings=settings())[0].state == "present"


def test_an_archive_that_another_tool_brought_counts_by_its_size(server, data, tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / NAME).write_bytes(bytes(len(data)))
    [result] = copy_archives([archive(server)], tmp_path / "to", settings=settings())
    assert (result.state, result.checksum, result.sha256) == ("present", "unpublished", None)


def test_a_digest_that_nobody_published_is_told(server, tmp_path):
    [result] = copy_archives([archive(server)], tmp_path / "to", settings=settings())
    assert result.checksum == "unpublished"


def test_a_mismatch_keeps_the_archive_and_is_remembered(server, data, tmp_path):
    for state in ("copied", "present"):
        [result] = copy_archives([archive(server)], tmp_path / "to", digests={NAME: "0" * 64}, settings=settings())
        assert (result.state, result.checksum, result.is_ok) == (state, "mismatch", False)
        assert "000000000000... is published; the archive is kept" in result.message
    assert (tmp_path / "to" / NAME).read_bytes() == data


def test_corrupted_bytes_are_a_mismatch(server, data, tmp_path):
    server.faults.corrupt_every = 7
    [result] = copy_archives([archive(server)], tmp_path / "to", digests=digest_of(data), settings=settings())
    assert (result.state, result.checksum) == ("copied", "mismatch")


def test_a_resumed_folder_is_checked_from_its_beginning(server, data, tmp_path):
    target = FolderTarget(tmp_path, plan_blocks(NAME, len(data), '"etag-1"', BLOCK))
    target.open()
    for number in (0, 1, 5):
        target.put(number, memoryview(data)[number * BLOCK : (number + 1) * BLOCK])
    target.close()
    [result] = copy_archives([archive(server)], tmp_path, digests=digest_of(data), settings=settings())
    assert (result.state, result.checksum, result.moved_bytes) == ("copied", "ok", len(data) - 3 * BLOCK)


def test_a_block_that_a_power_cut_damaged_comes_again(server, data, tmp_path):
    test_a_resumed_folder_is_checked_from_its_beginning(server, data, tmp_path / "first")
    to = tmp_path / "to"
    target = FolderTarget(to, plan_blocks(NAME, len(data), '"etag-1"', BLOCK))
    target.open()
    for number in range(20):
        target.put(number, memoryview(data)[number * BLOCK : (number + 1) * BLOCK])
    target.close()
    with (to / f".{NAME}.partial").open("rb+") as partial:
        partial.seek(3 * BLOCK)
        partial.write(bytes(BLOCK))
    events: list[CopyEvent] = []
    [result] = copy_archives(
        [archive(server)], to, digests=digest_of(data), settings=settings(), on_event=events.append
    )
    assert (result.checksum, result.moved_bytes) == ("ok", BLOCK + 77)
    assert any("block 3 is damaged on disk" in event.message for event in events)
    moved = sum(event.num_bytes for event in events if event.kind in ("begin", "moved"))
    assert moved == len(data)


def test_the_plan_says_what_is_there_and_changes_nothing(server, data, tmp_path):
    [plan] = plan_copy([archive(server)], tmp_path / "to", settings=settings())
    assert (plan.size_bytes, plan.present_bytes, plan.missing_bytes, plan.is_complete) == (
        len(data),
        0,
        len(data),
        False,
    )
    assert not (tmp_path / "to").exists()


def test_the_plan_tells_what_is_tried_again(server, tmp_path):
    server.faults.refusal = (503, "SlowDown", "", {})
    said: list[str] = []
    [plan] = plan_copy([archive(server)], tmp_path / "to", settings=settings(), on_retry=said.append)
    assert "the server is busy (503), 20 times in a row" in str(plan.error)
    assert len(said) == 19


def test_what_cannot_be_held_is_refused_before_anything_comes(server, tmp_path, full_disk):
    with pytest.raises(StorageError, match="are to come but only"):
        copy_archives([archive(server)], full_disk, settings=settings())
    assert list(full_disk.iterdir()) == []


def test_what_an_earlier_copy_holds_is_not_missing_space(server, tmp_path, full_disk):
    data = write_archive(tmp_path / "source", size_bytes=10 * BLOCK)
    server.faults.expire_after = {CANARY: 8}
    copy_archives([archive(server)], full_disk, settings=settings(num_connections=1))
    (full_disk / "taken").write_bytes(bytes(shutil.disk_usage(full_disk).free - 6 * BLOCK))
    server.faults.expire_after, server.faults.etag = {}, '"etag-2"'
    [result] = copy_archives([archive(server)], full_disk, settings=settings())
    assert (result.state, result.moved_bytes) == ("copied", len(data))


def test_files_of_earlier_copies_are_named_where_space_lacks(server, full_disk):
    (full_disk / ".other.tar.partial").write_bytes(bytes(BLOCK))
    with pytest.raises(
        StorageError, match=r"1\.3 MB are to come but only .* kB .*earlier copies left \.other\.tar\.partial"
    ):
        copy_archives([archive(server)], full_disk, settings=settings())


def test_what_a_kill_left_beside_a_whole_archive_is_removed(server, tmp_path):
    copy_archives([archive(server)], tmp_path / "to", settings=settings())
    for kind in ("partial", "journal"):
        (tmp_path / "to" / f".{NAME}.{kind}").write_text("left over")
    copy_archives([archive(server)], tmp_path / "to", settings=settings())
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == [".mrikit", NAME]


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_is_no_place_for_archives(server, tmp_path, place):
    (tmp_path / "file").write_text("a report")
    with pytest.raises(ConfigError, match=r"/file: a file, but archives go into a folder; choose another one$"):
        copy_archives([archive(server)], tmp_path / place, settings=settings())
    assert (tmp_path / "file").read_text() == "a report"


def test_two_archives_of_one_name_are_refused(server, tmp_path):
    twice = [archive(server), archive(server)]
    for call in (plan_copy, copy_archives):
        with pytest.raises(ConfigError, match=f"{NAME}: two archives would become one file"):
            call(twice, tmp_path, settings=settings())


def test_one_archive_that_fails_does_not_stop_the_others(server, data, tmp_path):
    missing = archive(server, "missing.tar")
    results = copy_archives([missing, archive(server)], tmp_path / "to", settings=settings())
    assert [result.state for result in results] == ["failed", "copied"]
    assert "missing.tar: does not exist at the source" in results[0].message


def test_events_tell_all_bytes_and_each_end(server, data, tmp_path):
    events: list[CopyEvent] = []
    copy_archives([archive(server)], tmp_path / "to", settings=settings(), on_event=events.append)
    assert [event.kind for event in events if event.kind != "moved"] == ["begin", "end"]
    assert sum(event.num_bytes for event in events) == len(data)


def test_a_rate_is_held_over_all_connections(server, data, tmp_path):
    began = time.monotonic()
    copy_archives([archive(server)], tmp_path / "to", settings=settings(max_rate=len(data) / 0.5))
    assert time.monotonic() - began > 0.4


def test_time_in_which_nothing_came_is_not_made_up_for():
    now = [0.0]
    waits: list[float] = []
    limit = RateLimit(100.0, waits.append, clock=lambda: now[0])
    limit.pace(50)
    now[0] = 10.0
    limit.pace(50)
    limit.pace(50)
    assert waits == [0.5, 0.5, 1.0]


def test_there_are_never_more_buffers_than_said():
    buffers = Buffers(2, 10)
    held = [buffers.take(), buffers.take()]
    waiting = threading.Thread(target=lambda: held.append(buffers.take()))
    waiting.start()
    waiting.join(0.05)
    assert len(held) == 2
    buffers.give(held.pop(0))
    waiting.join()
    assert len(held) == 2
    buffers.close()
    assert buffers.take() is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_connections": 0}, "num_connections is 0; at least 1"),
        ({"archives_at_once": 0}, "archives_at_once is 0; at least 1"),
        ({"memory_bytes": BLOCK - 1}, "one block of 65536 has to fit"),
        ({"max_rate": 0.0}, "more than 0 is needed"),
    ],
    ids=["connections", "archives", "memory", "rate"],
)
def test_bounds_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        settings(**changes)


@pytest.mark.parametrize("memory", [1, 3], ids=["one-buffer", "three-buffers"])
def test_little_memory_is_slow_but_enough(server, data, tmp_path, memory):
    names = ["a.tar", "b.tar", "c.tar"]
    for name in names:
        write_archive(tmp_path / "source", name, 5 * BLOCK)
    results = copy_archives(
        [archive(server, name) for name in names], tmp_path / "to", settings=settings(memory_bytes=memory * BLOCK)
    )
    assert [result.state for result in results] == ["copied"] * 3


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]], ids=["up", "down", "mixed"])
def test_blocks_in_any_order_have_one_digest(order):
    blocks = [bytes([number]) * 10 for number in range(4)]
    released: list[int] = []
    digest = InOrderDigest(4, frozenset(), None, released.append)
    for number in order:
        digest.add(number, memoryview(blocks[number]), lambda number=number: released.append(number))
    assert digest.hexdigest == hashlib.sha256(b"".join(blocks)).hexdigest()
    assert sorted(released) == [0, 1, 2, 3]


def test_a_digest_that_is_dropped_lets_go_of_everything():
    released: list[int] = []
    digest = InOrderDigest(3, frozenset(), None, released.append)
    digest.add(2, memoryview(b"c"), lambda: released.append(2))
    assert released == []
    digest.drop()
    digest.add(0, memoryview(b"a"), lambda: released.append(0))
    assert (released, digest.hexdigest) == ([2, 0], None)
