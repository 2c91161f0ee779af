"""The same command again: what is there stays, what is missing comes, and nothing is done twice."""

import os
import threading
from pathlib import Path

import pytest
from transfer.archives import compressed, files_in, random_members, sha256, tar_of, unpack_bytes

from mrikit.errors import TransferError
from mrikit.transfer.source import FileSource
from mrikit.transfer.unpacking.manifest import read_manifest
from mrikit.transfer.unpacking.unpack import UnpackSettings, unpack

SIZES = [0, 1, 511, 512, 513, 30_000, 70_000]
MEMBERS = random_members(SIZES)


def test_unpacking_again_reads_nothing_and_writes_nothing(tmp_path):
    data = compressed(tar_of(MEMBERS), "xz in blocks")
    first = unpack_bytes(data, tmp_path)
    source = Counting(tmp_path / "a.tar.xz")
    again = unpack(source, tmp_path / "out", settings=UnpackSettings())
    assert (again.manifest, again.num_written, source.num_bytes) == (first.manifest, 0, 0)


@pytest.mark.parametrize("kind", ["plain", "xz in blocks", "gz"])
def test_deleted_and_shortened_members_are_unpacked_again_and_nothing_else(tmp_path, kind):
    data = compressed(tar_of(MEMBERS), kind)
    unpack_bytes(data, tmp_path)
    kept = (tmp_path / "out/knee/file0_006.h5").stat().st_mtime_ns
    (tmp_path / "out/knee/file0_002.h5").unlink()
    (tmp_path / "out/knee/file0_005.h5").write_bytes(b"short")
    result = unpack_bytes(data, tmp_path)
    assert files_in(tmp_path / "out") == MEMBERS
    assert (result.num_written, result.written_bytes) == (2, 30_511)
    assert (tmp_path / "out/knee/file0_006.h5").stat().st_mtime_ns == kept


@pytest.mark.parametrize("kind", ["plain", "xz in blocks"])
def test_a_member_that_was_changed_to_the_same_size_is_unpacked_again_and_nothing_else(tmp_path, kind):
    data = compressed(tar_of(MEMBERS), kind)
    unpack_bytes(data, tmp_path)
    kept = (tmp_path / "out/knee/file0_006.h5").stat().st_mtime_ns
    changed = tmp_path / "out/knee/file0_005.h5"
    with changed.open("r+b") as file:
        file.seek(changed.stat().st_size - 1)
        last = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([last[0] ^ 255]))
    result = unpack_bytes(data, tmp_path)
    assert files_in(tmp_path / "out") == MEMBERS
    assert (result.num_written, result.is_ok) == (1, True)
    assert (tmp_path / "out/knee/file0_006.h5").stat().st_mtime_ns == kept
    assert unpack_bytes(data, tmp_path).num_written == 0


def test_a_member_whose_time_alone_changed_is_compared_once_and_stays(tmp_path):
    data = tar_of(MEMBERS)
    unpack_bytes(data, tmp_path)
    os.utime(tmp_path / "out/knee/file0_005.h5", ns=(1, 1))
    result = unpack_bytes(data, tmp_path)
    assert (result.num_written, (tmp_path / "out/knee/file0_005.h5").stat().st_mtime_ns) == (0, 1)
    source = Counting(tmp_path / "a.tar.xz")
    unpack(source, tmp_path / "out", settings=UnpackSettings())
    assert source.num_bytes == 0


