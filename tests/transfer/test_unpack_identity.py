"""Another archive of the name, a part that no check confirmed, a file of somebody else: no wrong file, none lost."""

import io
import json
import os
import tarfile

import pytest
from transfer.archives import compress, compressed, files_in, random_members, sha256, tar_of, unpack_bytes

from mrikit.storage import write_bytes
from mrikit.transfer.source import FileSource
from mrikit.transfer.unpacking.manifest import manifest_path, read_manifest
from mrikit.transfer.unpacking.placing import Placer
from mrikit.transfer.unpacking.unpack import UnpackSettings, unpack
from mrikit.transfer.unpacking.unpack_all import UnpackJob, unpack_all

A, B = "knee/a.h5", "knee/b.h5"
RIGHT = {A: b"A" * 5000, B: b"B" * 5000}
WRONG = {A: b"A" * 4000 + b"x" * 1000, B: b"B" * 5000}
LARGE = random_members([3_000_000] * 3)
FIRST, *_ = LARGE


class KilledError(Exception):
    """Stands for a kill."""


def broken_in_first_member(data):
    """Noise is stored as it is: a bit of it is a bit of the member."""
    position = data.index(LARGE[FIRST][100_000:100_020])
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


@pytest.mark.parametrize("digest", [sha256(tar_of(RIGHT)), None])
@pytest.mark.parametrize("kind", ["plain", "gz", "xz in blocks"])
def test_the_right_archive_after_a_corrupt_one_of_its_size_mends_the_file(tmp_path, kind, digest):
    right, wrong = compressed(tar_of(RIGHT), kind), compressed(tar_of(WRONG), kind)
    wrong += bytes(len(right) - len(wrong)) if kind == "plain" else b""
    digest = digest and sha256(right)
    first = unpack_bytes(wrong, tmp_path, digest=digest)
    assert first.manifest.archive.checksum == ("mismatch" if digest else "unpublished")
    result = unpack_bytes(right, tmp_path, digest=digest)
    assert (result.is_ok, result.num_written) == (True, 1)
    assert files_in(tmp_path / "out") == RIGHT


def test_an_equal_member_of_another_archive_of_the_name_is_not_written_again(tmp_path):
    unpack_bytes(tar_of(WRONG), tmp_path)
    before = (tmp_path / "out" / B).stat().st_mtime_ns
    unpack_bytes(tar_of(RIGHT), tmp_path)
    assert (tmp_path / "out" / B).stat().st_mtime_ns == before


def test_a_difference_in_the_middle_of_a_large_member_is_mended(tmp_path):
    wrong = LARGE | {FIRST: LARGE[FIRST][:2_500_000] + bytes(500_000)}
    unpack_bytes(tar_of(wrong), tmp_path)
    result = unpack_bytes(tar_of(LARGE), tmp_path)
    assert (result.num_written, files_in(tmp_path / "out")) == (1, LARGE)
    assert {one.name: one.sha256 for one in result.manifest.done} == {name: sha256(LARGE[name]) for name in LARGE}


def test_a_member_that_only_the_earlier_archive_of_the_name_had_stays_and_is_remembered(tmp_path):
    unpack_bytes(tar_of({"knee/old.h5": b"old"}), tmp_path)
    result = unpack_bytes(tar_of(RIGHT), tmp_path, published=["a.h5", "b.h5"])
    assert files_in(tmp_path / "out") == RIGHT | {"knee/old.h5": b"old"}
    assert {one.name for one in read_manifest(tmp_path / "out", "a.tar.xz").done} == {*RIGHT, "knee/old.h5"}
    assert (result.is_ok, result.manifest.archive.completeness.num_unexpected) == (True, 0)


def test_a_member_of_the_earlier_archive_that_is_gone_is_forgotten(tmp_path):
    unpack_bytes(tar_of({"knee/old.h5": b"old"}), tmp_path)
    (tmp_path / "out/knee/old.h5").unlink()
    unpack_bytes(tar_of(RIGHT), tmp_path)
    assert {one.name for one in read_manifest(tmp_path / "out", "a.tar.xz").done} == {*RIGHT}


def test_an_archive_whose_source_has_no_version_is_never_taken_for_the_one_before(tmp_path):
    class Unknown(FileSource):
        version = ""

    path = tmp_path / "a.tar"
    for members in (WRONG, RIGHT):
        path.write_bytes(tar_of(members))
        unpack(Unknown(path), tmp_path / "out", settings=UnpackSettings())
    assert files_in(tmp_path / "out") == RIGHT


def test_a_known_mismatch_stays_one_when_no_checksums_are_given(tmp_path):
    unpack_bytes(tar_of(RIGHT), tmp_path, digest="0" * 64)
    for _ in range(2):
        result = unpack_bytes(tar_of(RIGHT), tmp_path)
        assert (result.manifest.archive.checksum, result.is_ok) == ("mismatch", False)
    assert unpack_bytes(tar_of(RIGHT), tmp_path, digest=sha256(tar_of(RIGHT))).is_ok


