"""`mrikit data unpack`."""

import gzip
import json

import pytest
import typer
from transfer.archives import compressed, files_in, random_members, sha256, tar_of
from typer.testing import CliRunner

from mrikit.commands.data.unpack import unpack
from mrikit.errors import ConfigError, StorageError
from mrikit.storage import write_bytes, write_json
from mrikit.transfer.unpacking import unpack_all as unpack_all_module
from mrikit.transfer.unpacking.unpack_all import unpack_all

app = typer.Typer()
app.command()(unpack)
VAL = random_members([3000, 4000, 5000], seed=1, folder="multicoil_val")
TEST = random_members([6000], seed=2, folder="multicoil_test")


@pytest.fixture
def archives(tmp_path):
    folder = tmp_path / "archives"
    (folder / "sub").mkdir(parents=True)
    (folder / "multi_val.tar.gz").write_bytes(tar_of(VAL))
    (folder / "multi_test.tar.xz").write_bytes(compressed(tar_of(TEST), "xz in blocks"))
    (folder / "SHA256").write_text(
        "".join(f"{sha256(path.read_bytes())}  {path.name}\n" for path in folder.glob("*.tar.*"))
    )
    (folder / "sub/deeper.tar").write_bytes(tar_of({"deeper.h5": b"x"}))
    (folder / ".hidden.tar").write_bytes(tar_of({"hidden.h5": b"x"}))
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "multi_val.txt").write_text("".join(f"{name.rpartition('/')[2]}\n" for name in VAL))
    return folder


def run(*words, exit_code=0):
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result


def test_a_folder_of_archives_becomes_volumes_and_a_table(archives, tmp_path):
    out = tmp_path / "out"
    result = run(archives, "--to", out, "--members", tmp_path / "lists", "--checksums", archives / "SHA256")
    assert files_in(out) == VAL | TEST
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[1][:8] == ["multi_test.tar.xz", "ok", "whole", "unknown", "(no", "published", "list)", "1"]
    assert lines[2][:8] == ["multi_val.tar.gz", "ok", "whole", "complete", "(3", "of", "3)", "3"]
    assert result.stdout.splitlines()[-1] == f"next: mrikit data index {out}"
    assert "unpack: 2 archives" in result.stderr
    assert "2 published digests, 1 list and 0 counts of members" in result.stderr
    assert "passed over: 1 other file, by their first bytes no archives" in result.stderr


def test_a_dry_run_says_the_plan_and_does_nothing(archives, tmp_path):
    result = run(archives, "--to", tmp_path / "out", "--dry-run")
    assert "unpack: 2 archives" in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "out").exists()


def test_json_says_the_three_states_apart(archives, tmp_path):
    path = archives / "multi_val.tar.gz"
    path.write_bytes(path.read_bytes()[:6000])
    words = (
        "--to",
        tmp_path / "out",
        "--members",
        tmp_path / "lists/multi_val.txt",
        "--checksums",
        archives / "SHA256",
    )
    (facts,) = json.loads(run(path, *words, "--json", exit_code=1).stdout)
    assert facts["archive"] == "multi_val.tar.gz"
    assert (facts["is_ok"], facts["checksum"], facts["state"]) == (False, "mismatch", "truncated")
    assert facts["completeness"]["state"] == "incomplete"
    assert facts["completeness"]["missing"] == ["file1_001.h5", "file1_002.h5"]
    assert facts["num_done"] == 1


def test_what_is_not_right_is_listed_below_the_table(archives, tmp_path):
    path = archives / "multi_val.tar.gz"
    path.write_bytes(path.read_bytes()[:6000])
    result = run(path, "--to", tmp_path / "out", "--members", tmp_path / "lists", exit_code=1)
    assert "multi_val.tar.gz: truncated: it ends at byte" in result.stdout
    assert result.stdout.count("; delete the archive and copy it again\n") == 1
    assert "multi_val.tar.gz: missing: file1_002.h5" in result.stdout


