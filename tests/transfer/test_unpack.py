"""Archives become exactly the files that they hold, whatever they are compressed with and called."""

import json
import os
import tarfile

import pytest
from transfer.archive_server import running_server
from transfer.archives import (
    KINDS,
    compress,
    compressed,
    files_in,
    random_members,
    sha256,
    tar_of,
    unpack_bytes,
)
from transfer.copying import signatures_in

from mrikit.errors import ConfigError, DataError, StorageError
from mrikit.transfer.link import Link
from mrikit.transfer.source import FileSource, HttpSource
from mrikit.transfer.unpacking.manifest import read_manifest
from mrikit.transfer.unpacking.unpack import UnpackSettings, unpack
from mrikit.transfer.unpacking.unpack_all import UnpackJob, unpack_all

SIZES = [0, 1, 511, 512, 513, 30_000, 70_000]
MEMBERS = random_members(SIZES)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_archive_becomes_its_members(tmp_path, kind):
    data = compressed(tar_of(MEMBERS), kind)
    result = unpack_bytes(data, tmp_path)
    assert files_in(tmp_path / "out") == MEMBERS
    assert result.is_ok
    assert result.manifest.archive.state == "whole"
    assert result.manifest.archive.sha256 == sha256(data)
    assert {member.name: member.sha256 for member in result.manifest.members} == {
        name: sha256(content) for name, content in MEMBERS.items()
    }


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_of_every_tar_format_are_read(tmp_path, tar_format):
    members = {f"{'folder/' * 9}{'n' * 80}.h5": b"long", "knee/plain.h5": b"short"}
    if tar_format != tarfile.USTAR_FORMAT:
        members[f"{'folder-' * 20}/{'n' * 150}-\u00e9.h5"] = b"longer"
    unpack_bytes(tar_of(members, tar_format), tmp_path)
    assert files_in(tmp_path / "out") == members


def test_the_tar_program_is_understood(tmp_path):
    import subprocess

    folder = tmp_path / "in"
    for name, data in MEMBERS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    data = subprocess.run(["tar", "-cC", folder, "."], capture_output=True, check=True).stdout
    assert unpack_bytes(data, tmp_path).is_ok
    assert files_in(tmp_path / "out") == MEMBERS


@pytest.mark.parametrize("kind", ["plain", "xz in blocks"])
def test_the_name_does_not_matter(tmp_path, kind):
    assert unpack_bytes(compressed(tar_of(MEMBERS), kind), tmp_path, "multicoil_train.tar.gz").is_ok
    assert files_in(tmp_path / "out") == MEMBERS


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>Forbidden</html>", "HTML/XML, an error page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "HTML/XML, an error page"),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), "an HDF5 file, not an archive"),
        (bytes(1000), "zero bytes"),
        (b"Not found\n", "text, not an archive"),
        (b"\x01\x02\x03\x04\x05", "unknown bytes 01 02 03 04, not an archive"),
    ],
)
def test_what_is_no_archive_is_said_on_one_line(tmp_path, data, words):
    with pytest.raises(DataError, match=f"^a.tar.xz: {words}") as found:
        unpack_bytes(data, tmp_path)
    assert "\n" not in str(found.value)


def test_a_compressed_file_that_is_no_tar_is_said_on_one_line(tmp_path):
    with pytest.raises(DataError, match=r"a.tar.xz: holds an HDF5 file, not an archive; only tar archives"):
        unpack_bytes(compress(b"\x89HDF\r\n\x1a\n" + bytes(600), "gzip"), tmp_path)


def test_the_manifest_says_what_became_of_archive_and_members(tmp_path):
    data = tar_of(MEMBERS)
    result = unpack_bytes(data, tmp_path, digest=sha256(data), published=[name[5:] for name in MEMBERS])
    assert read_manifest(tmp_path / "out", "a.tar.xz") == result.manifest
    first, second, *_ = map(json.loads, (tmp_path / "out/.mrikit/a.tar.xz.jsonl").read_text().splitlines())
    assert (first["archive"], first["size_bytes"], first["sha256"]) == ("a.tar.xz", len(data), sha256(data))
    assert (first["state"], first["checksum"], first["completeness"]["state"]) == ("whole", "ok", "complete")
    assert second == {
        "name": "knee/file0_000.h5", "size_bytes": 0, "sha256": sha256(b""), "state": "done", "reason": None,
        "version": first["version"], "is_kept": False, "is_verified": True,
        "file_version": (tmp_path / "out/knee/file0_000.h5").stat().st_mtime_ns,
    }  # fmt: skip


def test_checksum_archive_and_completeness_are_judged_each_for_itself(tmp_path):
    data = compressed(tar_of(MEMBERS), "gz")
    cut = data[:-5000]
    result = unpack_bytes(cut, tmp_path, digest=sha256(cut), published=[*MEMBERS])
    archive = result.manifest.archive
    assert (archive.checksum, archive.state, archive.completeness.state) == ("ok", "truncated", "incomplete")
    assert archive.completeness.missing == ("file0_006.h5",)
    assert not result.is_ok