def test_a_known_mismatch_survives_a_kill(tmp_path):
    unpack_bytes(tar_of(RIGHT), tmp_path, digest="0" * 64)
    with pytest.raises(KilledError):
        unpack_bytes(tar_of(RIGHT), tmp_path, on_event=kill)
    assert unpack_bytes(tar_of(RIGHT), tmp_path).manifest.archive.checksum == "mismatch"


def test_missing_volumes_stay_missing_when_no_list_is_given(tmp_path):
    unpack_bytes(tar_of(RIGHT), tmp_path, published=["a.h5", "c.h5"])
    result = unpack_bytes(tar_of(RIGHT), tmp_path)
    assert (result.is_ok, result.manifest.archive.completeness.missing) == (False, ("c.h5",))


@pytest.mark.parametrize("kind", ["gz", "xz"])
def test_what_no_check_confirmed_is_looked_at_again(tmp_path, kind):
    data = gzip(LARGE) if kind == "gz" else compress(tar_of(LARGE), "xz", "-0", "--block-size=4MiB")
    broken = broken_in_first_member(data)
    first = unpack_bytes(broken, tmp_path, num_volumes=1, memory_bytes=1)
    assert [one.is_verified for one in first.manifest.done] == [False]
    result = unpack_bytes(broken, tmp_path)
    assert result.manifest.archive.state == "damaged"
    assert files_in(tmp_path / "out").get(FIRST, LARGE[FIRST]) == LARGE[FIRST]


def test_members_of_a_truncated_archive_are_not_verified_and_those_of_a_whole_one_are(tmp_path):
    data = gzip(LARGE)
    cut = unpack_bytes(data[:-2_000_000], tmp_path)
    assert [one.is_verified for one in cut.manifest.done] == [False, False]
    whole = unpack_bytes(data, tmp_path)
    assert [one.is_verified for one in whole.manifest.done] == [True] * 3
    assert (whole.num_written, files_in(tmp_path / "out")) == (1, LARGE)


def test_members_that_a_damaged_archive_does_not_reach_any_more_stay_in_the_manifest(tmp_path):
    data = tar_of(RIGHT)
    unpack_bytes(data, tmp_path)
    damaged = bytearray(data)
    damaged[data.index(b"BBBB") - 300] ^= 1  # the second header
    result = unpack_bytes(bytes(damaged), tmp_path)
    assert result.manifest.archive.state == "damaged"
    assert {one.name for one in result.manifest.done} == {*RIGHT}
    result = unpack_bytes(data, tmp_path)
    assert (result.is_ok, result.num_written) == (True, 0)


def test_a_file_of_the_user_survives_any_number_of_damaged_archives(tmp_path):
    write_bytes(tmp_path / "out" / FIRST, LARGE[FIRST])
    data = bytearray(gzip(LARGE))
    data[-8] ^= 1  # the check at the end
    for _ in range(3):
        result = unpack_bytes(bytes(data), tmp_path)
        assert files_in(tmp_path / "out") == {FIRST: LARGE[FIRST]}
        assert "the file that was there stays" in result.manifest.refused[0].reason


def test_a_file_of_the_user_is_not_replaced_by_another_archive_of_the_name(tmp_path):
    write_bytes(tmp_path / "out" / A, WRONG[A])
    assert [one.is_kept for one in unpack_bytes(tar_of(WRONG), tmp_path).manifest.done] == [True, False]
    result = unpack_bytes(tar_of(RIGHT), tmp_path)
    assert files_in(tmp_path / "out") == WRONG
    assert [one.name for one in result.manifest.refused] == [A]


def test_a_second_damage_of_an_archive_takes_back_only_what_it_brought(tmp_path):
    data = bytearray(gzip(LARGE))
    data[-8] ^= 1
    for _ in range(2):
        assert files_in(tmp_path / "out") == {}
        assert unpack_bytes(bytes(data), tmp_path).manifest.archive.state == "damaged"
    assert unpack_bytes(gzip(LARGE), tmp_path).is_ok


def test_a_member_named_twice_is_there_once_and_stays_known(tmp_path):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for content in (b"1" * 10, b"2" * 10):
            info = tarfile.TarInfo(A)
            info.size = 10
            tar.addfile(info, io.BytesIO(content))
    unpack_bytes(file.getvalue(), tmp_path)
    manifest = read_manifest(tmp_path / "out", "a.tar.xz")
    assert [(one.state, one.reason) for one in manifest.members] == [("done", None), ("refused", "named twice")]
    assert unpack_bytes(file.getvalue(), tmp_path).num_written == 0


