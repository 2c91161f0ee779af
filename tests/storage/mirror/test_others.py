import os
import re
import shutil
import subprocess
import sys
import threading
import time

import pytest
from storage.folders import contents, local_contents, wait_for, write

import mrikit.storage.mirror.mirror
import mrikit.storage.mirror.place
from mrikit.errors import StorageError
from mrikit.storage import (
    ConflictError,
    cache_folder,
    list_files,
    mirrored,
    nothing,
    only,
    pulled,
    read_bytes,
    remove,
    write_bytes,
)
from mrikit.storage.mirror.mirror import Mirror
from mrikit.storage.mirror.versions import Versions

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])


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
    monkeypatch.setattr(mrikit.storage.mirror.place, "_SECONDS_BETWEEN_PUSHES", 0.02)
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
        patch.setattr(Versions, "note", die)
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
        patch.setattr(Versions, "note", die)
        with pytest.raises(SystemExit):
            pulled(run)
    assert list(local_contents(pulled(run))) == ["a"]


def test_killed_at_any_time_the_next_one_brings_everything_there(run, azurite_env, tmp_path):
    code = f"""
import os, time
from mrikit.storage import BlobPath, atomic_path
from mrikit.storage.mirror.mirror import Mirror
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
    read_range = mrikit.storage.mirror.mirror.read_range

    def prune(path, *arguments, **settings):
        remove(run / "step-1")
        return read_range(path, *arguments, **settings)

    monkeypatch.setattr(mrikit.storage.mirror.mirror, "read_range", prune)
    assert local_contents(pulled(run)) == {"step-2": "2"}


def test_all_that_conflicts_is_named_and_moving_the_folder_away_goes_on(run, elsewhere, tmp_path):
    elsewhere("one")
    with mirrored(run) as place:
        for name in ("a", "b", "c"):
            write(place.folder, name, "first")
    for name in ("a", "b"):
        write(place.folder, name, "ours")
        write_bytes(run / name, b"theirs")
    with pytest.raises(ConflictError) as caught, mirrored(run):
        raise AssertionError("it begins with what is not settled")
    folder = place.folder.relative_to((tmp_path / "one").resolve())
    assert str(caught.value) == (
        f"{run}/a: changed by someone else since, so it is not overwritten, and so were b; is another process writing "
        f"to {run}? What was made here is kept: move the folder {folder} in {tmp_path}/one away, and the same command "
        f"resumes from what is there"
    )
    place.folder.rename(tmp_path / "moved away")
    with mirrored(run) as place:
        assert local_contents(place.folder) == {"a": "theirs", "b": "theirs", "c": "first"}


def test_what_others_left_is_brought_there_only_by_who_writes_it(run):
    folder = Mirror(run).folder
    write(folder, "v1.h5", "left by a killed process")
    with mirrored(run, writes=nothing) as place:
        write(place.folder, "note", "x")
    with mirrored(run, writes=only("report.html")) as place:
        write(place.folder, "report.html", "page")
    assert pulled(run) == folder
    assert contents(run) == {"report.html": "page"}
    with mirrored(run):
        pass
    assert contents(run) == {"note": "x", "report.html": "page", "v1.h5": "left by a killed process"}


def test_what_is_left_of_a_run_does_not_join_one_that_went_on_elsewhere(run, elsewhere):
    history = "metrics.jsonl"
    elsewhere("one")
    with mirrored(run, history=history) as place:
        write(place.folder, "metrics.jsonl", "1")
    left = write(place.folder, "checkpoints/step-2", "killed before it was there")
    elsewhere("two")
    with mirrored(run, history=history) as other:
        write(other.folder, "metrics.jsonl", "1 2 3")
    elsewhere("one")
    message = (
        f"{run}: another machine continued this run (metrics.jsonl changed), and checkpoints/step-2 of this machine "
        f"would be mixed with it; What was made here is kept: move the folder"
    )
    with pytest.raises(ConflictError, match=f"^{re.escape(message)}"), mirrored(run, history=history):
        raise AssertionError("it goes on with both")
    assert contents(run) == {"metrics.jsonl": "1 2 3"}
    left.unlink()
    with mirrored(run, history=history) as place:
        assert local_contents(place.folder) == {"metrics.jsonl": "1 2 3"}


def test_what_is_left_of_a_run_that_stayed_where_it_was_is_brought_there(run):
    history = "metrics.jsonl"
    with mirrored(run, history=history) as place:
        write(place.folder, "metrics.jsonl", "1")
    write(place.folder, "checkpoints/step-2", "killed before it was there")
    with mirrored(run, history=history):
        pass
    assert list(contents(run)) == ["checkpoints/step-2", "metrics.jsonl"]


def test_an_upload_that_failed_deletes_nobody_elses_file(run, monkeypatch):
    def fail(path, *_arguments, **_settings):
        raise StorageError(f"{path}: the network is down")

    mirror = Mirror(run)
    path = write(mirror.folder, "a", "ours")
    with monkeypatch.context() as patch, pytest.raises(StorageError, match="the network is down"):
        patch.setattr(mrikit.storage.mirror.mirror, "write_stream", fail)
        mirror.push()
    write_bytes(run / "a", b"theirs")
    path.unlink()
    mirror.push()
    assert contents(run) == {"a": "theirs"}


def test_what_another_mirror_brings_there_after_the_listing_stays_here(run, monkeypatch):
    outer, inner = Mirror(run / ".."), Mirror(run)
    inner.folder.mkdir(parents=True)
    list_files = mrikit.storage.mirror.mirror.list_files

    def interrupted(folder):
        found = list_files(folder)
        if folder == outer.path:
            write(inner.folder, "a", "x")
            inner.push()
        return found

    monkeypatch.setattr(mrikit.storage.mirror.mirror, "list_files", interrupted)
    outer.pull()
    assert (inner.folder / "a").read_text() == "x"


def test_who_only_reads_is_told_of_a_conflict_too(run):
    with mirrored(run) as place:
        write(place.folder, "a", "first")
    write(place.folder, "a", "ours")
    write_bytes(run / "a", b"theirs")
    with pytest.raises(ConflictError, match=f"^{run}/a: changed by someone else since"):
        pulled(run)
    with mirrored(run, only("b"), writes=only("report.html")) as place:  # what is not needed does not matter
        write(place.folder, "report.html", "page")
    assert contents(run) == {"a": "theirs", "report.html": "page"}


@pytest.mark.parametrize("cleared", ["run", "cache"])
def test_clearing_the_cache_during_the_work_deletes_nothing_there(run, cleared):
    mirror = Mirror(run)
    write(mirror.folder, "checkpoints/step-1", "1")
    mirror.push()
    shutil.rmtree(mirror.folder if cleared == "run" else cache_folder())
    if cleared == "cache":
        write(mirror.folder, "b", "new")
    mirror.push()
    write(mirror.folder, "b", "new")
    mirror.push()
    assert contents(run) == {"b": "new", "checkpoints/step-1": "1"}


def test_a_deletion_that_failed_is_done_by_the_next_push(run, monkeypatch):
    def fail(path, **_settings):
        raise StorageError(f"{path}: the network is down")

    mirror = Mirror(run)
    path = write(mirror.folder, "a", "x")
    mirror.push()
    path.unlink()
    with monkeypatch.context() as patch, pytest.raises(StorageError, match="the network is down"):
        patch.setattr(mrikit.storage.mirror.mirror, "remove", fail)
        mirror.push()
    mirror.push()
    assert contents(run) == {}


def test_a_file_that_grows_while_it_is_uploaded_is_there_as_it_was_at_first(run, monkeypatch):
    path = write(Mirror(run).folder, "metrics.jsonl", "1")
    write_stream = mrikit.storage.mirror.mirror.write_stream

    def grow(*arguments, **settings):
        path.write_text("1 2")
        return write_stream(*arguments, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(mrikit.storage.mirror.mirror, "write_stream", grow)
        Mirror(run).push()
    assert contents(run) == {"metrics.jsonl": "1"}
    Mirror(run).push()
    assert contents(run) == {"metrics.jsonl": "1 2"}
