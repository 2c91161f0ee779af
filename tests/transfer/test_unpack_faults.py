"""Damaged, truncated and hostile archives, full disks and vanishing sources: a state or a line, never a wrong file."""

import io
import multiprocessing
import os
import tarfile

import pytest
from transfer.archives import KINDS, compress, compressed, files_in, random_members, sha256, tar_of, unpack_bytes
from waiting import HANG_S

from mrikit.errors import DataError, StorageError, TransferError
from mrikit.transfer.source import FileSource
from mrikit.transfer.unpacking.manifest import read_manifest
from mrikit.transfer.unpacking.record import UnpackRecord
from mrikit.transfer.unpacking.unpack import UnpackSettings, unpack

MEMBERS = random_members([300, 3000, 9000, 1000])
LARGE = random_members([300, 1_500_000, 1_500_000, 1000])
"""More than a decoder gives at once."""
ADDED = random_members([300, 3000, 9000, 1000], seed=7)


def assert_no_wrong_file(folder, members):
    for name, data in files_in(folder).items():
        assert members[name] == data


@pytest.mark.parametrize("kind", KINDS)
def test_cut_anywhere_it_is_truncated_and_every_file_is_right(tmp_path, kind):
    data = compressed(tar_of(MEMBERS), kind)
    padding = 10240 - 1024 if kind == "plain" else 0  # of which a plain tar does not need all
    for number, size in enumerate(range(40, len(data) - len(data) % 13 - 13, len(data) // 40)):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            result = unpack_bytes(data[:size], folder, digest=sha256(data[:size]))
        except DataError:
            assert kind == "plain"
            assert size < 512
            continue
        archive = result.manifest.archive
        if padding and archive.state == "whole":
            assert files_in(folder / "out") == MEMBERS
            continue
        # Two units that are cut in the second are two of a kind; between them the tar is what ends too early.
        assert archive.state == "truncated", (size, archive.where)
        assert (archive.checksum, result.is_ok) == ("ok", False)
        assert_no_wrong_file(folder / "out", MEMBERS)


@pytest.mark.parametrize("memory_bytes", [1, 10**8])
@pytest.mark.parametrize("kind", ["xz in one block", "xz in blocks", "gz", "zst", "bz2"])
def test_whatever_byte_is_flipped_no_wrong_file_stays(tmp_path, kind, memory_bytes):
    command = {"zst": ("zstd", "-q", "--check")}.get(kind)
    data = compress(tar_of(MEMBERS), *command) if command else compressed(tar_of(MEMBERS), kind)
    for number, position in enumerate(range(10, len(data), max(1, len(data) // 60))):
        spoiled = bytearray(data)
        spoiled[position] ^= 0x24
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            result = unpack_bytes(bytes(spoiled), folder, digest=sha256(data), memory_bytes=memory_bytes)
        except DataError:
            assert not files_in(folder / "out")
            continue
        assert result.manifest.archive.checksum == "mismatch"
        assert_no_wrong_file(folder / "out", MEMBERS)
        if result.manifest.archive.state == "whole":  # such as the time in gzip's header
            assert files_in(folder / "out") == MEMBERS


def test_members_before_a_failed_check_are_taken_back_and_reported(tmp_path):
    data = bytearray(compressed(tar_of(LARGE), "gz"))
    data[-6] ^= 1  # of the CRC at the end: whatever came before may be wrong
    result = unpack_bytes(bytes(data), tmp_path)
    assert files_in(tmp_path / "out") == {}
    assert result.manifest.archive.state == "damaged"
    assert {member.state for member in result.manifest.members} == {"taken back"}
    assert "removed again: the check of the part" in result.manifest.refused[0].reason
    assert unpack_bytes(compressed(tar_of(LARGE), "gz"), tmp_path).is_ok
    assert files_in(tmp_path / "out") == LARGE


def test_blocks_before_a_damaged_one_keep_their_members(tmp_path):
    members = random_members([50_000] * 4)
    data = bytearray(compressed(tar_of(members), "xz in blocks"))
    data[len(data) * 3 // 4] ^= 1
    result = unpack_bytes(bytes(data), tmp_path)
    assert list(files_in(tmp_path / "out")) == list(members)[:2]
    assert result.manifest.archive.state == "damaged"
    assert "xz block 8 of 11" in result.manifest.archive.where
    assert_no_wrong_file(tmp_path / "out", members)


def test_members_that_were_skipped_survive_a_damaged_block_after_them(tmp_path):
    members = random_members([90_000] * 4)
    data = bytearray(compressed(tar_of(members), "xz in blocks"))
    unpack_bytes(bytes(data), tmp_path, num_volumes=2)
    data[len(data) * 5 // 8] ^= 1  # inside the third
    result = unpack_bytes(bytes(data), tmp_path)
    assert result.manifest.archive.state == "damaged"
    assert list(files_in(tmp_path / "out")) == list(members)[:2]


def test_a_file_that_was_there_before_survives_a_damaged_archive(tmp_path):
    path = tmp_path / "out/knee/file0_000.h5"
    path.parent.mkdir(parents=True)
    path.write_bytes(LARGE["knee/file0_000.h5"])
    data = bytearray(compressed(tar_of(LARGE), "gz"))
    data[-6] ^= 1
    unpack_bytes(bytes(data), tmp_path)
    assert path.read_bytes() == LARGE["knee/file0_000.h5"]


def test_members_of_a_whole_archive_survive_its_later_damage(tmp_path):
    data = bytearray(compressed(tar_of(LARGE), "gz"))
    unpack_bytes(bytes(data), tmp_path)
    (tmp_path / "out/knee/file0_003.h5").unlink()
    data[-6] ^= 1
    assert unpack_bytes(bytes(data), tmp_path).manifest.archive.state == "damaged"
    assert list(files_in(tmp_path / "out")) == list(LARGE)[:3]


@pytest.mark.parametrize("kind", KINDS)
def test_what_follows_the_end_is_reported(tmp_path, kind):
    result = unpack_bytes(compressed(tar_of(MEMBERS), kind) + b"something else", tmp_path)
    assert result.manifest.archive.state == "trailing bytes"
    assert files_in(tmp_path / "out") == MEMBERS
    assert not result.is_ok


def test_a_second_tar_after_the_end_is_reported(tmp_path):
    result = unpack_bytes(tar_of(MEMBERS) + tar_of(ADDED), tmp_path)
    assert result.manifest.archive.state == "trailing bytes"
    assert "follow the end of the tar, from byte" in result.manifest.archive.where


def test_a_tar_without_an_end_mark_is_truncated_though_all_members_are_there(tmp_path):
    data = tar_of(MEMBERS).rstrip(b"\x00")
    data += bytes(-len(data) % 512)
    result = unpack_bytes(compress(data, "gzip"), tmp_path)
    assert result.manifest.archive.state == "truncated"
    assert "without the two empty blocks that mark its end" in result.manifest.archive.where
    assert files_in(tmp_path / "out") == MEMBERS


@pytest.mark.parametrize("kind", ["xz", "gzip", "bzip2", "zstd"])
def test_a_decompression_bomb_is_bounded(tmp_path, kind):
    bomb = compress(tar_of({"bomb.h5": bytes(80_000_000)}), kind)
    with pytest.raises(DataError, match=r"^a.tar.xz: .* claims a member of 80000000 bytes: .*a bomb.*--max-expansion$"):
        unpack_bytes(bomb, tmp_path)
    assert files_in(tmp_path / "out") == {}
    assert unpack_bytes(bomb, tmp_path, max_expansion=1e6).is_ok


def test_a_bomb_after_the_end_is_bounded(tmp_path):
    bomb = compress(tar_of(MEMBERS) + bytes(80_000_000), "gzip")
    with pytest.raises(DataError, match=r"^a.tar.xz: it unpacks to too much: more than .*a bomb.*--max-expansion$"):
        unpack_bytes(bomb, tmp_path)


@pytest.mark.parametrize("size", [2 * 10**6, 8**11])
def test_an_extended_header_of_any_size_is_not_read_into_memory(tmp_path, size):
    info = tarfile.TarInfo("././@PaxHeader")
    info.type = tarfile.XHDTYPE
    info.size = size
    head = info.tobuf(tarfile.GNU_FORMAT)
    result = unpack_bytes(tar_of({"a.h5": b"a"})[:1024] + head + bytes(3 * 10**6), tmp_path)
    assert result.manifest.archive.state == "damaged"
    assert f"claims {size} bytes" in result.manifest.archive.where
    assert files_in(tmp_path / "out") == {"a.h5": b"a"}


def test_a_member_of_negative_size_is_damage(tmp_path):
    head = bytearray(tarfile.TarInfo("a.h5").tobuf(tarfile.GNU_FORMAT))
    head[124:136] = b"\xff" * 12
    head[148:156] = b"%06o\0 " % (sum(head[:148]) + sum(head[156:]) + 256)
    result = unpack_bytes(bytes(head) + bytes(1024), tmp_path)
    assert "claims a member of -1 bytes" in result.manifest.archive.where


def test_a_full_disk_is_said_on_one_line_and_the_same_command_goes_on(tmp_path, full_disk):
    members = random_members([300_000] * 5)
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of(members))
    with pytest.raises(StorageError, match="the disk is full; what was unpacked before stays: free some") as found:
        unpack(FileSource(path), full_disk / "out", settings=UnpackSettings())
    assert "\n" not in str(found.value)
    assert_no_wrong_file(full_disk / "out", members)
    kept = len(files_in(full_disk / "out"))
    assert kept >= 2
    for name in list(members)[:2]:
        (full_disk / "out" / name).unlink()
        (full_disk / "out" / name).mkdir()
    import subprocess

    subprocess.run(["mount", "-o", "remount,size=4m", full_disk], check=True)
    for name in list(members)[:2]:
        (full_disk / "out" / name).rmdir()
    result = unpack(FileSource(path), full_disk / "out", settings=UnpackSettings())
    assert (result.is_ok, result.num_written) == (True, 5 - kept + 2)
    assert files_in(full_disk / "out") == members


def test_a_source_that_vanishes_is_said_on_one_line_and_the_same_command_goes_on(tmp_path):
    members = random_members([3_000_000] * 6)
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of(members))
    hidden = tmp_path / "hidden"

    def hide(event):
        if event.member and path.exists():
            path.rename(hidden)

    with pytest.raises(StorageError, match="cannot be read: No such file"):
        unpack(FileSource(path), tmp_path / "out", settings=UnpackSettings(), on_event=hide)
    assert_no_wrong_file(tmp_path / "out", members)
    assert read_manifest(tmp_path / "out", "a.tar").archive.state == "partial"
    hidden.rename(path)
    result = unpack(FileSource(path), tmp_path / "out", settings=UnpackSettings())
    assert result.is_ok
    assert result.num_written < 6
    assert files_in(tmp_path / "out") == members


@pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
@pytest.mark.parametrize("size", [50_000, 9_500_000])
def test_a_member_that_is_cut_never_becomes_a_blob(tmp_path, blob_container, size):
    members = random_members([100, size])
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of(members)[: -size // 3])
    result = unpack(FileSource(path), blob_container, settings=UnpackSettings())
    assert result.manifest.archive.state == "truncated"
    assert list(files_in(blob_container)) == ["knee/file0_000.h5"]


def test_two_unpacks_of_one_archive_into_one_folder_do_not_meet(tmp_path):
    (tmp_path / "a.tar.xz").write_bytes(tar_of(MEMBERS))
    with UnpackRecord(tmp_path / "out", FileSource(tmp_path / "a.tar.xz")):
        with pytest.raises(TransferError, match=r"^a.tar.xz: another process unpacks it into .*; wait for it, or"):
            unpack_bytes(tar_of(MEMBERS), tmp_path)
        assert unpack_bytes(tar_of(MEMBERS), tmp_path, "b.tar").is_ok
    assert unpack_bytes(tar_of(MEMBERS), tmp_path).is_ok


def test_many_who_begin_at_once_are_one_that_unpacks(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of(random_members([20_000] * 10)))
    context = multiprocessing.get_context("fork")
    barrier, have_ended = context.Barrier(4), context.Semaphore(0)
    children = [
        context.Process(target=_unpack_with_others, args=(path, tmp_path / "out", barrier, have_ended))
        for _ in range(4)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert sorted(child.exitcode for child in children) == [0, 3, 3, 3]
    assert len(files_in(tmp_path / "out")) == 10


def _unpack_with_others(path, out, barrier, have_ended):
    """Ends with 0 if it unpacks, which it does not finish before the others have ended, and with 3 if it may not."""

    def wait_for_others(_event):
        if not is_waited:
            is_waited.append(True)
            for _ in range(3):
                have_ended.acquire(timeout=HANG_S)

    is_waited = []
    barrier.wait()
    try:
        unpack(FileSource(path), out, settings=UnpackSettings(num_workers=1), on_event=wait_for_others)
    except TransferError:
        have_ended.release()
        os._exit(3)
    os._exit(0)


def test_a_chain_of_extended_headers_is_no_recursion(tmp_path):
    file = io.BytesIO()
    for _ in range(3000):
        info = tarfile.TarInfo("././@PaxHeader")
        info.type = tarfile.XHDTYPE
        file.write(info.tobuf(tarfile.GNU_FORMAT))
    result = unpack_bytes(file.getvalue() + tar_of(MEMBERS), tmp_path)
    assert result.is_ok
    assert files_in(tmp_path / "out") == MEMBERS