def test_a_kill_while_a_changed_archive_is_unpacked_loses_no_names(tmp_path):
    unpack_bytes(tar_of(WRONG), tmp_path)
    new = tar_of(RIGHT | {"knee/c.h5": b"c" * 20_000})
    with pytest.raises(KilledError):
        unpack_bytes(new, tmp_path, on_event=kill)
    result = unpack_bytes(new, tmp_path)
    assert (result.is_ok, files_in(tmp_path / "out")) == (True, RIGHT | {"knee/c.h5": b"c" * 20_000})


@pytest.mark.parametrize("left", [b"", b"\n", b"{"])
def test_a_manifest_that_a_kill_left_empty_costs_one_comparison(tmp_path, left):
    unpack_bytes(tar_of(RIGHT), tmp_path)
    manifest_path(tmp_path / "out", "a.tar.xz").write_bytes(left)
    result = unpack_bytes(tar_of(RIGHT), tmp_path)
    assert (result.is_ok, result.num_written) == (True, 0)


@pytest.mark.parametrize("is_equal", [True, False])
def test_two_archives_of_one_run_that_share_a_name_make_one_right_file(tmp_path, is_equal):
    shared = {"a": b"A" * 3_000_000, "b": (b"A" if is_equal else b"B") * 3_000_000}
    for name, content in shared.items():
        (tmp_path / f"{name}.tar").write_bytes(tar_of({"same.h5": content, f"{name}.h5": b"1"}))
    jobs = [UnpackJob(source=FileSource(tmp_path / f"{name}.tar")) for name in shared]
    first, second = unpack_all(jobs, tmp_path / "out", settings=UnpackSettings(num_workers=2), at_once=2)
    assert files_in(tmp_path / "out")["same.h5"] in shared.values()
    assert first.num_written + second.num_written == 3
    assert [first.is_ok, second.is_ok].count(True) == (2 if is_equal else 1)
    refused = [*first.manifest.refused, *second.manifest.refused]
    assert [one.name for one in refused] == ([] if is_equal else ["same.h5"])


@pytest.mark.parametrize("is_equal", [True, False])
@pytest.mark.parametrize("is_known", [True, False])
def test_a_file_that_comes_while_its_member_is_written_stays(tmp_path, is_known, is_equal):
    path, other = tmp_path / "out" / FIRST, LARGE[FIRST] if is_equal else b"mine"
    if is_known:
        unpack_bytes(tar_of(LARGE), tmp_path, num_volumes=1)
        write_bytes(path, b"shortened")

    def come(event):
        if event.member is None and path.parent.exists() and not seen:
            seen.append(event)
            path.write_bytes(other)

    seen = []
    result = unpack_bytes(tar_of(LARGE), tmp_path, on_event=come)
    assert seen
    assert path.read_bytes() == other
    assert [one.name for one in result.manifest.refused] == ([] if is_equal else [FIRST])
    assert result.num_written == 2


@pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
@pytest.mark.parametrize("size", [50_000, 9_000_000])
@pytest.mark.parametrize("is_equal", [True, False])
def test_a_blob_that_comes_while_its_member_is_written_stays(tmp_path, blob_container, monkeypatch, size, is_equal):
    member = random_members([size])[FIRST]
    other = member if is_equal else b"mine"
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of({FIRST: member}))
    write = Placer._write_blob

    def come_first(placer, blob, *words):
        write_bytes(blob, other)
        write(placer, blob, *words)

    monkeypatch.setattr(Placer, "_write_blob", come_first)
    result = unpack(FileSource(path), blob_container, settings=UnpackSettings())
    assert files_in(blob_container) == {FIRST: other}
    assert (result.is_ok, result.num_written) == (is_equal, 0)


@pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
def test_blobs_of_another_archive_of_the_name_are_compared_and_mended(tmp_path, blob_container):
    path = tmp_path / "a.tar"
    for members in (WRONG, RIGHT):
        path.write_bytes(tar_of(members))
        result = unpack(FileSource(path), blob_container, settings=UnpackSettings())
    assert (result.is_ok, result.num_written, files_in(blob_container)) == (True, 1, RIGHT)


@pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
def test_a_blob_of_the_user_in_place_of_ours_is_not_replaced(tmp_path, blob_container):
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of(RIGHT))
    unpack(FileSource(path), blob_container, settings=UnpackSettings())
    write_bytes(blob_container / A, b"mine")
    result = unpack(FileSource(path), blob_container, settings=UnpackSettings())
    assert files_in(blob_container) == RIGHT | {A: b"mine"}
    assert [one.name for one in result.manifest.refused] == [A]


def test_the_journal_says_of_each_member_which_file_it_came_from(tmp_path):
    path = tmp_path / "a.tar.xz"
    path.write_bytes(tar_of(RIGHT))
    os.utime(path, ns=(7, 7))
    unpack_bytes(tar_of(RIGHT), tmp_path)
    lines = manifest_path(tmp_path / "out", "a.tar.xz").read_text().splitlines()
    assert {json.loads(line)["version"] for line in lines} == {f"{path.stat().st_size}-7"}


def gzip(members):
    return compressed(tar_of(members), "gz")


def kill(event):
    raise KilledError
