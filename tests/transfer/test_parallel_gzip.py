"""rapidgzip beside the decoder that everybody has: the same members, digests and states."""

import gzip
import os

import pytest
from transfer.archives import files_in, random_members, sha256, tar_of, unpack_bytes

from mrikit.transfer.unpacking import decode
from mrikit.transfer.unpacking.parallel_gzip import ParallelGzip

pytest.importorskip("rapidgzip")
MEMBERS = random_members([0, 1, 700_000, 3_000_000, 10]) | {"knee/zeros.h5": bytes(4_000_000)}
WHOLE = gzip.compress(tar_of(MEMBERS), 1)


def flipped(data, position):
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


KINDS = {
    "whole": WHOLE,
    "two members": gzip.compress(tar_of(MEMBERS)[:500_000]) + gzip.compress(tar_of(MEMBERS)[500_000:]),
    "zeros after the end": WHOLE + bytes(512),
    "text after the end": WHOLE + b"an error page",
    "cut in the middle": WHOLE[: len(WHOLE) // 2],
    "cut in the checksum": WHOLE[:-3],
    "damaged in the middle": flipped(WHOLE, len(WHOLE) // 2),
    "another checksum": flipped(WHOLE, len(WHOLE) - 6),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_out_is_the_same_as_without(tmp_path, monkeypatch, kind):
    found = []
    for name in ("with", "without"):
        folder = tmp_path / name
        folder.mkdir()
        if name == "without":
            monkeypatch.setattr(decode, "can_decode", lambda _source: False)
        result = unpack_bytes(KINDS[kind], folder, "a.tar.gz")
        archive = result.manifest.archive
        members = [(one.name, one.sha256, one.state, one.is_verified) for one in result.manifest.members]
        found.append((archive.state, archive.where, archive.sha256, members, files_in(folder / "out")))
    assert found[0] == found[1]
    assert found[0][2] in (sha256(KINDS[kind]), None)


def test_a_whole_archive_is_not_decoded_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(ParallelGzip, "_go_on_sequentially", lambda _self: pytest.fail("decoded again"))
    assert unpack_bytes(WHOLE, tmp_path, "a.tar.gz").is_ok
    assert files_in(tmp_path / "out") == MEMBERS


def test_an_archive_in_a_folder_whose_name_is_no_utf8_is_unpacked(tmp_path):
    folder = tmp_path / os.fsdecode(b"knee\xff")
    folder.mkdir()
    assert unpack_bytes(WHOLE, folder, "a.tar.gz").is_ok
    assert files_in(folder / "out") == MEMBERS
