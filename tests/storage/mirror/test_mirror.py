import os
import re

import pytest
from storage.folders import contents, local_contents, wait_for, write

import mrikit.storage.mirror.mirror
import mrikit.storage.mirror.place
from mrikit.errors import StorageError
from mrikit.storage import (
    atomic_path,
    mirrored,
    nothing,
    pulled,
    remove,
    write_bytes,
)
from mrikit.storage.mirror.mirror import Mirror
from mrikit.storage.mirror.versions import Versions

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])


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


def test_what_did_not_change_is_transferred_neither_way_again(run, uploads, downloads):
    with mirrored(run) as place:
        write(place.folder, "a.json", "one")
    with mirrored(run):
        pass
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
    monkeypatch.setattr(mrikit.storage.mirror.place, "_SECONDS_BETWEEN_PUSHES", 0.02)
    with mirrored(run) as place:
        for text in ("one", "two and more"):
            write(place.folder, "metrics.jsonl", text)
            wait_for(lambda text=text: contents(run) == {"metrics.jsonl": text})


def test_a_file_that_is_being_written_does_not_get_there(run, monkeypatch):
    monkeypatch.setattr(mrikit.storage.mirror.place, "_SECONDS_BETWEEN_PUSHES", 0.02)
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
    write_stream = mrikit.storage.mirror.mirror.write_stream

    def fail(path, *arguments, **settings):
        if path.name == "checkpoint":
            raise StorageError(f"{path}: the network is down")
        return write_stream(path, *arguments, **settings)

    monkeypatch.setattr(mrikit.storage.mirror.mirror, "write_stream", fail)
    message = (
        f"{run}/checkpoint: the network is down; not at {run} yet: checkpoint and 1 other files; the same command "
        f"uploads them"
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


def test_what_a_killed_process_left_of_what_passes_through_goes(run):
    mirror = Mirror(run)
    path = write(mirror.folder, "volume.h5", "x")
    mirror.push()  # killed before it is deleted
    with mirrored(run, nothing, is_passing=True):
        assert not path.exists()
    assert contents(run) == {"volume.h5": "x"}


def test_many_files_that_come_are_noted_at_once(run, monkeypatch):
    notes, note = [], Versions.note
    for name in "abcdef":
        write_bytes(run / name, b"x")
    monkeypatch.setattr(Versions, "note", lambda self, prefix, files: (notes.append(files), note(self, prefix, files)))
    pulled(run)
    assert [set(files) for files in notes if files] == [set("abcdef")]
