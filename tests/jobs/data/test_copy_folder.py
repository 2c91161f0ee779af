"""`mrikit data copy FOLDER`."""

import json

import pytest
import typer
from transfer.archives import files_in, random_members, tar_of, unpack_bytes
from typer.testing import CliRunner

from mrikit.commands.data.copy import copy
from mrikit.errors import ConfigError, StorageError

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
MEMBERS = random_members([1000, 2000], folder="multicoil_val")


@pytest.fixture
def data(tmp_path):
    unpack_bytes(tar_of(MEMBERS), tmp_path, "a.tar")
    return tmp_path / "out"


def run(*words, exit_code=0):
    app = typer.Typer()
    app.command()(copy)
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == exit_code, result.output + repr(result.exception)
    return result


def test_a_data_set_is_copied_and_the_next_command_checks_it(data, blob_container):
    result = run(data, "--to", blob_container / "knees")
    assert f"copy: 2 files, 3.0 kB of 3.0 kB to come, from {data} to {blob_container}/knees" in result.stderr
    assert "manifests of 1 archive know the SHA256 of 2" in result.stderr
    assert result.stdout.splitlines() == [
        "2 files copied, 3.0 kB; 0 there before; SHA256 as unpacked of 2",
        f"next: mrikit data check {blob_container}/knees",
    ]
    assert files_in(blob_container / "knees") == MEMBERS
    again = run(blob_container / "knees", "--to", data.parent / "back", "--json")
    assert json.loads(again.stdout) == {
        "from": f"{blob_container}/knees",
        "to": str(data.parent / "back"),
        "num_copied": 2,
        "num_present": 0,
        "num_compared": 2,
        "num_indexed": 0,
        "size_bytes": 3000,
        "copied_bytes": 3000,
        "failed": {},
        "next": f"mrikit data check {data.parent / 'back'}",
    }


def test_a_dry_run_changes_nothing(data, tmp_path):
    (data / "multicoil_val/file0_000.h5").unlink()
    result = run(data, "--to", tmp_path / "to", "--dry-run", exit_code=1)
    assert "multicoil_val/file0_000.h5: unpacked from a.tar, but not there any more" in result.stdout
    facts = json.loads(run(data, "--to", tmp_path / "to", "--dry-run", "--json", exit_code=1).stdout)
    assert (facts["num_files"], facts["missing_bytes"], len(facts["faults"])) == (1, 2000, 1)
    assert not (tmp_path / "to").exists()


def test_a_file_that_fails_is_told_and_the_exit_code_says_so(data, tmp_path):
    (data / "multicoil_val/file0_000.h5").write_bytes(bytes(1000))
    result = run(data, "--to", tmp_path / "to", exit_code=1)
    assert "multicoil_val/file0_000.h5: SHA256 is" in result.stderr
    assert result.stdout.splitlines()[-1] == "1 file failed; the same command tries them again"


def test_a_file_that_is_not_there_any_more_is_told_once(data, tmp_path):
    (data / "multicoil_val/file0_000.h5").unlink()
    result = run(data, "--to", tmp_path / "to", exit_code=1)
    assert result.stderr.count("multicoil_val/file0_000.h5: ") == 1


def test_a_target_that_cannot_be_written_is_told_once(data, tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "to/.mrikit").write_text("a file, where a folder has to be")
    error = run(data, "--to", tmp_path / "to", exit_code=1).exception
    assert isinstance(error, StorageError)
    assert str(error).endswith("/.mrikit/data-copy.journal: cannot be written: File exists; name another folder")


@pytest.mark.parametrize(
    "option",
    ["--only=knee", "--engine=stream", "--no-keep-archives", "--volumes=1", "--max-rate=1MB/s", "--connections=2"],
)
def test_options_of_archives_are_refused(data, tmp_path, option):
    error = run(data, "--to", tmp_path / "to", option, exit_code=1).exception
    assert isinstance(error, ConfigError)
    assert str(error).endswith(f"is for the archives of a mail; {data} is a data set: leave it out")


def test_a_disk_without_room_is_refused_before_anything_is_copied(tmp_path, full_disk):
    unpack_bytes(tar_of(random_members([3_000_000])), tmp_path, "large.tar")
    error = run(tmp_path / "out", "--to", full_disk / "to", exit_code=1).exception
    assert isinstance(error, StorageError)
    assert "3.0 MB are to come but only 1.0 MB of disk are free" in str(error)
    assert not (full_disk / "to").exists()
