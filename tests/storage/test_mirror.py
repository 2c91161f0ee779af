import os
import re
import subprocess
import sys
import threading
import time

import pytest

import mrikit.storage.follow
import mrikit.storage.mirror
import mrikit.storage.twin
from mrikit.errors import ConfigError, DataError, StorageError
from mrikit.storage import (
    BlobPath,
    ConflictError,
    atomic_path,
    list_files,
    mirrored,
    nothing,
    pulled,
    read_bytes,
    remove,
    shown,
    write_bytes,
)
from mrikit.storage.ledger import Entry, Ledger
from mrikit.storage.mirror import Mirror

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])


@pytest.fixture
def run(blob_container):
    return blob_container / "runs/a"


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Changes to the cache of another machine, and back."""

    def change(name):
        monkeypatch.setenv("MRIKIT_CACHE", str(tmp_path / name))

    return change


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def contents(prefix):
    return {name: read_bytes(prefix / name).decode() for name in list_files(prefix)}


def local_contents(folder):
    return {name: (folder / name).read_text() for name in list_files(folder)}


def test_a_local_folder_is_itself(tmp_path):
    with mirrored(tmp_path / "run") as place:
        assert place.folder == tmp_path / "run"
        place.sync()
        place.check()
    assert list(tmp_path.iterdir()) == []
    assert pulled(tmp_path) == tmp_path


def test_what_is_written_gets_there_and_what_is_there_comes_here(run, elsewhere):
    with mirrored(run) as place:
        write(place.folder, "checkpoints/step-1.bin", "one")
        write(place.folder, ".index.jsonl", "{}")
    assert contents(run) == {".index.jsonl": "{}", "checkpoints/step-1.bin": "one"}
    elsewhere("another machine")
    with mirrored(run) as place:
        assert local_contents(place.folder) == {".index.jsonl": "{}", "checkpoints/step-1.bin": "one"}


@pytest.fixture
def uploads(monkeypatch):
    """Names of the blobs that mirrors write, in order."""
    names, write_stream = [], mrikit.storage.twin.write_stream

    def note(path, *arguments, **settings):
        names.append(path.name)
        return write_stream(path, *arguments, **settings)

    monkeypatch.setattr(mrikit.storage.twin, "write_stream", note)
    return names


@pytest.fixture
def downloads(monkeypatch):
    """Names of the blobs that mirrors read."""
    names, read_range = [], mrikit.storage.twin.read_range

    def note(path, *arguments, **settings):
        names.append(path.name)
        return read_range(path, *arguments, **settings)

    monkeypatch.setattr(mrikit.storage.twin, "read_range", note)
    return names


def wait_for(question, seconds=20):
    end = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.02)


def test_what_did_not_change_is_transferred_neither_way_again(run, uploads, downloads):
    for _ in range(2):
        with mirrored(run) as place:
            write(place.folder, "a.json", "one")  # written anew, with the same content
    with mirrored(run / "..") as above:
        assert (above.folder / "a/a.json").read_text() == "one"
    assert (uploads, downloads) == (["a.json"], [])


def test_only_what_changed_there_comes_again(run, downloads, elsewhere):
    with mirrored(run) as place:
        write(place.folder, "a", "one")
        write(place.folder, "b", "one")
    elsewhere("other")
    with mirrored(run):
        pass
    write_bytes(run / "b", b"two")
    downloads.clear()
    with mirrored(run) as place:
        assert local_contents(place.folder) == {"a": "one", "b": "two"}
    assert downloads == ["b"]


def test_only_chosen_files_come_and_the_others_stay_where_they_are(run, downloads):
    for name in ("a.json", "b.h5"):
        write_bytes(run / name, b"x")
    with mirrored(run, lambda names: [name for name in names if name.endswith(".json")]) as place:
        assert list(local_contents(place.folder)) == ["a.json"]
        assert place.names == {"a.json", "b.h5"}
    assert (list(contents(run)), downloads) == (["a.json", "b.h5"], ["a.json"])


def test_files_get_there_while_the_work_goes_on(run, monkeypatch):
    monkeypatch.setattr(mrikit.storage.follow, "_SECONDS_BETWEEN_PUSHES", 0.02)
    with mirrored(run) as place:
        for text in ("one", "two and more"):
            write(place.folder, "metrics.jsonl", text)
            wait_for(lambda text=text: contents(run) == {"metrics.jsonl": text})


def test_a_file_that_is_being_written_does_not_get_there(run, monkeypatch):
    monkeypatch.setattr(mrikit.storage.follow, "_SECONDS_BETWEEN_PUSHES", 0.02)
    with mirrored(run) as place, atomic_path(place.folder / "a.bin") as temporary:
        temporary.write_bytes(b"half")
        write(place.folder, "b", "whole")
        wait_for(lambda: "b" in contents(run))
        assert list(contents(run)) == ["b"]
        temporary.write_bytes(b"whole")
    assert list(contents(run)) == ["a.bin", "b"]


def test_files_get_there_in_the_order_in_which_they_were_finished(run, uploads):
    with mirrored(run) as place:
        for number, name in enumerate(["z", "m", "a"]):
            os.utime(write(place.folder, name, name), ns=(0, number))
    assert uploads == ["z", "m", "a"]


def test_what_was_finished_after_a_file_that_cannot_be_pushed_waits_for_it(run, monkeypatch):
    write_stream = mrikit.storage.twin.write_stream

    def fail(path, *arguments, **settings):
        if path.name == "checkpoint":
            raise StorageError(f"{path}: the network is down")
        return write_stream(path, *arguments, **settings)

    monkeypatch.setattr(mrikit.storage.twin, "write_stream", fail)
    message = (
        f"{run}/checkpoint: the network is down; not at {run} yet: checkpoint and 1 other files; the same command "
        f"brings them there"
    )
    with pytest.raises(StorageError, match=f"^{re.escape(message)}$"), mirrored(run) as place:
        os.utime(write(place.folder, "checkpoint", "c"), ns=(0, 1))
        os.utime(write(place.folder, "latest", "c"), ns=(0, 2))
    assert contents(run) == {}


def test_the_next_one_brings_there_what_could_not_be_pushed(run):
    with mirrored(run):
        pass
    write(Mirror(run).folder, "a", "left by a killed process")
    with mirrored(run):
        pass
    assert contents(run) == {"a": "left by a killed process"}


def test_what_is_deleted_here_is_deleted_there_and_nothing_else(run):
    write_bytes(run / "foreign", b"x")
    with mirrored(run, lambda _names: []) as place:
        pruned = write(place.folder, "step-1", "x")
        place.sync()
        assert list(contents(run)) == ["foreign", "step-1"]
        pruned.unlink()
    assert list(contents(run)) == ["foreign"]


def test_what_somebody_else_wrote_in_the_place_of_what_is_deleted_here_stays(run):
    with mirrored(run) as place:
        path = write(place.folder, "a", "ours")
        place.sync()
        write_bytes(run / "a", b"theirs")
        path.unlink()
    assert contents(run) == {"a": "theirs"}


def test_a_cleared_cache_deletes_nothing_there(run):
    with mirrored(run) as place:
        path = write(place.folder, "a", "x")
    path.unlink()
    with mirrored(run, nothing):
        assert not path.exists()
    with mirrored(run):
        assert path.read_text() == "x"
    assert contents(run) == {"a": "x"}


def test_what_was_deleted_there_goes_here_unless_it_was_changed_since(run):
    with mirrored(run) as place:
        for name in ("kept", "gone"):
            write(place.folder, name, "x")
    for name in ("kept", "gone"):
        remove(run / name)
    write(place.folder, "kept", "changed")
    with mirrored(run):
        assert list(local_contents(place.folder)) == ["kept"]
    assert contents(run) == {"kept": "changed"}


def test_nobody_is_overwritten(run, elsewhere):
    elsewhere("one")
    with pytest.raises(ConflictError) as caught, mirrored(run) as one:
        elsewhere("two")
        with mirrored(run) as two:
            write(two.folder, "metrics.jsonl", "theirs")
        elsewhere("one")
        write(one.folder, "metrics.jsonl", "ours")
    assert contents(run) == {"metrics.jsonl": "theirs"}
    assert str(caught.value).startswith(
        f"{run}/metrics.jsonl: changed by someone else since, so it is not overwritten; "
    )
    assert (one.folder / "metrics.jsonl").read_text() == "ours"
    with pytest.raises(ConflictError, match="changed by someone else"), mirrored(run):
        raise AssertionError("the next one begins with what is not settled")


def test_long_work_learns_soon_that_somebody_else_writes(run, monkeypatch):
    monkeypatch.setattr(mrikit.storage.follow, "_SECONDS_BETWEEN_PUSHES", 0.02)
    with pytest.raises(ConflictError, match="is another process writing to"), mirrored(run) as place:
        write(place.folder, "a", "ours")
        wait_for(lambda: contents(run))
        place.check()
        write_bytes(run / "a", b"theirs")
        write(place.folder, "a", "ours again")
        wait_for(place.check)  # it never says yes
    assert contents(run) == {"a": "theirs"}


def test_the_same_from_two_is_no_conflict(run, elsewhere):
    elsewhere("one")
    with mirrored(run) as one:
        write(one.folder, "reconstruct.json", "same")
        elsewhere("two")
        with mirrored(run) as two:
            write(two.folder, "reconstruct.json", "same")
        elsewhere("one")
    assert contents(run) == {"reconstruct.json": "same"}


def test_two_mirrors_of_one_machine_do_not_hinder_each_other(run):
    with mirrored(run) as inner, mirrored(run / "..") as outer:
        write(inner.folder, "a", "one")
        outer.sync()
        write(outer.folder, "a/a", "two")
        inner.sync()
        write(outer.folder, "a/a", "three")
    assert contents(run) == {"a": "three"}


def test_of_several_processes_one_brings_the_files_and_the_others_find_them(run, downloads):
    write_bytes(run / "a", b"x" * 1000)
    threads = [threading.Thread(target=lambda: pulled(run)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert downloads == ["a"]


def test_the_upload_of_a_process_that_was_killed_before_it_knew_is_its_own(run, monkeypatch):
    def die(*_arguments):
        raise SystemExit

    with mirrored(run) as place:
        write(place.folder, "metrics.jsonl", "1")
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "note", die)
        write(place.folder, "metrics.jsonl", "1 2")
        with pytest.raises(SystemExit):
            Mirror(run).push()
    assert contents(run) == {"metrics.jsonl": "1 2"}
    write(place.folder, "metrics.jsonl", "1 2 3")
    with mirrored(run):
        pass
    assert contents(run) == {"metrics.jsonl": "1 2 3"}


def test_one_that_was_killed_before_it_knew_what_it_brought_here_begins_again(run, monkeypatch):
    def die(*_arguments):
        raise SystemExit

    write_bytes(run / "a", b"of another program, which notes no digest")
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "note", die)
        with pytest.raises(SystemExit):
            pulled(run)
    assert list(local_contents(pulled(run))) == ["a"]


def test_killed_at_any_time_the_next_one_brings_everything_there(run, azurite_env, tmp_path):
    code = f"""
