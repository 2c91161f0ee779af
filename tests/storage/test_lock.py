import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading

import pytest

from mrikit.errors import JobError, StorageError
from mrikit.storage.lock import NoLocksWarning, alone, is_held, take

BUSY = JobError("somebody else is in it")
HOLDER = """
import os, sys, time, pathlib
from mrikit.storage.lock import alone, take
with alone(pathlib.Path(sys.argv[1]), "wait"):
    {says}
    sys.stdin.read()
"""


def holder(path, says="print('in', flush=True)"):
    """A process that has the lock until its input ends, and what it says first."""
    words = [sys.executable, "-c", HOLDER.format(says=says), path]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline()


def stop(process, number):
    process.send_signal(number)
    process.communicate()


def no_locks(*_arguments):
    raise OSError(errno.ENOSYS, "Function not implemented")


def test_what_another_process_holds_is_one_line(tmp_path):
    process, _ = holder(tmp_path / "lock")
    try:
        with pytest.raises(JobError, match=r"^somebody else is in it$"), alone(tmp_path / "lock", "wait", busy=BUSY):
            pass
        assert is_held(tmp_path / "lock")
        assert take(tmp_path / "lock") is None
    finally:
        stop(process, signal.SIGTERM)


def test_a_lock_ends_with_a_killed_process(tmp_path):
    process, _ = holder(tmp_path / "lock")
    stop(process, signal.SIGKILL)
    assert not is_held(tmp_path / "lock")
    with alone(tmp_path / "lock", "wait", busy=BUSY):
        assert is_held(tmp_path / "lock")


def test_a_forked_child_does_not_keep_the_lock_of_a_killed_process(tmp_path):
    # The child says that it is there, then waits for what never comes.
    child = "(os.write(pipe[1], b'1'), time.sleep(600), os._exit(0))"
    ends = f"pipe = os.pipe(); child = os.fork() or {child}; os.read(pipe[0], 1); print(child, flush=True)"
    process, child = holder(tmp_path / "lock", ends)
    child = int(child)
    process.kill()
    process.wait()
    try:
        os.kill(child, 0)  # it is still there
        assert not is_held(tmp_path / "lock")
    finally:
        os.kill(child, signal.SIGKILL)
        process.communicate()


def test_another_thread_waits_for_its_turn(tmp_path):
    told, is_in = [], threading.Event()

    def work():
        is_in.set()
        with alone(tmp_path / "lock", "wait"):
            told.append("second")

    with alone(tmp_path / "lock", "wait"):
        thread = threading.Thread(target=work)
        thread.start()
        is_in.wait()
        told.append("first")
    thread.join()
    assert told == ["first", "second"]


def test_a_folder_that_cannot_be_written_is_one_line_with_a_remedy(tmp_path):
    (tmp_path / "file").touch()
    written = pytest.raises(StorageError, match=r"lock: cannot be written: .*; choose another --out$")
    with written, alone(tmp_path / "file" / "lock", "choose another --out"):
        pass


def test_a_file_system_without_locks_is_said_and_no_reason_to_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", no_locks)
    with (
        pytest.warns(NoLocksWarning, match="let no two commands write one folder at once"),
        alone(tmp_path / "lock", "wait", busy=BUSY),
    ):
        pass
    os.close(take(tmp_path / "lock", is_needed=False))


def test_who_needs_a_lock_is_told_that_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", no_locks)
    refused = pytest.raises(StorageError, match="cannot be written: Function not implemented; wait")
    with refused, alone(tmp_path / "lock", "wait", is_needed=True):
        pass
    with pytest.raises(StorageError, match="files cannot be locked there: Function not implemented"):
        take(tmp_path / "lock")


def test_a_child_that_was_passed_a_lock_holds_it_after_its_parent(tmp_path):
    lock = take(tmp_path / "lock")
    words = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    child = subprocess.Popen(words, stdin=subprocess.PIPE, pass_fds=(lock,))
    os.close(lock)
    assert is_held(tmp_path / "lock")
    child.communicate()
    assert not is_held(tmp_path / "lock")


def test_a_lock_is_that_of_the_file_with_the_name(tmp_path):
    """Whoever waited for a file that was removed meanwhile takes the new one."""
    path, taken = tmp_path / "lock", []
    first = take(path)
    thread = threading.Thread(target=lambda: taken.append(take(path, wait_s=60)))
    thread.start()
    path.unlink()
    os.close(first)
    thread.join()
    assert os.path.samestat(os.fstat(taken[0]), path.stat())
    os.close(taken[0])


def test_two_who_ask_at_once_do_not_see_each_other(tmp_path):
    os.close(take(tmp_path / "lock"))
    with (tmp_path / "lock").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert not is_held(tmp_path / "lock")


def test_nobody_holds_what_is_not_there(tmp_path):
    assert not is_held(tmp_path / "lock")
