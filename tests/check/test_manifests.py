"""A folder that archives were unpacked into, compared with what the manifests say."""

import hashlib
import shutil

import pytest
from phantoms import make_volume

from mrikit.check import check_folder
from mrikit.errors import StorageError
from mrikit.storage import read_range
from mrikit.transfer.unpacking import reasons
from mrikit.transfer.unpacking.completeness import Completeness
from mrikit.transfer.unpacking.manifest import (
    ArchiveRecord,
    Manifest,
    Member,
    format_manifest,
    manifest_path,
)
from mrikit.volumes import write_fastmri

ARCHIVE = "knee_multicoil_val.tar.xz"


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        write_fastmri(tmp_path / "knee" / "multicoil_val" / f"file{number}.h5", make_volume())
    (tmp_path / "knee" / "README").write_text("a file that is no volume")
    write_manifest(tmp_path)
    return tmp_path


def write_manifest(folder, more=(), **facts):
    """The manifest of an archive that held all files below `folder/knee`."""
    root = folder / "knee"
    members = [
        Member(
            name=path.relative_to(root).as_posix(),
            size_bytes=path.stat().st_size,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            state="done",
        )
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".mrikit" not in path.parts
    ]
    record = ArchiveRecord(**{"name": ARCHIVE, "size_bytes": 9, "state": "whole", "checksum": "ok", **facts})
    path = manifest_path(root, ARCHIVE)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(format_manifest(Manifest(archive=record, members=(*members, *more))))


def found(folder, **options):
    findings = check_folder(folder, **options).findings
    return [(finding.severity, finding.kind, finding.files, finding.what) for finding in findings]


def test_a_folder_as_it_was_unpacked_gives_no_finding(folder):
    report = check_folder(folder, is_deep=True)
    assert report.findings == []
    assert (report.num_archives, report.num_members, report.num_volumes) == (1, 4, 3)
    assert report.num_read == 4, "three volumes, of which slices and digest are read, and a file"


def test_the_unpacked_folder_itself_can_be_checked_as_well(folder):
    assert check_folder(folder / "knee").num_members == 4


def test_missing_members_are_one_error_for_the_archive(folder):
    (folder / "knee" / "README").unlink()
    (folder / "knee" / "multicoil_val" / "file1.h5").unlink()
    assert found(folder) == [
        (
            "error",
            "missing",
            ("knee/README", "knee/multicoil_val/file1.h5"),
            f"2 files unpacked from {ARCHIVE}, but not there any more",
        )
    ]


def test_a_member_of_another_size_is_an_error_with_both(folder):
    (folder / "knee" / "README").write_text("longer than it was when it was unpacked")
    assert found(folder) == [
        ("error", "size_differs", ("knee/README",), f"39 bytes, but {ARCHIVE} has it with 24"),
    ]


def test_a_changed_byte_is_found_by_a_deep_check_only(folder):
    (folder / "knee" / "README").write_text("a file that is no volumE")
    assert found(folder) == []
    told = (
        "error",
        "sha256_differs",
        ("knee/README",),
        f"its bytes are not those that were unpacked from {ARCHIVE}: another SHA256",
    )
    assert found(folder, is_deep=True) == [told]


def test_what_brings_a_file_back_is_its_archive_or_the_download_if_that_is_gone(folder, tmp_path):
    def remedies():
        return [finding.remedy for finding in check_folder(folder, is_deep=True).findings]

    (folder / "knee" / "README").write_text("a file that is no volumE")
    (folder / "knee" / "multicoil_val" / "file1.h5").unlink()
    gone = f"copy {ARCHIVE} again with `mrikit data copy`, because it is not there any more, and unpack it"
    assert remedies() == [f"delete the file, then {gone}", gone]
    (folder / "knee" / ARCHIVE).write_bytes(b"archive")
    again = f"unpack {folder / 'knee' / ARCHIVE} again"
    assert remedies() == [f"delete the file, then {again}", again]


