"""Archives in Blob, members in Blob."""

import shutil

import pytest
from transfer.archives import compressed, files_in, random_members, sha256, tar_of

from mrikit.storage import file_state, remove, write_bytes
from mrikit.transfer.source import FileSource
from mrikit.transfer.unpacking.manifest import read_manifest
from mrikit.transfer.unpacking.placing import Placer
from mrikit.transfer.unpacking.unpack import UnpackSettings, unpack

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
MEMBERS = random_members([0, 1, 511, 512, 513, 30_000, 70_000])


@pytest.mark.parametrize("size", [1000, 9_000_000])
def test_members_go_to_blob_with_their_digest(tmp_path, blob_container, size):
    members = random_members([size, 10])
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of(members))
    to = blob_container / "data"
    result = unpack(FileSource(path), to, settings=UnpackSettings())
    assert files_in(to) == members
    assert read_manifest(to, "a.tar") == result.manifest
    state = file_state(to / "knee/file0_000.h5")
    assert state.metadata == {
        "archive": "a.tar",
        "archive_version": f"{path.stat().st_size}-{path.stat().st_mtime_ns}",
        "sha256": sha256(members["knee/file0_000.h5"]),
        "verified": "yes",
    }


def test_another_machine_goes_on_from_the_listing_alone(tmp_path, blob_container, monkeypatch):
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of(MEMBERS))
    unpack(FileSource(path), blob_container, settings=UnpackSettings(num_volumes=5))
    remove(blob_container / ".mrikit/a.tar.jsonl")
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    result = unpack(FileSource(path), blob_container, settings=UnpackSettings())
    assert (result.num_written, result.is_ok) == (2, True)
    assert files_in(blob_container) == MEMBERS


def test_an_archive_in_blob_is_unpacked_into_blob(blob_container):
    data = compressed(tar_of(MEMBERS), "xz in blocks")
    write_bytes(blob_container / "archives/a.tar.xz", data)
    source = FileSource(blob_container / "archives/a.tar.xz")
    assert unpack(source, blob_container / "out", settings=UnpackSettings()).manifest.archive.sha256 == sha256(data)
    assert files_in(blob_container / "out") == MEMBERS


def test_a_large_blob_that_a_kill_left_without_its_digest_is_compared_and_noted(tmp_path, blob_container, monkeypatch):
    members = random_members([9_000_000, 10])
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of(members))

    class KilledError(Exception):
        pass

    def kill(*_words):
        raise KilledError

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(Placer, "_note_digest", kill)
        unpack(FileSource(path), blob_container, settings=UnpackSettings())
    result = unpack(FileSource(path), blob_container, settings=UnpackSettings())
    assert (result.is_ok, result.num_written, files_in(blob_container)) == (True, 1, members)
    assert [member.is_kept for member in result.manifest.done] == [False, False]
    notes = file_state(blob_container / "knee/file0_000.h5").metadata
    assert (notes["sha256"], notes["verified"]) == (sha256(members["knee/file0_000.h5"]), "yes")
