"""Where blocks go: what is there after a kill, who may write, when an archive gets its name."""

import json
import os
import shutil

import pytest
from transfer.copying import NAME

from mrikit.errors import StorageError
from mrikit.storage import file_state, write_bytes
from mrikit.storage.blob import blob_client, container_client
from mrikit.transfer.copying.blob_target import BlobTarget
from mrikit.transfer.copying.blocks import BlockPlan, plan_blocks
from mrikit.transfer.copying.copied import copied_before
from mrikit.transfer.copying.targets import FolderTarget, open_target

BLOCK = 1000
DATA = os.urandom(3 * BLOCK + 500)


def plan(**changes) -> BlockPlan:
    facts = {"name": NAME, "size_bytes": len(DATA), "version": '"v1"', "block_bytes": BLOCK}
    return BlockPlan(**(facts | changes))


def block(number: int) -> memoryview:
    start, count = plan().span(number)
    return memoryview(DATA)[start : start + count]


def test_blocks_cover_the_archive():
    assert [plan().span(number) for number in range(plan().num_blocks)] == [
        (0, 1000), (1000, 1000), (2000, 1000), (3000, 500),
    ]  # fmt: skip


def test_an_archive_of_too_many_blocks_gets_larger_ones():
    assert plan_blocks(NAME, 50_000 * BLOCK, "", BLOCK).block_bytes == BLOCK
    larger = plan_blocks(NAME, 50_000 * BLOCK + 1, "", BLOCK)
    assert (larger.block_bytes, larger.num_blocks) == (2 * BLOCK, 25_001)


@pytest.mark.parametrize("field", ["name", "size_bytes", "version", "block_bytes"])
def test_blocks_of_another_plan_have_other_names(field):
    other = {"name": "b.tar", "size_bytes": 7, "version": '"v2"', "block_bytes": 7}[field]
    assert plan().key != plan(**{field: other}).key


def test_a_folder_gets_the_archive_in_any_order_of_blocks(tmp_path):
    target = FolderTarget(tmp_path / "to", plan())
    assert target.open() == frozenset()
    for number in (3, 0, 2, 1):
        target.put(number, block(number))
    assert not (tmp_path / "to" / NAME).exists()
    target.commit("ab")
    assert (tmp_path / "to" / NAME).read_bytes() == DATA
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == [".mrikit", NAME]


def test_what_was_put_is_there_at_the_next_start(tmp_path):
    target = FolderTarget(tmp_path, plan())
    target.open()
    target.put(2, block(2))
    target.close()
    again = FolderTarget(tmp_path, plan())
    assert again.present() == again.open() == frozenset({2})
    found = []
    assert again.read_back(2, lambda piece: found.append(bytes(piece))) is True
    assert b"".join(found) == block(2)
    again.close()


def test_a_torn_line_of_the_journal_costs_its_block_only(tmp_path):
    target = FolderTarget(tmp_path, plan())
    target.open()
    target.put(0, block(0))
    target.put(1, block(1))
    target.close()
    journal = tmp_path / f".{NAME}.journal"
    journal.write_bytes(journal.read_bytes()[:-9])
    again = FolderTarget(tmp_path, plan())
    assert again.open() == {0}
    again.put(3, block(3))
    again.close()
    assert FolderTarget(tmp_path, plan()).present() == {0, 3}


@pytest.mark.parametrize("line", [b"[]", b'{"block": 99, "crc32": 1}', b'{"block": "1", "crc32": 1}', b"\xff\x00"])
def test_strange_lines_in_the_journal_are_passed_over(tmp_path, line):
    target = FolderTarget(tmp_path, plan())
    target.open()
    target.put(0, block(0))
    target.close()
    with (tmp_path / f".{NAME}.journal").open("ab") as journal:
        journal.write(line + b"\n")
    assert FolderTarget(tmp_path, plan()).present() == {0}


def test_blocks_that_a_power_cut_damaged_are_known(tmp_path):
    target = FolderTarget(tmp_path, plan())
    target.open()
    target.put(1, block(1))
    target.close()
    with (tmp_path / f".{NAME}.partial").open("rb+") as partial:
        partial.seek(BLOCK + 10)
        partial.write(bytes(100))
    again = FolderTarget(tmp_path, plan())
    again.open()
    assert again.read_back(1, lambda _piece: None) is False
    again.close()


def test_partial_work_for_another_version_counts_for_nothing(tmp_path):
    target = FolderTarget(tmp_path, plan())
    target.open()
    target.put(1, block(1))
    target.close()
    assert FolderTarget(tmp_path, plan(version='"v2"')).open() == frozenset()


def test_a_second_process_is_told_who_is_at_work(tmp_path):
    first = FolderTarget(tmp_path, plan())
    first.open()
    with pytest.raises(StorageError, match=rf"process {os.getpid()} on .* is copying it; wait until it ends") as caught:
        FolderTarget(tmp_path, plan()).open()
    assert "\n" not in str(caught.value)
    first.close()


def test_a_kill_between_the_name_and_the_clean_up_leaves_a_whole_archive(tmp_path):
    (tmp_path / NAME).write_bytes(DATA)
    (tmp_path / f".{NAME}.journal").write_text("left over")
    assert FolderTarget(tmp_path, plan()).open() is None
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_another_file_of_that_name_stays(tmp_path):
    (tmp_path / NAME).write_bytes(b"mine")
    with pytest.raises(StorageError, match=r"is there already with 4 bytes, but the archive has 3500; move it away"):
        FolderTarget(tmp_path, plan()).open()
    assert (tmp_path / NAME).read_bytes() == b"mine"


