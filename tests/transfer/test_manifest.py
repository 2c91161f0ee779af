"""The manifest: what is written can be read, also after a kill tore it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transfer.archives import random_members, tar_of, unpack_bytes

from mrikit.errors import DataError, StorageError
from mrikit.transfer.unpacking.completeness import Completeness, judge_completeness
from mrikit.transfer.unpacking.manifest import (
    ArchiveRecord,
    Manifest,
    Member,
    archive_line,
    format_manifest,
    list_manifests,
    manifest_path,
    member_line,
    parse_manifest,
    read_manifest,
    read_manifest_if_any,
)

RECORD = ArchiveRecord(
    name="knee_multicoil_val.tar.xz",
    size_bytes=100,
    sha256="ab" * 32,
    checksum="mismatch",
    state="truncated",
    where="the tar ends at byte 90",
    completeness=Completeness(state="incomplete", num_expected=3, num_missing=2, missing=("b.h5", "c.h5")),
)
GOOD = Member(name="knee/a.h5", size_bytes=5, sha256="cd" * 32, state="done")
BAD = Member(name="\\x1b.h5", size_bytes=6, sha256=None, state="refused", reason="control characters in its name")
WHOLE = Manifest(archive=RECORD, members=(GOOD, BAD))


def test_what_is_written_can_be_read():
    assert parse_manifest(format_manifest(WHOLE), "m") == WHOLE


@given(st.integers(1, len(format_manifest(WHOLE)) - len(archive_line(RECORD))))
def test_a_torn_line_does_not_count(cut):
    found = parse_manifest(format_manifest(WHOLE)[:-cut], "m")
    assert found.archive == RECORD
    assert set(found.members) <= {GOOD, BAD}


def test_the_later_line_of_a_member_counts():
    again = Member(name="knee/a.h5", size_bytes=5, sha256=None, state="taken back", reason="removed again")
    assert parse_manifest(format_manifest(WHOLE) + member_line(again), "m").members == (BAD, again)


def test_members_of_another_file_of_the_name_stay_but_are_not_present():
    other = ArchiveRecord(name=RECORD.name, size_bytes=200, version="200-7")
    found = parse_manifest(format_manifest(WHOLE) + archive_line(other), "m")
    assert found == Manifest(archive=other, members=(GOOD, BAD))
    assert (found.done, found.present) == ((GOOD,), ())


def test_a_refused_second_member_of_a_name_does_not_replace_the_first():
    twice = Member(name="knee/a.h5", size_bytes=5, sha256=None, state="refused", reason="named twice")
    assert parse_manifest(format_manifest(WHOLE) + member_line(twice), "m").members == (GOOD, BAD, twice)


def test_a_manifest_that_a_kill_left_empty_is_none(tmp_path):
    path = manifest_path(tmp_path, "a.tar")
    path.parent.mkdir()
    assert read_manifest_if_any(tmp_path, "a.tar") is None
    path.write_bytes(b"")
    assert read_manifest_if_any(tmp_path, "a.tar") is None


def test_what_macos_keeps_beside_a_volume_is_no_volume():
    found = judge_completeness(["knee/a.h5", "knee/._a.h5"], None, 1, is_stopped=False)
    assert (found.state, found.num_unexpected) == ("complete", 0)


def test_what_was_published_once_counts_where_nothing_is_known_now():
    earlier = judge_completeness(["a.h5"], ["a.h5", "b.h5", "c.h5"], None, is_stopped=False)
    found = judge_completeness(["a.h5", "b.h5"], None, None, is_stopped=False, earlier=earlier)
    assert (found.state, found.num_expected, found.missing) == ("incomplete", 3, ("c.h5",))


@given(st.binary(max_size=300))
def test_any_other_bytes_are_no_manifest(data):
    with pytest.raises(DataError, match=r"^m: not a manifest of an archive; delete it and unpack again$"):
        parse_manifest(data, "m")


@pytest.mark.parametrize("line", [b"[]", b"1", b'{"archive": "a"}', member_line(GOOD).replace(b"done", b"odd")])
def test_a_line_that_says_something_else_does_not_count(line):
    assert parse_manifest(archive_line(RECORD) + line, "m").members == ()


def test_manifests_are_listed_by_archive(tmp_path):
    for name in ("b.tar", "a.tar.xz"):
        unpack_bytes(tar_of(random_members([10], seed=len(name))), tmp_path, name)
    (tmp_path / "out/.mrikit/check.json").write_text("{}")
    assert list_manifests(tmp_path / "out") == ["a.tar.xz", "b.tar"]
    assert list_manifests(tmp_path / "nothing") == []


def test_a_missing_manifest_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="cannot be read"):
        read_manifest(tmp_path, "a.tar")


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\n.tar"])
def test_an_archive_without_a_file_name_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="not a file name that a manifest could have"):
        manifest_path(tmp_path, name)


@pytest.mark.parametrize(
    ("published", "count", "is_stopped", "state", "num_missing", "num_unexpected"),
    [
        (None, None, False, "unknown", 0, 0),
        (["a.h5"], None, False, "complete", 0, 0),
        (["knee/a.h5"], None, False, "complete", 0, 0),
        (["a.h5", "b.h5"], None, False, "incomplete", 1, 0),
        (["a.h5", "b.h5"], None, True, "unknown", 1, 0),
        (["b.h5"], None, False, "incomplete", 1, 1),
        (None, 1, False, "complete", 0, 0),
        (None, 3, False, "incomplete", 2, 0),
        (None, 0, False, "complete", 0, 1),
    ],
)
def test_completeness_compares_base_names_of_members_that_are_there(
    published, count, is_stopped, state, num_missing, num_unexpected
):
    found = judge_completeness([GOOD.name], published, count, is_stopped=is_stopped)
    assert (found.state, found.num_missing, found.num_unexpected) == (state, num_missing, num_unexpected)


@pytest.mark.parametrize(
    ("change", "is_ok"),
    [
        ({}, True),
        ({"state": "stopped"}, True),
        ({"checksum": "not checked"}, True),
        ({"checksum": "mismatch"}, False),
        ({"state": "truncated"}, False),
        ({"state": "trailing bytes"}, False),
        ({"state": "partial"}, False),
        ({"completeness": Completeness(state="incomplete")}, False),
    ],
)
def test_each_judgement_alone_speaks_against_an_archive(change, is_ok):
    record = ArchiveRecord(**{"name": "a", "size_bytes": 1, "state": "whole", "checksum": "ok"} | change)
    assert Manifest(archive=record, members=(GOOD,)).is_ok == is_ok
    assert not Manifest(archive=record, members=(GOOD, BAD)).is_ok
