"""Raw arrays from every kind of file come into mrikit's axis order."""

import itertools

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from mrikit.errors import ConfigError, DataError
from mrikit.volumes.raw import AXES, arrange, read_array
from tests.volumes.scans import make_volume

KSPACE = make_volume(2, 3, (6, 5), padding=(0, 5)).kspace


@given(st.permutations(range(4)))
def test_any_order_of_axes_is_undone(order):
    stored = KSPACE.transpose(order)
    np.testing.assert_array_equal(arrange(stored, [AXES[axis] for axis in order]), KSPACE)


@pytest.mark.parametrize("axes", list(itertools.permutations(["phase", "coil", "readout"])))
def test_missing_axes_get_size_one(axes):
    stored = KSPACE[0].transpose([["coil", "readout", "phase"].index(axis) for axis in axes])
    found = arrange(stored[None, ..., None], axes)
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, KSPACE[:1])
    np.testing.assert_array_equal(arrange(KSPACE[1, 2].T.astype(complex), ["phase", "readout"]), KSPACE[1:, 2:])


@pytest.mark.parametrize("axes", [["readout"], ["readout", "phase", "echo"], ["readout", "phase", "phase"]])
def test_other_axes_are_refused(axes):
    with pytest.raises(ConfigError, match="each of slice, coil, readout, phase at most once, readout and phase always"):
        arrange(KSPACE[0], axes)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (KSPACE, r"shape \(2, 3, 6, 5\), but 3 axes were named"),
        (np.abs(KSPACE[0]), "the array is float32; complex k-space is needed"),
        (KSPACE[0] * np.array([1, np.nan, 1, 1, 1]), "18 values of the array are NaN or Inf"),
    ],
)
def test_arrays_that_are_no_kspace_are_refused(array, message):
    with pytest.raises(DataError, match=message):
        arrange(array, ["coil", "readout", "phase"])


def test_every_kind_of_file_gives_the_same_array(tmp_path):
    np.save(tmp_path / "a.npy", KSPACE)
    scipy.io.savemat(tmp_path / "old.mat", {"kdata": KSPACE})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kdata"] = KSPACE
        file.create_group("more")
    parts = np.zeros(KSPACE.T.shape, [("real", "<f8"), ("imag", "<f8")])
    parts["real"], parts["imag"] = KSPACE.T.real, KSPACE.T.imag
    with h5py.File(tmp_path / "new.mat", "w", userblock_size=512) as file:
        file["kdata"] = parts  # as MATLAB 7.3 stores complex arrays
    (tmp_path / "a.hdr").write_text("# Dimensions\n2 3 6 5 1 1 1\n")
    (tmp_path / "a.cfl").write_bytes(KSPACE.tobytes(order="F"))
    for name in ("a.npy", "old.mat", "a.h5", "new.mat", "a.cfl", "a.hdr"):
        np.testing.assert_array_equal(read_array(tmp_path / name), KSPACE, err_msg=name)


@pytest.mark.parametrize("suffix", [".mat", ".h5"])
def test_one_of_several_arrays_must_be_named(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    arrays = {"kdata": KSPACE, "traj": np.zeros(3)}
    if suffix == ".mat":
        scipy.io.savemat(path, arrays)
    else:
        with h5py.File(path, "w") as file:
            for key, array in arrays.items():
                file[key] = array
    np.testing.assert_array_equal(read_array(path, "kdata"), KSPACE)
    with pytest.raises(DataError, match=r"several arrays; found \['kdata', 'traj'\]. Name one with --key"):
        read_array(path)
    with pytest.raises(DataError, match=r"no array 'data'; found \['kdata', 'traj'\]"):
        read_array(path, "data")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lost.npy", "no such file"),
        ("a.npy", r"not a whole \.npy array"),
        ("a.mat", "not a MATLAB file"),
        ("a.h5", r"not an array; a \.npy, \.mat, \.cfl or HDF5 file is needed"),
    ],
)
def test_files_that_are_no_arrays_are_refused(tmp_path, name, message):
    if name != "lost.npy":
        (tmp_path / name).write_bytes(b"\x93NUMPY\x01\x00garbage that is long enough " * 9)
    with pytest.raises(DataError, match=message):
        read_array(tmp_path / name)


def test_a_pickle_is_never_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="not a whole"):
        read_array(tmp_path / "a.npy")
