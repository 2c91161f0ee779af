"""Unpacked data sets, from disk to Blob and back."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from transfer.archives import compressed, files_in, random_members, sha256, tar_of, unpack_bytes
from waiting import HANG_S

from mrikit.check import check_folder
from mrikit.errors import ConfigError, DataError
from mrikit.storage import file_state, list_files, read_bytes, remove, write_bytes
from mrikit.transfer.data_set import copy_data_set, plan_data_set
from mrikit.transfer.published import note_published, published_digests
from mrikit.transfer.source import FileSource
from mrikit.transfer.unpacking.manifest import read_manifest
from mrikit.transfer.unpacking.unpack import UnpackSettings, unpack
from mrikit.volumes import build_index, load_index

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
MEMBERS = random_members([0, 1, 30_000, 40_000])
ARCHIVE = "a.tar.gz"


def move(source, to):
    result = copy_data_set(plan_data_set(source, to))
    assert not result.failed
    return result


def refused(source, to) -> dict[str, str]:
    said = []
    failed = copy_data_set(plan_data_set(source, to), on_failure=said.append).failed
    assert said == [f"{name}: {reason}" for name, reason in failed.items()]
    assert "\n" not in "".join(said)
    return failed


@pytest.fixture
def data(tmp_path):
    """An unpacked archive, and a file that no archive has brought."""
    unpack_bytes(compressed(tar_of(MEMBERS), "gz"), tmp_path, ARCHIVE)
    (tmp_path / "out/notes.txt").write_text("mine")
    return tmp_path / "out"


def test_a_data_set_goes_to_blob_and_back_with_its_manifest(data, tmp_path, blob_container):
    there, back = blob_container / "fastmri", tmp_path / "back"
    up = move(data, there)
    assert (len(up.copied), len(up.present), up.num_compared) == (5, 0, 4)
    assert files_in(there) == MEMBERS | {"notes.txt": b"mine"}
    down = move(there, back)
    assert (len(down.copied), down.num_compared) == (5, 4)
    assert files_in(back) == files_in(data)
    original, copy = read_manifest(data, ARCHIVE), read_manifest(back, ARCHIVE)
    assert copy.archive == original.archive
    assert [(one.name, one.sha256) for one in copy.done] == [(one.name, one.sha256) for one in original.done]


def test_the_same_command_again_copies_nothing_and_reads_nothing(data, tmp_path, blob_container):
    for source, to in ((data, blob_container / "x"), (blob_container / "x", tmp_path / "back")):
        move(source, to)
        before = list_files(to)
        assert plan_data_set(source, to).missing_bytes == 0
        again = move(source, to)
        assert (len(again.copied), len(again.present)) == (0, 5)
        assert list_files(to) == before


def test_a_file_of_many_blocks_arrives_whole(tmp_path, blob_container):
    members = random_members([20_000_000, 2**23])
    unpack_bytes(tar_of(members), tmp_path, "large.tar")
    move(tmp_path / "out", blob_container)
    assert files_in(blob_container) == members


@pytest.mark.parametrize("is_blob", [False, True])
def test_an_unpack_at_the_copy_finds_its_members_done(data, tmp_path, blob_container, is_blob):
    to = blob_container / "data" if is_blob else tmp_path / "copy"
    move(data, to)
    result = unpack(FileSource(tmp_path / ARCHIVE), to, settings=UnpackSettings())
    assert (result.is_ok, result.num_written) == (True, 0)
    assert [member.is_kept for member in result.manifest.done] == [False] * len(MEMBERS)


def test_the_index_comes_along_and_is_not_stale(study, tmp_path, blob_container):
    source, there, back = tmp_path / "study", blob_container / "study", tmp_path / "back"
    shutil.copytree(study, source)
    original = build_index(source)
    for here, to in ((source, there), (there, back)):
        assert move(here, to).num_indexed == len(original)
        copy = load_index(to)
        assert (copy.names, copy.shapes) == (original.names, original.shapes)
        volume = copy.load(0)
        assert (volume.kspace[0] == original.load(0).kspace[0]).all()
    assert load_index(there).lines != original.lines, "arrays in Blob carry the version of their blob"
    assert load_index(back).lines == build_index(back).lines


def test_a_file_that_is_not_what_was_unpacked_is_not_copied(data, blob_container):
    name = "knee/file0_003.h5"
    (data / name).write_bytes(bytes(len(MEMBERS[name])))
    failed = refused(data, blob_container)
    assert f"but {sha256(MEMBERS[name])[:12]}... was unpacked from {ARCHIVE}; delete it" in failed[name]
    assert files_in(blob_container).keys() == MEMBERS.keys() - {name} | {"notes.txt"}
    assert name not in {member.name for member in read_manifest(blob_container, ARCHIVE).done}


@pytest.mark.parametrize("is_blob", [False, True])
def test_a_member_that_did_not_come_is_found_by_a_check_and_brought_by_an_unpack(
    data, tmp_path, blob_container, is_blob
):
    name, to = "knee/file0_003.h5", blob_container / "data" if is_blob else tmp_path / "copy"
    (data / name).write_bytes(bytes(len(MEMBERS[name])))
    refused(data, to)
    findings = [finding for finding in check_folder(to, is_deep=False, num_workers=1).findings if name in finding.files]
    assert [(finding.kind, finding.remedy.partition("`")[0]) for finding in findings] == [("refused", "give the ")]
    result = unpack(FileSource(tmp_path / ARCHIVE), to, settings=UnpackSettings())
    assert (result.is_ok, result.num_written, read_bytes(to / name)) == (True, 1, MEMBERS[name])


def test_a_member_that_comes_later_is_not_missed_any_more(data, tmp_path):
    name = "knee/file0_003.h5"
    (data / name).write_bytes(bytes(len(MEMBERS[name])))
    refused(data, tmp_path / "to")
    (data / name).write_bytes(MEMBERS[name])
    move(data, tmp_path / "to")
    assert read_manifest(tmp_path / "to", ARCHIVE).is_ok


def test_what_a_manifest_misses_is_said_and_the_rest_is_copied(data, tmp_path):
    (data / "knee/file0_001.h5").unlink()
    (data / "knee/file0_002.h5").write_bytes(b"short")
    failed = refused(data, tmp_path / "to")
    assert failed == {
        "knee/file0_001.h5": f"unpacked from {ARCHIVE}, but not there any more; unpack that again",
        "knee/file0_002.h5": f"5 bytes, but {ARCHIVE} has it with 30000; unpack that again",
    }
    assert len(files_in(tmp_path / "to")) == 3


@pytest.mark.parametrize("other", [b"theirs", b"mine"])
def test_a_file_of_somebody_else_stays(data, tmp_path, blob_container, other):
    for to in (tmp_path / "to", blob_container / "to"):
        write_bytes(to / "notes.txt", other)
        failed = refused(data, to)
        assert read_bytes(to / "notes.txt") == other
        if other == b"mine":
            assert not failed
        else:
            assert "another file of 6 bytes is there; move it away" in failed["notes.txt"]


def test_what_an_earlier_copy_brought_is_replaced_when_the_original_changed(data, tmp_path, blob_container):
    for to in (tmp_path / "to", blob_container / "to"):
        move(data, to)
        (data / "notes.txt").write_text("mine!")
        assert list(move(data, to).copied) == ["notes.txt"]
        assert read_bytes(to / "notes.txt") == b"mine!"
        (data / "notes.txt").write_text("mine")


def test_only_what_was_taken_away_comes_again(data, blob_container):
    move(data, blob_container)
    remove(blob_container / "knee/file0_002.h5")
    assert list(move(data, blob_container).copied) == ["knee/file0_002.h5"]


def test_an_archive_beside_what_was_unpacked_from_it_stays_behind(tmp_path):
    unpack_bytes(tar_of(MEMBERS), tmp_path, "b.tar")
    shutil.move(tmp_path / "b.tar", tmp_path / "out/b.tar")
    plan = plan_data_set(tmp_path / "out", tmp_path / "to")
    assert plan.unpacked == ("b.tar",)
    (tmp_path / "out/knee/file0_001.h5").unlink()
    assert plan_data_set(tmp_path / "out", tmp_path / "to").unpacked == ()


def test_published_digests_and_data_sets_below_come_along(data, tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    data.rename(whole / "knee_multicoil")
    note_published(whole / "knee_multicoil", {ARCHIVE: "0" * 64})
    move(whole, tmp_path / "to")
    assert published_digests(tmp_path / "to/knee_multicoil") == {ARCHIVE: "0" * 64}
    assert len(read_manifest(tmp_path / "to/knee_multicoil", ARCHIVE).done) == len(MEMBERS)


def test_leftovers_and_notes_of_the_machine_are_no_data(data, tmp_path):
    for name in (".mrikit/check.journal", ".a.tar.partial", ".mrikit-index.jsonl.partial", ".x.host.1-1.tmp.h5"):
        (data / name).write_text("x")
    move(data, tmp_path / "to")
    assert {name for name in list_files(tmp_path / "to") if "/" not in name} == {"notes.txt"}


@pytest.mark.parametrize(
    ("truth", "lie"), [(f'"archive": "{ARCHIVE}"', '"archive": "../../b.tar"'), ('"sha256": "', '"sha256": 5, "x": "')]
)
def test_a_manifest_that_makes_no_sense_counts_as_none(data, tmp_path, truth, lie):
    path = data / f".mrikit/{ARCHIVE}.jsonl"
    path.write_text(path.read_text().replace(truth, lie))
    assert len(move(data, tmp_path / "to/copy").copied) == len(MEMBERS) + 1
    assert list(tmp_path.glob("to/copy/.mrikit/*.jsonl")) == list(tmp_path.glob("to/*.jsonl")) == []


def test_a_link_that_leads_nowhere_is_said(data, tmp_path):
    (data / "multicoil_train").symlink_to(tmp_path / "not mounted")
    (data / "linked").symlink_to(data / "knee")
    assert refused(data, tmp_path / "to") == {"multicoil_train": "a link that leads nowhere; mend or delete it"}
    assert (tmp_path / "to/linked/file0_003.h5").read_bytes() == MEMBERS["knee/file0_003.h5"]


def test_two_parts_of_an_archive_become_one_whole(data, tmp_path):
    first = tmp_path / "first"
    shutil.copytree(data, first)
    to = tmp_path / "to"
    move(data, to)
    (first / "knee/file0_003.h5").unlink()
    refused(first, to)
    assert {member.name for member in read_manifest(to, ARCHIVE).done} == set(MEMBERS)


def test_a_copy_passes_the_check(study, tmp_path):
    source, packed = tmp_path / "source", tmp_path / "packed"
    packed.mkdir()
    members = {f"multicoil_val/{path.name}": path.read_bytes() for path in study.glob("*.h5")}
    unpack_bytes(tar_of(members), packed, "v.tar")
    (packed / "out").rename(source)
    move(source, tmp_path / "to")
    report = check_folder(tmp_path / "to", is_deep=True, num_workers=1)
    of_copies = ("missing", "size_differs", "sha256_differs", "temporary", "partial")
    assert [finding for finding in report.findings if finding.kind in of_copies] == []
    assert report.num_members == len(members)


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("out", "one of it and {0}/out lies in the other; name a folder beside it"),
        ("out/below", "one of it and {0}/out lies in the other; name a folder beside it"),
        (".", "one of it and {0}/out lies in the other; name a folder beside it"),
        ("out/notes.txt", "{0}/out/notes.txt is a file; name a folder for the data"),
    ],
)
def test_places_that_cannot_be_are_refused(data, tmp_path, to, said):
    with pytest.raises(ConfigError) as error:
        plan_data_set(data, tmp_path / to)
    assert said.format(tmp_path) in str(error.value)


def test_prefixes_in_each_other_are_refused(blob_container):
    write_bytes(blob_container / "a/x.h5", b"x")
    with pytest.raises(ConfigError, match="lies in the other"):
        plan_data_set(blob_container / "a", blob_container / "a/b")
    assert plan_data_set(blob_container / "a", blob_container / "ab").missing_bytes == 1


def test_nothing_at_the_source_is_said(tmp_path, blob_container):
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "none", tmp_path / "empty", blob_container / "none"):
        with pytest.raises(DataError, match="name the folder or az:// prefix of a data set"):
            plan_data_set(source, tmp_path / "to")


def test_a_blob_whose_name_leads_out_of_the_folder_is_refused(tmp_path, blob_container):
    from mrikit.storage.blob import container_client

    client = container_client(blob_container.container)
    client.upload_blob("a/..\\evil.h5", b"x")  # the client makes a slash of it
    client.upload_blob("a/fine.h5", b"x")
    failed = refused(blob_container / "a", tmp_path / "to")
    assert failed == {"../evil.h5": "its name leads out of the folder; rename it"}
    assert list(files_in(tmp_path / "to")) == ["fine.h5"]


CHILD = """
import sys
from mrikit.storage import parse_location
from mrikit.transfer.data_set import copy_data_set, plan_data_set
copy_data_set(
    plan_data_set(*map(parse_location, sys.argv[1:3])),
    on_bytes=lambda name, _count: print(name, flush=True) or sys.stdin.readline(),
)
"""


@pytest.mark.parametrize("is_blob", [False, True])
def test_a_killed_copy_goes_on_with_the_files_that_it_lacks(tmp_path, blob_container, is_blob):
    members = random_members([1000] * 12)
    unpack_bytes(tar_of(members), tmp_path, "k.tar")
    to = blob_container / "to" if is_blob else tmp_path / "to"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "out"), str(to)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"COVERAGE_PROCESS_START": ""},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    for _ in range(8):  # of four threads, at least four files are whole by the eighth
        child.stdout.readline()
        child.stdin.write("\n")
        child.stdin.flush()
    child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.wait(HANG_S)
    child.stdin.close()
    child.stdout.close()
    kept = {name: state for name, state in list_files(to).items() if name in members}
    assert 4 <= len(kept) < len(members)
    if not is_blob:
        with (to / ".mrikit/data-copy.journal").open("a") as journal:
            journal.write('\n["knee/file0')  # as a kill tears it
    move(tmp_path / "out", to)
    assert files_in(to) == members
    after = list_files(to)
    assert {name: after[name] for name in kept} == kept
    assert json.loads(json.dumps(sorted(after))) == sorted(after)


def test_a_torn_file_of_the_right_size_is_not_taken_for_a_copy(data, tmp_path):
    to = tmp_path / "to"
    write_bytes(to / "knee/file0_002.h5", bytes(30_000))
    assert "move it away" in refused(data, to)["knee/file0_002.h5"]
    assert file_state(to / "knee/file0_003.h5") is not None