def test_the_manifest_says_where_the_archive_lay_and_which_digest_is_published(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.tar").write_bytes(tar_of(MEMBERS))
    first = unpack(FileSource(Path("a.tar")), tmp_path / "out", settings=UnpackSettings(), digest="A" * 64)
    assert (first.manifest.archive.place, first.manifest.archive.published_sha256) == (f"{tmp_path}/a.tar", "a" * 64)
    again = unpack(FileSource(Path("a.tar")), tmp_path / "out", settings=UnpackSettings())
    assert again.manifest.archive.published_sha256 == "a" * 64


def test_blocks_of_finished_members_are_neither_read_nor_decoded(tmp_path):
    members = random_members([400 * 1000] * 5)
    data = compressed(tar_of(members), "xz in blocks")
    unpack_bytes(data, tmp_path)
    (tmp_path / "out/knee/file0_004.h5").unlink()
    source = Counting(tmp_path / "a.tar.xz")
    result = unpack(source, tmp_path / "out", settings=UnpackSettings(num_workers=2))
    assert files_in(tmp_path / "out") == members
    # The last member, and for each of the others the block of its header and one or two read ahead.
    assert source.num_bytes < 400_000 + 5 * 3 * 21_000 + 20_000 < len(data) / 2
    assert result.manifest.archive.sha256 == sha256(data)


def test_a_published_digest_is_compared_even_if_blocks_are_skipped(tmp_path):
    members = random_members([400 * 1000] * 3)
    data = compressed(tar_of(members), "xz in blocks")
    unpack_bytes(data, tmp_path, num_volumes=1)
    result = unpack_bytes(data, tmp_path, digest=sha256(data))
    assert (result.num_written, result.manifest.archive.checksum) == (2, "ok")


def test_without_a_digest_skipped_parts_leave_the_checksum_unread(tmp_path):
    members = random_members([400 * 1000] * 3)
    data = compressed(tar_of(members), "xz in blocks")
    unpack_bytes(data, tmp_path, num_volumes=1)
    assert unpack_bytes(data, tmp_path).manifest.archive.sha256 is None


def test_an_equal_file_that_nobody_knows_of_is_kept(tmp_path):
    data = tar_of(MEMBERS)
    path = tmp_path / "out/knee/file0_005.h5"
    path.parent.mkdir(parents=True)
    path.write_bytes(MEMBERS["knee/file0_005.h5"])
    before = path.stat().st_mtime_ns
    result = unpack_bytes(data, tmp_path)
    assert (result.is_ok, result.num_written, path.stat().st_mtime_ns) == (True, len(MEMBERS) - 1, before)


@pytest.mark.parametrize("content", [b"something else", bytes(30_000)])
def test_another_file_of_the_same_name_is_never_replaced(tmp_path, content):
    path = tmp_path / "out/knee/file0_005.h5"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    result = unpack_bytes(tar_of(MEMBERS), tmp_path)
    assert path.read_bytes() == content
    assert [member.name for member in result.manifest.refused] == ["knee/file0_005.h5"]
    assert "move it away to unpack this one" in result.manifest.refused[0].reason
    assert not result.is_ok


def test_a_member_that_was_refused_for_another_file_is_unpacked_once_that_is_gone(tmp_path):
    path = tmp_path / "out/knee/file0_005.h5"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"another")
    unpack_bytes(tar_of(MEMBERS), tmp_path)
    path.unlink()
    assert unpack_bytes(tar_of(MEMBERS), tmp_path).is_ok
    assert files_in(tmp_path / "out") == MEMBERS


def test_a_longer_copy_of_a_truncated_archive_is_unpacked_anew(tmp_path):
    data = tar_of(MEMBERS)
    assert unpack_bytes(data[:-40_000], tmp_path).manifest.archive.state == "truncated"
    result = unpack_bytes(data, tmp_path)
    assert (result.is_ok, files_in(tmp_path / "out")) == (True, MEMBERS)


@pytest.mark.parametrize("kind", ["plain", "xz in one block", "xz in blocks", "gz"])
def test_a_number_of_volumes_stops_early_and_is_no_error(tmp_path, kind):
    data = compressed(tar_of(MEMBERS), kind)
    result = unpack_bytes(data, tmp_path, num_volumes=2, published=[*MEMBERS])
    assert list(files_in(tmp_path / "out")) == ["knee/file0_000.h5", "knee/file0_001.h5"]
    archive = result.manifest.archive
    assert (archive.state, archive.where) == ("stopped", "after 2 files, as asked")
    assert (archive.completeness.state, result.is_ok) == ("unknown", True)
    full = unpack_bytes(data, tmp_path, published=[*MEMBERS])
    assert (full.num_written, full.manifest.archive.completeness.state) == (len(MEMBERS) - 2, "complete")
    assert files_in(tmp_path / "out") == MEMBERS


def test_asking_for_fewer_volumes_than_are_there_forgets_none(tmp_path):
    unpack_bytes(tar_of(MEMBERS), tmp_path, num_volumes=4)
    result = unpack_bytes(tar_of(MEMBERS), tmp_path, num_volumes=2)
    assert (result.num_written, len(result.manifest.done)) == (0, 4)


def test_once_told_to_stop_it_stops_and_the_same_command_goes_on(tmp_path):
    stop = threading.Event()
    data = tar_of(random_members([10_000] * 450))

    with pytest.raises(TransferError, match=r"^a.tar.xz: stopped; the same command goes on from here$"):
        unpack_bytes(data, tmp_path, stop=stop, on_event=lambda event: stop.set() if event.member else None)
    assert 0 < len(read_manifest(tmp_path / "out", "a.tar.xz").done) < 450
    assert unpack_bytes(data, tmp_path).is_ok


class Counting(FileSource):
    """A file that counts what is read from it."""

    num_bytes = 0

    def read(self, start, count):
        self.num_bytes += count
        return super().read(start, count)