def test_a_file_in_a_folder_that_is_called_an_archive_and_is_none_is_listed_with_the_reason(archives, tmp_path):
    bad = {
        "page.tar.gz": (b"<!DOCTYPE html><p>Forbidden", "HTML/XML, an error page"),
        "empty.TAR": (b"", "empty"),
        "noise.txz": (b"\x01\x02\x03\x04" * 200, "unknown bytes 01 02 03 04, not an archive"),
        "passwd.tgz": (gzip.compress(b"root\n" * 200), "holds text, not an archive"),
    }
    for name, (data, _) in bad.items():
        (archives / name).write_bytes(data)
    (archives / "notes.csv").write_bytes(b"a,b\n")
    result = run(archives, "--to", tmp_path / "out", exit_code=1)
    for name, (_, reason) in bad.items():
        assert f"\n{name}: {reason}" in result.stdout
    assert "passed over: 2 other files" in result.stderr, "SHA256 and notes.csv"
    assert files_in(tmp_path / "out") == VAL | TEST


def test_the_digests_that_copy_noted_beside_archives_are_compared(archives, tmp_path):
    noted = {"multi_val.tar.gz": sha256((archives / "multi_val.tar.gz").read_bytes()), "multi_test.tar.xz": "7" * 64}
    write_json(archives / ".mrikit/published.json", noted)
    result = run(archives, "--to", tmp_path / "out", exit_code=1)
    assert "; 2 published digests, " in result.stderr
    assert "--checksums" not in result.stderr
    found = sha256((archives / "multi_test.tar.xz").read_bytes())
    assert (
        f"multi_test.tar.xz: its SHA256 is {found[:12]}..., but 777777777777... is published; delete the archive and "
        f"copy it again, then unpack it\n"
    ) in result.stdout
    table = [line.split()[:2] for line in result.stdout.splitlines()[1:3]]
    assert table == [["multi_test.tar.xz", "mismatch"], ["multi_val.tar.gz", "ok"]]


def test_a_list_that_is_named_counts_instead_of_what_copy_noted(archives, tmp_path):
    write_json(archives / ".mrikit/published.json", {"multi_val.tar.gz": "7" * 64})
    run(archives, "--to", tmp_path / "out", "--checksums", archives / "SHA256")


def test_without_a_published_digest_a_line_says_what_would_compare_it(archives, tmp_path):
    stderr = run(archives, "--to", tmp_path / "out", "--dry-run").stderr
    assert "checksum: an archive without a published digest is compared with none; `mrikit data copy` keeps" in stderr


@pytest.mark.parametrize("target", ["notes.csv", "notes.csv/deeper"])
def test_a_target_that_is_a_file_is_refused_before_anything_is_read(archives, tmp_path, monkeypatch, target):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.csv").write_bytes(b"a,b\n")
    with pytest.raises(ConfigError, match=f"^--to {target}: notes.csv is a file; name a folder for the members$"):
        run(archives, "--to", target)


def test_a_failed_archive_has_its_line_and_the_others_go_on(archives, tmp_path):
    page = archives / "page.tar.xz"
    page.write_bytes(b"<html>Forbidden</html>")
    result = run(archives / "multi_val.tar.gz", page, "--to", tmp_path / "out", exit_code=1)
    assert "page.tar.xz: HTML/XML, an error page" in result.stdout
    assert files_in(tmp_path / "out") == VAL


def test_a_number_of_volumes_is_taken_of_each_archive(archives, tmp_path):
    run(archives, "--to", tmp_path / "out", "--volumes", 1)
    assert list(files_in(tmp_path / "out")) == ["multicoil_test/file2_000.h5", "multicoil_val/file1_000.h5"]


def test_archives_go_once_they_are_unpacked_if_they_are_not_to_be_kept(archives, tmp_path):
    (archives / "cut.tar").write_bytes(tar_of(random_members([3000], seed=5))[:2000])
    result = run(archives, "--to", tmp_path / "out", "--no-keep-archives", exit_code=1)
    assert sorted(path.name for path in archives.iterdir()) == [".hidden.tar", "SHA256", "cut.tar", "sub"]
    assert f"deleted: {archives / 'multi_val.tar.gz'}" in result.stdout