import os, time
from mrikit.storage import BlobPath, atomic_path
from mrikit.storage.mirror import Mirror
mirror = Mirror(BlobPath({run.container!r}, {run.key!r}))
print("ready", flush=True)
for number in range(1000):
    mirror.folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(mirror.folder / f"step-{{number:04}}") as temporary:
        temporary.write_bytes(os.urandom(1000))
    with (mirror.folder / "metrics.jsonl").open("a") as file:
        file.write(f"{{number}}\\n")
    mirror.sync()
    print(number, flush=True)
"""
    for delay in (0.0, 0.003, 0.011, 0.017, 0.023):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=os.environ | azurite_env)
        assert [process.stdout.readline() for _ in range(3)] == [b"ready\n", b"0\n", b"1\n"]
        time.sleep(delay)
        process.kill()
        process.wait()
        process.stdout.close()
    with mirrored(run) as place:
        pass
    here = {name: (place.folder / name).read_bytes() for name in Mirror(run)._files()}
    assert len(here) > 2  # a checkpoint of each step, and the metrics
    assert here == {name: read_bytes(run / name) for name in list_files(run)}


def test_one_that_is_pruned_while_it_comes_is_not_missed(run, monkeypatch):
    write_bytes(run / "step-1", b"1")
    write_bytes(run / "step-2", b"2")
    read_range = mrikit.storage.twin.read_range

    def prune(path, *arguments, **settings):
        remove(run / "step-1")
        return read_range(path, *arguments, **settings)

    monkeypatch.setattr(mrikit.storage.twin, "read_range", prune)
    assert local_contents(pulled(run)) == {"step-2": "2"}


def test_files_that_only_pass_through_leave_no_copy_here(run):
    with mirrored(run, is_passing=True) as place:
        write(place.folder, "volume.h5", "x")
    assert local_contents(place.folder) == {}
    with mirrored(run, nothing, is_passing=True) as place:
        assert place.names == {"volume.h5"}
    assert contents(run) == {"volume.h5": "x"}


def test_a_single_file_comes_alone(run):
    for name in ("a.bin", "b.bin"):
        write_bytes(run / name, b"x")
    path = pulled(run / "a.bin")
    assert (path.name, list(local_contents(path.parent))) == ("a.bin", ["a.bin"])


def test_what_is_not_what_was_written_is_not_taken(run):
    mrikit.storage.write_stream(run / "a", [b"x"], metadata={"sha256": "0" * 64})
    with pytest.raises(StorageError, match=rf"^{run}/a: its content has not the digest that was noted with it; "):
        pulled(run)
    assert not Mirror(run)._files()


@pytest.mark.parametrize("name", ["../b", "/etc/passwd", "a/../../b", "a//b"])
def test_a_name_that_leads_out_of_the_folder_is_refused(run, monkeypatch, name):
    state = mrikit.storage.FileState(size_bytes=1, version=1)
    monkeypatch.setattr(mrikit.storage.mirror, "list_files", lambda _folder: {name: state})
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

    monkeypatch.setattr(mrikit.storage.twin, "write_stream", fail)

    def work():
        with mirrored(run) as place:
            write(place.folder, "a", "x")
            raise DataError("the volume is damaged")

    with (
        pytest.warns(UserWarning, match=f"the network is down; not at {run} yet: a; the same command"),
        pytest.raises(DataError, match="the volume is damaged"),
    ):
        work()


def test_a_path_outside_of_the_cache_is_shown_as_it_is(monkeypatch, tmp_path):
    monkeypatch.setenv("MRIKIT_CACHE", str(tmp_path))
    assert shown("/data/mirror/0123456789ab/x") == "/data/mirror/0123456789ab/x"
    assert shown(f"in {tmp_path}/mirror/0123456789ab/data/run.") == "in az://data/run."


def test_the_ledger_tells_a_prefix_from_its_neighbours(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    entry = Entry(version=2**64 - 1, signature=(3, 4), sha256="ab")
    for key in ("a/x", "ab/x", "a", "b/x"):
        ledger.note(BlobPath("data", key), entry)
    ledger.note(BlobPath("other", "a/y"), entry)
    assert ledger.entries(BlobPath("data", "a")) == {"x": entry}
    assert sorted(ledger.entries(BlobPath("data"))) == ["a", "a/x", "ab/x", "b/x"]
    ledger.forget(BlobPath("data", "a/x"))
    assert ledger.entries(BlobPath("data", "a")) == {}


def test_a_cache_that_cannot_be_written_is_one_line(run, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MRIKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="cannot be written: Not a directory; set MRIKIT_CACHE to another folder"):
        pulled(run)
