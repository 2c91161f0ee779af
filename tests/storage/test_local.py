import os
import re
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from mrikit.errors import StorageError
from mrikit.storage import atomic_path, create_json, has_living_writer, is_temporary, read_json, write_json, write_text


def test_a_file_appears_whole_with_its_folder(tmp_path):
    path = tmp_path / "new" / "a.json"
    write_json(path, {"a": [1, 2]})
    assert read_json(path) == {"a": [1, 2]}
    assert [entry.name for entry in path.parent.iterdir()] == ["a.json"]


def test_two_threads_that_write_one_file_do_not_mix_their_bytes(tmp_path):
    path = tmp_path / "a.txt"
    barrier = threading.Barrier(2)

    def write(letter):
        with atomic_path(path) as temporary, temporary.open("wb", buffering=0) as file:
            for _ in range(100):
                barrier.wait()
                file.write(letter * 10)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in (b"a" * 1000, b"b" * 1000)
    assert list(tmp_path.iterdir()) == [path]


def test_a_temporary_name_tells_its_writer():
    host = re.sub(r"[^A-Za-z0-9-]", "-", os.uname().nodename)
    mine = f".a.b.{host}.{os.getpid()}-77.tmp.h5"
    assert is_temporary(mine)
    assert has_living_writer(mine)
    assert is_temporary(".a.elsewhere.12.tmp")
    assert not has_living_writer(f".a.elsewhere.{os.getpid()}.tmp")
    assert not has_living_writer(f".a.{host}.{10**20}.tmp")
    assert not is_temporary("a.tmp")
    assert not is_temporary(".a.tmp.h5")


def test_an_error_while_writing_keeps_the_old_file_and_leaves_nothing(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError, match="stop"), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("stop")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_removed_by_the_next_writer(tmp_path):
    path = tmp_path / "a.txt"
    code = (
        "import os, signal, sys, pathlib; from mrikit.storage import atomic_path\n"
        "with atomic_path(pathlib.Path(sys.argv[1])) as t:\n"
        "    t.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, path], check=False).returncode == -9
    assert [entry.suffix for entry in tmp_path.iterdir()] == [".txt"]
    assert not path.exists()
    write_text(path, "whole")
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_of_a_living_process_is_left_alone(tmp_path):
    mine = temporary_name(tmp_path / "a.txt")
    other = tmp_path / mine.replace(str(os.getpid()), str(os.getppid()))
    other.write_text("in work")
    write_text(tmp_path / "a.txt", "whole")
    assert other.exists()


def temporary_name(path):
    with atomic_path(path) as temporary:
        temporary.write_text("")
    return temporary.name


def test_the_temporary_file_of_another_host_is_left_alone(tmp_path, monkeypatch):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    name = f".a.node-7-lab.{gone.pid}.tmp.txt"
    (tmp_path / name).write_text("perhaps in work")
    write_text(tmp_path / "a.txt", "whole")
    assert (tmp_path / name).exists()
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(nodename="node_7.lab"))
    assert temporary_name(tmp_path / "a.txt").startswith(f".a.node-7-lab.{os.getpid()}-")
    assert not (tmp_path / name).exists()  # on that host it is an orphan


def test_a_full_disk_is_one_clear_line_and_writes_nothing(full_disk):
    with pytest.raises(StorageError, match="the disk is full; nothing was written") as caught:
        write_text(full_disk / "a.txt", "x" * 10_000_000)
    assert "\n" not in str(caught.value)
    assert list(full_disk.iterdir()) == []


def test_a_file_that_would_not_fit_is_refused_before_it_is_begun(full_disk):
    with pytest.raises(StorageError, match="the disk is full"), atomic_path(full_disk / "a.h5", num_bytes=2**20):
        pytest.fail("the block must not run")


def test_an_hdf5_file_that_fills_the_disk_is_the_same_clear_line(tmp_path):
    # h5py's own text, at closing a file; provoking it for real leaves errors in its destructors.
    message = "Can't decrement id ref count (file write failed: filename = 'x', errno = 28, error message = 'No space')"
    with pytest.raises(StorageError, match="the disk is full"), atomic_path(tmp_path / "a.h5"):
        raise RuntimeError(message)


def test_a_folder_that_is_a_file_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/a.txt: cannot be written: (Not a directory|File exists)"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_a_json_file_is_created_once_and_a_half_claim_is_taken_over(tmp_path):
    path = tmp_path / "new" / "a.json"
    assert create_json(path, 1)
    assert not create_json(path, 2)
    assert read_json(path) == 1
    path.write_text("")
    assert create_json(path, 3)
    assert read_json(path) == 3


def test_a_json_file_that_is_missing_or_damaged_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"a.json: cannot be read: No such file"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(StorageError, match=r"a.json: not a JSON file"):
        read_json(tmp_path / "a.json")
