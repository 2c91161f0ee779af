import re

import pytest
from storage.folders import local_contents, write

import mrikit.storage.mirror.mirror
import mrikit.storage.mirror.place
from mrikit.errors import ConfigError, DataError, StorageError
from mrikit.storage import (
    BlobPath,
    mirrored,
    only,
    pulled,
    shown,
    write_bytes,
)
from mrikit.storage.blob import container_client
from mrikit.storage.mirror.versions import Synced, Versions

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])


@pytest.mark.parametrize("name", ["../b", "/etc/passwd", "a/../../b", "a//b"])
def test_a_name_that_leads_out_of_the_folder_is_refused(run, monkeypatch, name):
    state = mrikit.storage.FileState(size_bytes=1, version=1)
    monkeypatch.setattr(mrikit.storage.mirror.mirror, "list_files", lambda _folder: {name: state})
    with pytest.raises(StorageError, match=re.escape(f"the blob '{name}' cannot be a file here; rename it")):
        pulled(run)


def test_what_stands_for_a_folder_is_no_file(run):
    mrikit.storage.write_stream(run / "checkpoints", [], metadata={"hdi_isfolder": "true"})
    write_bytes(run / "checkpoints/step-1", b"x")
    assert local_contents(pulled(run)) == {"checkpoints/step-1": "x"}


def test_nothing_at_a_location_is_said(run):
    with pytest.raises(StorageError, match=f"^{run}: there is nothing at this location$"):
        pulled(run)


def test_a_missing_container_is_one_line(blob_container):
    missing = BlobPath("no-such-container", "run")
    message = r"^az://no-such-container/run: there is no container 'no-such-container' at "
    with pytest.raises(StorageError, match=message), mirrored(missing):
        raise AssertionError("it begins without its container")


def test_without_an_account_it_says_how_to_name_one(monkeypatch, tmp_path):
    for name in ("MRIKIT_BLOB_ENDPOINT", "AZURE_STORAGE_ACCOUNT", "MRIKIT_ESTATE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    message = "no storage account is known; set AZURE_STORAGE_ACCOUNT"
    with pytest.raises(ConfigError, match=message), mirrored(BlobPath("data", "run")):
        raise AssertionError("it begins without an account")


def test_errors_name_the_location_and_not_its_mirror(run):
    with pytest.raises(DataError, match=f"^{run}/a: no volume in {run}$"), mirrored(run) as place:
        raise DataError(f"{place.folder}/a: no volume in {place.folder}")


def test_the_first_error_is_told_and_what_is_not_there_is_a_warning(run, monkeypatch):
    def fail(path, *_arguments, **_settings):
        raise StorageError(f"{path}: the network is down")

    monkeypatch.setattr(mrikit.storage.mirror.mirror, "write_stream", fail)

    def work():
        with mirrored(run) as place:
            write(place.folder, "a", "x")
            raise DataError("the volume is damaged")

    with (
        pytest.warns(UserWarning, match=f"the network is down; not at {run} yet: a; the same command uploads them"),
        pytest.raises(DataError, match="the volume is damaged"),
    ):
        work()


def test_a_path_outside_of_the_cache_is_shown_as_it_is(monkeypatch, tmp_path):
    monkeypatch.setenv("MRIKIT_CACHE", str(tmp_path))
    assert shown("/data/mirror/0123456789ab/x") == "/data/mirror/0123456789ab/x"
    assert shown(f"in {tmp_path}/mirror/0123456789ab/data/run.") == "in az://data/run."


def test_versions_tell_a_prefix_from_its_neighbours(tmp_path):
    versions = Versions(tmp_path / "versions.sqlite")
    synced = Synced(version=2**64 - 1, size_bytes=3, mtime_ns=4)
    versions.note(BlobPath("data"), dict.fromkeys(("a/x", "ab/x", "a", "b/x"), synced))
    versions.note(BlobPath("other", "a"), {"y": synced})
    assert versions.below(BlobPath("data", "a")) == {"x": synced}
    assert sorted(versions.below(BlobPath("data"))) == ["a", "a/x", "ab/x", "b/x"]
    versions.note(BlobPath("data", "a"), {"x": None})
    assert versions.below(BlobPath("data", "a")) == {}


def test_a_cache_that_cannot_be_written_is_one_line(run, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MRIKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="cannot be written: Not a directory; set MRIKIT_CACHE to another folder"):
        pulled(run)


def test_a_name_that_is_no_file_does_not_hinder_where_it_is_not_needed(run):
    write_bytes(run / "a", b"x")
    with container_client(run.container).get_blob_client(f"{run.key}/b//c") as client:
        client.upload_blob(b"x")
    with mirrored(run, only("a")) as place:
        assert local_contents(place.folder) == {"a": "x"}
    with pytest.raises(StorageError, match="the blob 'b//c' cannot be a file here; rename it"):
        pulled(run)


def test_what_another_program_wrote_for_a_folder_is_passed_over(run):
    write_bytes(run / "sub/a", b"x")
    with container_client(run.container).get_blob_client(f"{run.key}/sub/") as client:
        client.upload_blob(b"")
    assert local_contents(pulled(run)) == {"sub/a": "x"}


def test_a_real_folder_is_no_single_file(run):
    mrikit.storage.write_stream(run, [], metadata={"Hdi_isfolder": "true"})
    write_bytes(run / "a", b"x")
    assert mrikit.storage.file_state(run) is None
    assert local_contents(pulled(run)) == {"a": "x"}


def test_a_full_disk_is_told_with_the_name_of_the_cache(run, full_disk, monkeypatch):
    write_bytes(run / "a", bytes(3_000_000))
    monkeypatch.setenv("MRIKIT_CACHE", str(full_disk))
    message = f"{run}: 3000000 bytes do not fit on the disk of {full_disk}; free some space, or set MRIKIT_CACHE to"
    with pytest.raises(StorageError, match=f"^{re.escape(message)}"):
        pulled(run)


def test_what_mirrors_need_for_themselves_is_shown_as_it_is(monkeypatch, tmp_path):
    monkeypatch.setenv("MRIKIT_CACHE", str(tmp_path))
    for name in (".locks/0123", ".versions.sqlite"):
        path = f"{tmp_path}/mirror/0123456789ab/{name}"
        assert shown(f"{path}: cannot be written") == f"{path}: cannot be written"
