"""`mrikit data unpack`."""

import json

import pytest
import typer
from transfer.archives import compressed, files_in, random_members, sha256, tar_of
from typer.testing import CliRunner

from jobs.data_unpack import unpack
from mrikit.errors import ConfigError, StorageError
from mrikit.storage import write_bytes

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
    assert "2 published digests, 1 lists and 0 counts of members" in result.stderr
    assert "passed over: 1 files that are no archives" in result.stderr


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
    assert "multi_val.tar.gz: missing: file1_002.h5" in result.stdout


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


def test_workers_memory_and_archives_at_once_are_as_asked(archives, tmp_path):
    result = run(archives, "--to", tmp_path / "out", "--workers", 3, "--memory", 64, "--at-once", 1)
    assert "3 threads decode, 64 MiB for blocks in flight" in result.stderr
    assert files_in(tmp_path / "out") == VAL | TEST


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (("nothing",), StorageError, "nothing: no file or folder with files; name an archive"),
        (("lists",), StorageError, "no archive among 1 files"),
        (("archives", "--members", "archives/SHA256"), ConfigError, "not a list of members; one name of an .h5 file"),
        (("archives", "--members", "archives/sub"), ConfigError, "no lists of members; a folder of files such as"),
        (("archives", "--members", "no.txt"), StorageError, "cannot be read as a list of members"),
        (("archives", "--checksums", "no.txt"), StorageError, "no.txt: cannot be read"),
        (("archives", "--volumes", "0"), ConfigError, "num_volumes = 0: at least 1 is needed"),
        (("archives/multi_val.tar.gz", "other/multi_val.tar.gz"), ConfigError, "have one name; unpack them into two"),
    ],
)
def test_a_bad_word_is_said_on_one_line(archives, tmp_path, monkeypatch, words, error, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/multi_val.tar.gz").write_bytes(b"")
    with pytest.raises(error, match=message):
        run(*words, "--to", "out")


@pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
def test_a_prefix_of_archives_in_blob_is_unpacked_and_emptied(blob_container):
    write_bytes(blob_container / "in/multi_val.tar.gz", tar_of(VAL))
    write_bytes(blob_container / "in/readme.txt", b"text")
    run(blob_container / "in", "--to", blob_container / "out", "--no-keep-archives")
    assert files_in(blob_container / "out") == VAL
    assert list(files_in(blob_container / "in")) == ["readme.txt"]