def test_another_digest_than_the_published_one_is_a_mismatch(tmp_path):
    result = unpack_bytes(tar_of(MEMBERS), tmp_path, digest="0" * 64)
    assert result.manifest.archive.checksum == "mismatch"
    assert not result.is_ok
    assert files_in(tmp_path / "out") == MEMBERS


def test_an_upper_case_digest_is_the_same_digest(tmp_path):
    data = tar_of(MEMBERS)
    assert unpack_bytes(data, tmp_path, digest=sha256(data).upper()).manifest.archive.checksum == "ok"


def test_a_published_count_finds_missing_volumes(tmp_path):
    result = unpack_bytes(tar_of(MEMBERS), tmp_path, num_published=9)
    assert result.manifest.archive.completeness.state == "incomplete"
    assert result.manifest.archive.completeness.num_missing == 2


def test_without_anything_published_completeness_is_unknown(tmp_path):
    result = unpack_bytes(tar_of(MEMBERS), tmp_path)
    assert result.manifest.archive.completeness.state == "unknown"
    assert result.manifest.archive.checksum == "unpublished"
    assert result.is_ok


@pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
@pytest.mark.parametrize("kind", ["plain", "xz in blocks"])
def test_two_volumes_of_a_big_archive_cost_a_small_part_of_its_bytes(tmp_path, kind):
    members = random_members([200_000] * (250 if kind == "plain" else 90))
    data = tar_of(members) if kind == "plain" else compress(tar_of(members), "xz", "-0", "--block-size=1000000")
    (tmp_path / "brain.tar.xz").write_bytes(data)
    with running_server(tmp_path) as server:
        source = HttpSource(Link(server.url("brain.tar.xz")))
        result = unpack(source, tmp_path / "out", settings=UnpackSettings(num_workers=2, num_volumes=2))
        source.close()
        assert files_in(tmp_path / "out") == dict(list(members.items())[:2])
        # Three pieces of 4 MiB of a plain tar; a handful of blocks of 1 MB, and the index.
        written = b"".join(read.read_bytes() for read in (tmp_path / "out").rglob("*") if read.is_file())
        assert signatures_in(written.decode("latin-1")) == []
        assert server.bytes_sent < (13e6 if kind == "plain" else 5e6) < len(data) / 3
    assert result.is_ok


def test_archives_are_unpacked_at_once_and_a_bad_one_stops_no_other(tmp_path):
    parts = [random_members([50_000] * 3, seed=seed) for seed in range(3)]
    jobs = []
    for number, members in enumerate(parts):
        path = tmp_path / f"batch_{number}.tar.xz"
        path.write_bytes(b"<html>" if number == 1 else compressed(tar_of(members), "xz in blocks"))
        jobs.append(UnpackJob(source=FileSource(path)))
    over = []
    outcomes = unpack_all(
        jobs,
        tmp_path / "out",
        settings=UnpackSettings(num_workers=2),
        at_once=2,
        on_outcome=lambda job, _: over.append(job.source.name),
    )
    assert isinstance(outcomes[1], DataError)
    assert outcomes[0].is_ok
    assert outcomes[2].is_ok
    assert files_in(tmp_path / "out") == parts[0] | parts[2]
    assert sorted(over) == ["batch_0.tar.xz", "batch_1.tar.xz", "batch_2.tar.xz"]


def test_an_interrupt_stops_all_archives(tmp_path):
    class Interrupted(BaseException):
        pass

    path = tmp_path / "a.tar"
    path.write_bytes(tar_of(MEMBERS))

    def interrupt(_event):
        raise Interrupted

    with pytest.raises(Interrupted):
        unpack_all(
            [UnpackJob(source=FileSource(path))], tmp_path / "out", settings=UnpackSettings(), on_event=interrupt
        )


def test_memory_too_small_for_a_block_means_decoding_from_front_to_back(tmp_path):
    data = compressed(tar_of(MEMBERS), "xz in blocks")
    assert unpack_bytes(data, tmp_path, memory_bytes=1).is_ok
    assert files_in(tmp_path / "out") == MEMBERS


@pytest.mark.parametrize("field", ["num_workers", "memory_bytes", "num_volumes", "max_expansion"])
def test_a_setting_of_zero_is_refused(field):
    with pytest.raises(ConfigError, match=rf"{field} = 0: (at least 1|more than 0) is needed"):
        UnpackSettings(**{field: 0})


def test_a_folder_that_cannot_be_written_is_said_on_one_line(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(StorageError, match=r"cannot be written: .*; choose a folder that you may write to"):
        unpack_bytes(tar_of(MEMBERS), tmp_path)


def test_no_lock_and_no_temporary_file_is_left(tmp_path):
    unpack_bytes(tar_of(MEMBERS), tmp_path)
    found = [name for _, _, names in os.walk(tmp_path / "out") for name in names if name.startswith(".")]
    assert found == []
