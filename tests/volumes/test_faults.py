"""Each kind of fault has its own words and its own remedy."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from waiting import until

from mrikit.errors import DataError
from mrikit.volumes import build_index, open_volume, write_fastmri
from mrikit.volumes.faults import (
    DamageError,
    Fault,
    FormatError,
    HeaderError,
    LockError,
    at_path,
    fault_of,
    load_fault,
    system_fault,
)
from tests.no_locks import environment
from tests.volumes.mrd import header, lines, scan
from tests.volumes.mrd import write as write_mrd
from tests.volumes.scans import make_volume


@pytest.fixture
def path(tmp_path):
    """A good fastMRI file, to be spoilt."""
    write_fastmri(tmp_path / "knee_1.h5", make_volume())
    return tmp_path / "knee_1.h5"


def fault(path):
    """What the index keeps of a bad file, without its path."""
    (bad,) = build_index(path.parent).bad_files
    return bad.fault.kind, bad.message.removeprefix(f"{path}: "), bad.fault.remedy


def hold(path, how):
    """Another process that has the file open until its input ends."""
    code = f"import h5py, sys; file = {how}; print(file.id.id, flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert until(child.stdout.readline, child)
    return child


def test_a_truncated_file_is_copied_again(path):
    with path.open("r+b") as raw:
        raw.truncate(path.stat().st_size // 2)
    assert fault(path) == (
        "damage",
        "a truncated HDF5 file; copy it again",
        "copy or unpack it again, or leave it out",
    )


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells who holds a lock")
def test_a_file_that_is_being_written_is_waited_for_and_its_writer_is_named(path):
    child = hold(path, "h5py.File(sys.argv[1], 'r+')")
    kind, what, remedy = fault(path)
    child.communicate()
    assert kind == "lock"
    assert what.startswith(f"process {child.pid} (python")
    assert what.endswith("has it open for writing; wait until it is closed")
    assert remedy == "wait until the program that writes it has closed it"
    assert not build_index(path.parent).bad_files


def test_a_file_whose_writer_was_killed_says_how_the_mark_is_taken_away(path, tmp_path):
    with h5py.File(tmp_path / "knee_1.h5", "w", libver="latest") as file:
        file["kspace"] = np.zeros((1, 1, 4, 4), np.complex64)
    child = hold(path, "h5py.File(sys.argv[1], 'r+', libver='latest')")
    child.kill()
    child.communicate()
    kind, what, remedy = fault(path)
    assert kind == "lock"
    assert what == "marked as being written; a program has it open, or was killed while it wrote"
    assert remedy.endswith("take the mark away with `h5clear --status FILE`")


@pytest.mark.parametrize(
    ("content", "seems", "does"),
    [
        (b"MATLAB 5.0 MAT-file, Platform: GLNXA64", "a MATLAB file older than v7.3", "mrikit data import"),
        (b"\x93NUMPY\x01\x00", "a NumPy array", "mrikit data import"),
        (b"\x1f\x8b\x08", "a gz archive", "mrikit data unpack"),
        (b"x" * 257 + b"ustar\x00", "a tar archive", "mrikit data unpack"),
        (b"\x00" * 128 + b"DICM", "a DICOM image", "raw data"),
        (b"<html>403 Forbidden</html>", "a web page", "copy or unpack it again"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS", "git lfs pull"),
    ],
)
def test_a_file_of_another_kind_says_what_it_seems_to_be(path, content, seems, does):
    path.write_bytes(content)
    kind, what, remedy = fault(path)
    assert kind == "format"
    assert f"not an HDF5 file ({len(content)} bytes); it seems to be {seems}" in what
    assert does in remedy


def test_arrays_without_known_names_are_imported(path):
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros((4, 4), np.complex64)
    kind, what, remedy = fault(path)
    assert kind == "format"
    assert "found ['data']" in what
    assert "mrikit data import FILE --axes" in remedy


def test_a_header_is_mended(path):
    with h5py.File(path, "r+") as file:
        header = file["ismrmrd_header"][()]
        del file["ismrmrd_header"]
        file["ismrmrd_header"] = header.replace(b"</encoding>", b"")
    kind, what, remedy = fault(path)
    assert kind == "header"
    assert what.startswith("the ISMRMRD header is not valid XML")
    assert remedy.startswith("mend the header")


def test_what_may_not_be_read_is_made_readable():
    refused = system_fault("a.h5: cannot be read", PermissionError(13, os.strerror(13)))
    assert str(refused) == "a.h5: cannot be read: Permission denied"
    assert "chmod" in refused.remedy


def test_a_fault_keeps_its_kind_when_its_file_is_named():
    for kind in (DamageError, LockError, FormatError, HeaderError):
        assert type(kind("why"))(f"path: {kind('why')}").remedy == kind.remedy


def test_an_index_of_an_older_version_had_the_message_alone():
    assert load_fault('"a.h5: why"') == Fault(message="a.h5: why")
    assert load_fault('"a.h5: why"').kind == "content"


def test_without_locks_files_are_read_and_that_is_said_once(path, tmp_path):
    for number in (2, 3):
        write_fastmri(tmp_path / f"knee_{number}.h5", make_volume())
    code = "import sys; from pathlib import Path; from mrikit.volumes import build_index, open_volume\n"
    code += "index = build_index(Path(sys.argv[1])); assert len(index) == 3 and not index.bad_files\n"
    code += "assert open_volume(Path(sys.argv[1]) / 'knee_1.h5').kspace[0].any()"
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", code, tmp_path],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("this file system has no locks (No locks available)") == 1


def test_without_locks_files_are_written(path, tmp_path):
    code = "import sys; from pathlib import Path; from mrikit.volumes import open_volume, write_fastmri\n"
    code += "write_fastmri(Path(sys.argv[2]), open_volume(Path(sys.argv[1])))"
    copy = tmp_path / "copy.h5"
    done = subprocess.run(
        [sys.executable, "-c", code, path, copy], env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert np.array_equal(open_volume(copy).kspace[0], open_volume(path).kspace[0])


def test_a_missing_file_is_no_fault_of_a_disk(tmp_path):
    with pytest.raises(DataError, match="no such file") as caught:
        open_volume(tmp_path / "none.h5")
    assert not isinstance(caught.value, LockError)


def test_an_error_that_gets_its_path_keeps_kind_and_remedy():
    named = at_path(LockError("is being written", "wait"), "a.h5")
    assert fault_of(named) == Fault(message="a.h5: is being written", kind="lock", remedy="wait")
    assert at_path(named, "a.h5") is named


def test_damaged_samples_of_mrd_are_named_as_damage(tmp_path):
    kspace = scan()
    kspace[1, 0, 3, 3] = np.nan
    write_mrd(tmp_path / "leg.h5", header((32, 24, 1), center=12), lines(kspace))
    with pytest.raises(DamageError, match=r"leg\.h5: slice 1 of k-space holds NaN or Inf"):
        open_volume(tmp_path / "leg.h5").kspace[1]