def test_an_archive_is_looked_for_where_it_was_unpacked_from(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("archives") / ARCHIVE
    place.write_bytes(b"archive")
    write_manifest(folder, place=str(place))
    (folder / "knee" / "README").unlink()
    (finding,) = check_folder(folder).findings
    assert finding.remedy == f"unpack {place} again"


def test_a_file_larger_than_one_read_has_its_whole_digest_compared(folder, monkeypatch):
    monkeypatch.setattr("mrikit.check.manifests._CHUNK_BYTES", 10_000)
    done = []
    assert found(folder, is_deep=True, num_workers=1, on_bytes=lambda name, count: done.append((name, count))) == []
    path = folder / "knee" / "multicoil_val" / "file1.h5"
    counts = [count for name, count in done if name == "knee/multicoil_val/file1.h5" and count <= 10_000]
    assert sum(counts) == path.stat().st_size
    with path.open("r+b") as file:
        file.seek(path.stat().st_size - 1)
        file.write(b"\xff")
    assert ("error", "sha256_differs") in [told[:2] for told in found(folder, is_deep=True)]


def test_a_new_manifest_has_digests_compared_again(folder):
    check_folder(folder, is_deep=True)
    text = (folder / "knee" / ".mrikit" / f"{ARCHIVE}.jsonl").read_text()
    digest = hashlib.sha256((folder / "knee" / "README").read_bytes()).hexdigest()
    (folder / "knee" / ".mrikit" / f"{ARCHIVE}.jsonl").write_text(text.replace(digest, "0" * 64))
    report = check_folder(folder, is_deep=True)
    assert [finding.kind for finding in report.findings] == ["sha256_differs"]
    assert (report.num_read, report.num_known) == (1, 3)


@pytest.mark.parametrize(
    ("facts", "severity", "kind", "what"),
    [
        ({"state": "partial"}, "error", "unfinished", "unpacked only in part: 4 files so far"),
        (
            {"state": "truncated", "where": "ends in block 3"},
            "error",
            "archive_truncated",
            "the archive is truncated: ends in block 3",
        ),
        (
            {"state": "damaged", "where": "check of block 2"},
            "error",
            "archive_damaged",
            "the archive is damaged: check of block 2",
        ),
        (
            {"state": "trailing bytes", "where": "12 bytes"},
            "warning",
            "trailing_bytes",
            "something follows the end of the archive: 12 bytes",
        ),
        (
            {"checksum": "mismatch"},
            "error",
            "checksum",
            "the archive is not the published one: its SHA256 is another, but another is published",
        ),
        (
            {"completeness": Completeness(state="incomplete", num_expected=199, num_missing=7)},
            "error",
            "incomplete",
            f"7 of 199 published members are not in {ARCHIVE}",
        ),
    ],
)
def test_what_is_wrong_with_an_archive_is_told(folder, facts, severity, kind, what):
    write_manifest(folder, **facts)
    assert found(folder) == [(severity, kind, (f"knee/{ARCHIVE}",), what)]


@pytest.mark.parametrize("facts", [{"state": "stopped"}, {"checksum": "unpublished"}, {"checksum": "not checked"}])
def test_what_was_not_asked_for_is_no_finding(folder, facts):
    write_manifest(folder, **facts)
    assert found(folder) == []


def test_published_members_that_are_missing_are_told_by_name(folder):
    completeness = Completeness(state="incomplete", num_expected=5, num_missing=1, missing=("file9.h5",))
    write_manifest(folder, completeness=completeness)
    assert found(folder)[0][1:3] == ("incomplete", ("knee/file9.h5",))


def test_refused_members_are_told_by_reason(folder):
    more = [
        Member(name=name, size_bytes=0, sha256=None, state="refused", reason=reason)
        for name, reason in (("../evil", "leads out"), ("link", "a link"), ("/etc/passwd", "leads out"))
    ]
    write_manifest(folder, more)
    assert found(folder) == [
        ("error", "refused", ("knee/../evil", "knee//etc/passwd"), f"2 files of {ARCHIVE} refused: leads out"),
        ("error", "refused", ("knee/link",), f"1 file of {ARCHIVE} refused: a link"),
    ]


def test_a_manifest_that_is_none_is_an_error(folder):
    (folder / "knee" / ".mrikit" / f"{ARCHIVE}.jsonl").write_text("torn")
    assert found(folder) == [
        ("error", "manifest", (f"knee/.mrikit/{ARCHIVE}.jsonl",), "not a manifest of an archive"),
    ]


def test_the_results_of_a_check_are_no_manifest(folder):
    check_folder(folder / "knee", is_deep=True)
    assert found(folder / "knee") == []


def test_a_file_that_the_disk_refuses_to_give_is_a_finding_and_is_tried_again_the_next_time(folder, monkeypatch):
    def refuse(path, start, count):
        if path.name == "file1.h5":
            raise StorageError(f"{path}: cannot be read: Input/output error")
        return read_range(path, start, count)

    monkeypatch.setattr("mrikit.check.manifests.read_range", refuse)
    name = "knee/multicoil_val/file1.h5"
    assert found(folder, is_deep=True) == [("error", "cannot_be_read", (name,), "cannot be read: Input/output error")]
    monkeypatch.undo()
    report = check_folder(folder, is_deep=True)
    assert (report.findings, report.num_read) == ([], 1)


def test_a_file_that_two_manifests_name_is_compared_with_both(folder):
    unpacked = folder / "knee" / "README"
    for number, digest in enumerate((hashlib.sha256(unpacked.read_bytes()).hexdigest(), "0" * 64)):
        member = Member(name="README", size_bytes=unpacked.stat().st_size, sha256=digest, state="done")
        record = ArchiveRecord(name=f"{number}.tar", size_bytes=9, state="whole", checksum="ok")
        manifest_path(folder / "knee", record.name).write_bytes(
            format_manifest(Manifest(archive=record, members=(member,)))
        )
    for _ in range(2):
        told = [one for one in found(folder, is_deep=True) if one[1] == "sha256_differs"]
        assert [one[3] for one in told] == ["its bytes are not those that were unpacked from 1.tar: another SHA256"]


def test_archives_of_one_name_in_two_folders_are_told_apart(folder):
    shutil.copytree(folder / "knee", folder / "brain")
    for place in ("knee", "brain"):
        (folder / place / "README").unlink()
    told = [one[2] for one in found(folder) if one[1] == "missing"]
    assert sorted(told) == [("brain/README",), ("knee/README",)]
    assert check_folder(folder).num_archives == 2


def test_an_archive_of_which_nothing_was_unpacked_counts(folder):
    record = ArchiveRecord(name="b.tar", size_bytes=9, state="whole", checksum="ok")
    manifest_path(folder / "knee", "b.tar").write_bytes(format_manifest(Manifest(archive=record, members=())))
    assert check_folder(folder).num_archives == 2


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("a symbolic link", "ask the publisher for an archive without them"),
        (reasons.OTHER_CONTENT, "move what is there away, and unpack the archive again"),
        (reasons.TAKEN_BACK, "delete the archive and copy it again, then unpack it"),
    ],
)
def test_what_would_do_about_a_refused_member_depends_on_why(folder, reason, remedy):
    write_manifest(folder, [Member(name="x.h5", size_bytes=1, sha256=None, state="refused", reason=reason)])
    (finding,) = check_folder(folder).findings
    assert finding.remedy == remedy
