"""What cannot become a file is refused by name, and the rest goes on."""

import tarfile

import pytest
from transfer.archives import compressed, files_in, random_members, tar_of, unpack_bytes

from mrikit.errors import DataError


@pytest.mark.parametrize("is_file", [True, False])
def test_what_stands_in_the_way_of_one_member_refuses_that_alone(tmp_path, is_file):
    path = tmp_path / "out/knee"
    if is_file:
        path.parent.mkdir()
        path.write_bytes(b"a file")
    else:
        (path / "a.h5").mkdir(parents=True)
    result = unpack_bytes(tar_of({"knee/a.h5": b"1" * 4096, "z.h5": b"2"}), tmp_path)
    reason = "its folder knee is a file there" if is_file else "a folder of this name is there"
    assert [one.reason for one in result.manifest.refused] == [f"{reason}; move it away to unpack this one"]
    assert files_in(tmp_path / "out")["z.h5"] == b"2"


def test_the_longest_name_that_is_allowed_can_be_written_on_a_host_of_any_name(tmp_path, monkeypatch):
    monkeypatch.setattr("mrikit.storage.local._host", lambda: "h" * 64)
    name = f"{'n' * 157}.h5"
    assert unpack_bytes(tar_of({name: b"1"}), tmp_path).is_ok
    assert files_in(tmp_path / "out") == {name: b"1"}


def test_members_that_are_refused_do_not_count_as_volumes(tmp_path):
    path = tmp_path / "out/knee/file0_000.h5"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"another")
    result = unpack_bytes(tar_of(random_members([100, 200, 300])), tmp_path, num_volumes=2)
    assert len(result.manifest.done) == 2


@pytest.mark.parametrize("kind", ["plain", "gz"])
def test_an_archive_of_nothing_is_no_archive(tmp_path, kind):
    with pytest.raises(DataError, match="zero bytes, as of a file that never arrived"):
        unpack_bytes(compressed(bytes(10_240), kind), tmp_path)
    assert not (tmp_path / "out/.mrikit/a.tar.xz.jsonl").exists()


def test_times_in_an_old_gnu_header_are_no_part_of_its_name(tmp_path):
    head = bytearray(tarfile.TarInfo("knee/a.h5").tobuf(tarfile.GNU_FORMAT))
    head[345:369] = b"14000000000\x0014000000001\x00"
    head[148:156] = b"%06o\0 " % (sum(head[:148]) + sum(head[156:]) + 256)
    assert unpack_bytes(bytes(head) + bytes(10_240), tmp_path).is_ok
    assert list(files_in(tmp_path / "out")) == ["knee/a.h5"]