def test_an_incomplete_archive_gets_no_name(tmp_path):
    target = FolderTarget(tmp_path, plan())
    target.open()
    target.put(0, block(0))
    with pytest.raises(StorageError, match="instead of"):
        target.commit(None)
    target.close()


def test_nothing_is_written_after_closing(tmp_path):
    target = FolderTarget(tmp_path, plan())
    target.open()
    target.close()
    with pytest.raises(StorageError, match="closed"):
        target.put(0, block(0))


def test_a_disk_without_room_is_refused_before_anything_comes(full_disk):
    with pytest.raises(StorageError, match=r"0\.01 GB are to come but only 0\.00 GB of disk are free"):
        FolderTarget(full_disk, plan(size_bytes=8_000_000)).open()


def test_a_disk_that_fills_up_says_what_is_kept(full_disk):
    big = plan(size_bytes=800_000, block_bytes=200_000)
    target = FolderTarget(full_disk, big)
    target.open()
    target.put(0, memoryview(bytes(200_000)))
    (full_disk / "other").write_bytes(bytes(shutil.disk_usage(full_disk).free - 8192))
    with pytest.raises(
        StorageError, match="the disk is full; 1 of 4 blocks are kept; free some space and give the same"
    ):
        target.put(1, memoryview(bytes(200_000)))
    target.close()
    assert FolderTarget(full_disk, big).present() == {0}


def test_a_folder_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "to").write_text("a file")
    with pytest.raises(StorageError, match="cannot be written"):
        FolderTarget(tmp_path / "to", plan()).open()


def test_what_was_copied_is_known_without_asking(tmp_path):
    target = FolderTarget(tmp_path, plan())
    target.open()
    for number in range(4):
        target.put(number, block(number))
    target.commit("abcdef")
    copied = copied_before(tmp_path, NAME)
    assert copied is not None
    assert (copied.size_bytes, copied.sha256) == (len(DATA), "abcdef")


def test_what_was_changed_since_is_not_known(tmp_path):
    test_what_was_copied_is_known_without_asking(tmp_path)
    (tmp_path / NAME).write_bytes(DATA[::-1])
    assert copied_before(tmp_path, NAME) is None


def test_the_journal_holds_no_more_than_the_plan_and_the_blocks(tmp_path):
    target = FolderTarget(tmp_path, plan())
    target.open()
    target.put(0, block(0))
    target.close()
    lines = [json.loads(line) for line in (tmp_path / f".{NAME}.journal").read_text().split("\n") if line]
    assert [sorted(line) for line in lines] == [
        ["block_bytes", "mrikit", "name", "size_bytes", "version"],
        ["host", "process"],
        ["block", "crc32"],
    ]


@pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
class TestBlob:
    def test_a_blob_gets_the_archive_in_any_order_of_blocks(self, blob_container):
        target = open_target(blob_container / "sub", plan())
        assert target.open() == frozenset()
        for number in (3, 0, 2, 1):
            target.put(number, block(number))
        target.commit("abcdef")
        path = blob_container / "sub" / NAME
        assert blob_client(path).download_blob().readall() == DATA
        state = file_state(path)
        assert state is not None
        assert state.metadata == {"mrikit_size": "3500", "sha256": "abcdef"}

    def test_staged_blocks_are_there_at_the_next_start(self, blob_container):
        BlobTarget(blob_container / NAME, plan()).put(2, block(2))
        assert BlobTarget(blob_container / NAME, plan()).open() == {2}

    def test_staged_blocks_of_another_size_or_version_are_not(self, blob_container):
        target = BlobTarget(blob_container / NAME, plan())
        target.put(2, block(2)[:10])
        BlobTarget(blob_container / NAME, plan(version='"v2"')).put(1, block(1))
        assert target.open() == frozenset()

    def test_a_blob_of_the_right_size_is_complete(self, blob_container):
        write_bytes(blob_container / NAME, DATA)
        assert BlobTarget(blob_container / NAME, plan()).open() is None

    def test_a_blob_of_another_size_stays(self, blob_container):
        write_bytes(blob_container / NAME, b"mine")
        with pytest.raises(StorageError, match="is there already with 4 bytes, but the archive has 3500; delete it"):
            BlobTarget(blob_container / NAME, plan()).open()

    def test_two_that_commit_the_same_blocks_do_no_harm(self, blob_container):
        targets = [BlobTarget(blob_container / NAME, plan()) for _ in range(2)]
        for target in targets:
            for number in range(4):
                target.put(number, block(number))
        for target in targets:
            target.commit("abcdef")
        assert blob_client(blob_container / NAME).download_blob().readall() == DATA

    def test_a_container_that_is_deleted_halfway_is_one_clear_line(self, blob_container):
        target = BlobTarget(blob_container / NAME, plan())
        target.put(0, block(0))
        container_client(blob_container.container).delete_container()
        with pytest.raises(StorageError, match="there is no container") as caught:
            target.put(1, block(1))
        assert "\n" not in str(caught.value)

    def test_what_was_copied_is_known_without_asking(self, blob_container):
        write_bytes(blob_container / "by-others.tar", DATA)
        target = BlobTarget(blob_container / NAME, plan())
        for number in range(4):
            target.put(number, block(number))
        target.commit(None)
        copied = copied_before(blob_container, NAME)
        assert copied is not None
        assert (copied.size_bytes, copied.sha256) == (len(DATA), None)
        assert copied_before(blob_container, "by-others.tar") is None