@pytest.mark.parametrize("spoil", ["missing", "checksum", "volumes"])
def test_an_archive_that_is_still_needed_stays(archives, tmp_path, spoil):
    words = {
        "missing": ("--members", tmp_path / "lists"),
        "checksum": ("--checksums", archives / "SHA256"),
        "volumes": ("--volumes", 1),
    }[spoil]
    (tmp_path / "lists/multi_val.txt").write_text("file1_999.h5\n")
    (archives / "SHA256").write_text(f"{'0' * 64}  multi_val.tar.gz\n")
    path = archives / "multi_val.tar.gz"
    run(path, "--to", tmp_path / "out", "--no-keep-archives", *words, exit_code=0 if spoil == "volumes" else 1)
    assert path.exists()


def test_the_count_of_the_catalogue_is_used_where_no_list_is_given(archives, tmp_path):
    path = archives / "knee_multicoil_val.tar.xz"
    path.write_bytes(tar_of(VAL))
    assert "incomplete (3 of 199)" in run(path, "--to", tmp_path / "out", exit_code=1).stdout


def test_workers_memory_and_archives_at_once_are_as_asked(archives, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        unpack_all_module, "unpack_all", lambda *words, **names: asked.append(names) or real(*words, **names)
    )
    real = unpack_all
    result = run(archives, "--to", tmp_path / "out", "--workers", 3, "--memory", "64MiB", "--at-once", 1)
    assert "3 threads to decode, 67.1 MB for blocks in flight" in result.stderr
    assert (asked[0]["at_once"], asked[0]["settings"].num_workers, asked[0]["settings"].memory_bytes) == (1, 3, 2**26)
    assert files_in(tmp_path / "out") == VAL | TEST


def test_archives_of_one_name_one_after_the_other_lose_nothing(tmp_path):
    members = {"A": {"s1.h5": b"1" * 100}, "B": {"s2.h5": b"2" * 200}}
    for folder, content in members.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "scan.tar").write_bytes(tar_of(content))
        run(tmp_path / folder / "scan.tar", "--to", tmp_path / "out", "--no-keep-archives")
        assert not (tmp_path / folder / "scan.tar").exists()
    assert files_in(tmp_path / "out") == members["A"] | members["B"]


def test_an_archive_that_was_found_to_be_another_one_stays_if_checksums_are_not_given_again(archives, tmp_path):
    path = archives / "multi_val.tar.gz"
    (archives / "SHA256").write_text(f"{'0' * 64}  multi_val.tar.gz\n")
    run(path, "--to", tmp_path / "out", "--checksums", archives / "SHA256", exit_code=1)
    result = run(path, "--to", tmp_path / "out", "--no-keep-archives", exit_code=1)
    assert path.exists()
    assert "mismatch" in result.stdout


def test_a_compressed_file_that_is_no_archive_is_passed_over_in_a_folder_and_an_error_by_name(archives, tmp_path):
    path = archives / "notes.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n1,2\n" * 200))
    result = run(archives, "--to", tmp_path / "out")
    assert "passed over: notes.csv.gz: holds text, not an archive" in result.stderr
    assert "notes" not in result.stdout
    assert not (tmp_path / "out/.mrikit/notes.csv.gz.jsonl").exists()
    assert "notes.csv.gz: holds text" in run(path, "--to", tmp_path / "out", exit_code=1).stdout


def test_after_a_failure_there_is_no_next_step(archives, tmp_path):
    (archives / "cut.tar").write_bytes(tar_of(random_members([3000], seed=5))[:2000])
    assert "next:" not in run(archives, "--to", tmp_path / "out", exit_code=1).stdout
    assert "next:" in run(archives / "multi_val.tar.gz", "--to", tmp_path / "out").stdout


