"""Where blocks go: what is there after a kill, who may write, when an archive gets its name."""

import errno
import fcntl
import json
import os
import shutil
from pathlib import Path

import pytest
from transfer.copying import NAME

from mrikit.errors import StorageError
from mrikit.transfer.copying.blocks import BlockPlan, plan_blocks
from mrikit.transfer.copying.copied import copied_before
from mrikit.transfer.copying.folder_target import FolderTarget

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


def test_partial_work_for_another_version_gives_its_space_back(tmp_path):
    old = FolderTarget(tmp_path, plan(size_bytes=10**6, block_bytes=10**6))
    old.open()
    old.put(0, memoryview(bytes([1]) * 10**6))
    old.close()
    assert old.space_bytes() == 0
    new = FolderTarget(tmp_path, plan(size_bytes=10**6, block_bytes=10**6, version='"v2"'))
    assert new.space_bytes() == 0  # what the old one holds is used again
    new.open()
    new.close()
    assert new.space_bytes() == 10**6
    assert (tmp_path / f".{NAME}.partial").read_bytes() == bytes(10**6)


@pytest.mark.parametrize("is_made_anew", [False, True], ids=["gone", "made-anew"])
def test_a_journal_without_its_file_counts_for_nothing(tmp_path, is_made_anew):
    target = FolderTarget(tmp_path, plan())
    target.open()
    target.put(0, block(0))
    target.close()
    (tmp_path / f".{NAME}.partial").unlink()
    if is_made_anew:
        (tmp_path / f".{NAME}.partial").touch()
    again = FolderTarget(tmp_path, plan())
    assert again.present() == again.open() == frozenset()
    again.close()


def filled(folder) -> FolderTarget:
    """All blocks are there."""
    target = FolderTarget(folder, plan())
    target.open()
    for number in range(4):
        target.put(number, block(number))
    return target


@pytest.mark.parametrize("has_links", [True, False], ids=["links", "no-links"])
def test_a_file_that_appears_meanwhile_stays(tmp_path, monkeypatch, has_links):
    if not has_links:
        monkeypatch.setattr(os, "link", no_links)
    target = filled(tmp_path)
    (tmp_path / NAME).write_bytes(b"mine")
    with pytest.raises(StorageError, match=r"has appeared|is there already"):
        target.commit(None)
    target.close()
    assert (tmp_path / NAME).read_bytes() == b"mine"
    assert (tmp_path / f".{NAME}.partial").read_bytes() == DATA


def test_a_file_system_without_links_gets_the_archive(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", no_links)
    filled(tmp_path).commit("ab")
    assert (tmp_path / NAME).read_bytes() == DATA
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mrikit", NAME]


def no_links(*_names):
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_a_folder_that_cannot_lock_is_named_and_nothing_stays_open(tmp_path, monkeypatch):
    def flock(*_args):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    num_open = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(StorageError, match="files cannot be locked there: No locks available; choose another folder"):
        FolderTarget(tmp_path, plan()).open()
    assert len(list(Path("/proc/self/fd").iterdir())) == num_open


def test_a_copy_that_was_stopped_is_no_damage(tmp_path):
    target = filled(tmp_path)
    target.close()
    with pytest.raises(StorageError, match="closed; the same command goes on from here"):
        target.read_back(0, lambda _piece: None)


def test_a_disk_that_cannot_be_read_is_no_damage(tmp_path, monkeypatch):
    def preadv(*_args):
        raise OSError(errno.EIO, "Input/output error")

    target = filled(tmp_path)
    monkeypatch.setattr(os, "preadv", preadv)
    with pytest.raises(StorageError, match="cannot be read: Input/output error; is the disk all right"):
        target.read_back(0, lambda _piece: None)
    target.close()


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