def test_json_says_which_archives_were_deleted(archives, tmp_path):
    (archives / "cut.tar").write_bytes(tar_of(random_members([3000], seed=5))[:2000])
    found = json.loads(run(archives, "--to", tmp_path / "out", "--no-keep-archives", "--json", exit_code=1).stdout)
    assert {one["archive"]: one["is_deleted"] for one in found} == {
        "cut.tar": False, "multi_test.tar.xz": True, "multi_val.tar.gz": True,
    }  # fmt: skip


def test_an_honest_archive_that_unpacks_to_much_more_is_allowed_by_an_option(tmp_path):
    path = tmp_path / "masks.tar.xz"
    path.write_bytes(compressed(tar_of({"masks.h5": bytes(80_000_000)}), "xz in one block"))
    assert "allow it with --max-expansion" in run(path, "--to", tmp_path / "out", exit_code=1).stdout
    run(path, "--to", tmp_path / "out", "--max-expansion", 10_000)
    assert (tmp_path / "out/masks.h5").stat().st_size == 80_000_000


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (("nothing",), StorageError, "nothing: no file or folder with files; name an archive"),
        (("lists",), StorageError, "no archive among 1 file$"),
        (("archives", "--members", "archives/SHA256"), ConfigError, "not a list of members; one name of an .h5 file"),
        (("archives", "--members", "archives/sub"), ConfigError, "no lists of members; a folder of files such as"),
        (("archives", "--members", "no.txt"), StorageError, "cannot be read as a list of members"),
        (("archives", "--checksums", "no.txt"), StorageError, "no.txt: cannot be read"),
        (("archives", "--volumes", "0"), ConfigError, "^--volumes 0: at least 1 is needed$"),
        (("archives", "--at-once", "-3"), ConfigError, "^--at-once -3: at least 1 is needed$"),
        (("archives", "--workers", "0"), ConfigError, "^--workers 0: at least 1 is needed$"),
        (("archives", "--memory", "-1"), ConfigError, "^--memory -1: a number with a unit is needed, such as 512MB$"),
        (("archives", "--memory", "64"), ConfigError, "^--memory 64: at least 1MB is needed$"),
        (("archives", "--memory", "500TB"), ConfigError, "^--memory 500TB: this machine has .*; give a part of it"),
        (("archives", "--max-expansion", "0"), ConfigError, r"^--max-expansion 0.0: more than 0 is needed$"),
        (("notes",), StorageError, "no archive among 1 file$"),
        (("archives/multi_val.tar.gz", "other/multi_val.tar.gz"), ConfigError, "have one name; unpack them into two"),
    ],
)
def test_a_bad_word_is_said_on_one_line(archives, tmp_path, monkeypatch, words, error, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/multi_val.tar.gz").write_bytes(b"")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/notes.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    with pytest.raises(error, match=message):
        run(*words, "--to", "out")


@pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
def test_a_prefix_of_archives_in_blob_is_unpacked_and_emptied(blob_container):
    write_bytes(blob_container / "in/multi_val.tar.gz", tar_of(VAL))
    write_bytes(blob_container / "in/readme.txt", b"text")
    run(blob_container / "in", "--to", blob_container / "out", "--no-keep-archives")
    assert files_in(blob_container / "out") == VAL
    assert list(files_in(blob_container / "in")) == ["readme.txt"]


@pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
def test_what_copy_noted_beside_archives_in_blob_is_compared_and_what_is_none_is_listed(blob_container, tmp_path):
    data = tar_of(VAL)
    write_bytes(blob_container / "in/multi_val.tar", data)
    write_bytes(blob_container / "in/page.tar.gz", b"<html>Forbidden")
    write_bytes(blob_container / "in/.mrikit/published.json", json.dumps({"multi_val.tar": sha256(data)}).encode())
    result = run(blob_container / "in", "--to", tmp_path / "out", exit_code=1)
    assert "page.tar.gz: HTML/XML, an error page" in result.stdout
    assert ["multi_val.tar", "ok", "whole"] in [line.split()[:3] for line in result.stdout.splitlines()]
    assert f'"place": "{blob_container}/in/multi_val.tar"' in (tmp_path / "out/.mrikit/multi_val.tar.jsonl").read_text()
