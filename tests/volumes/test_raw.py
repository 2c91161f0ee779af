"""Raw arrays from every kind of file come into mrikit's axis order."""

import itertools

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from mrikit.errors import ConfigError, DataError
from mrikit.volumes.axes import KSPACE_AXES
from mrikit.volumes.raw import AXES, open_array, raw_volumes, read_noise
from tests.volumes.public.sets import compound
from tests.volumes.scans import make_volume

KSPACE = make_volume(2, 3, (6, 5), padding=(0, 5)).kspace


def arrange(array, axes):
    """The only volume, (slice, coil, readout, phase)."""
    (kspace,) = raw_volumes(array, axes).values()
    found = np.stack(list(kspace))
    np.testing.assert_array_equal(found, np.stack([kspace[number] for number in range(len(kspace))]))
    assert found.shape == kspace.shape
    return found


def read_array(path, key=None):
    with open_array(path, key) as stored:
        found = stored[(slice(None),) * len(stored.shape)]
    return found["real"] + 1j * found["imag"] if found.dtype.names else found


@given(st.permutations(range(4)))
def test_any_order_of_axes_is_undone(order):
    stored = KSPACE.transpose(order)
    np.testing.assert_array_equal(arrange(stored, [KSPACE_AXES[axis] for axis in order]), KSPACE)


@pytest.mark.parametrize("axes", list(itertools.permutations(["phase", "coil", "readout"])))
def test_missing_axes_get_size_one(axes):
    stored = KSPACE[0].transpose([["coil", "readout", "phase"].index(axis) for axis in axes])
    found = arrange(stored[None, ..., None], axes)
    np.testing.assert_array_equal(found, KSPACE[:1])
    np.testing.assert_array_equal(arrange(KSPACE[1, 2].T.astype(complex), ["phase", "readout"]), KSPACE[1:, 2:])


@pytest.mark.parametrize("axes", [["readout"], ["readout", "phase", "kz"], ["readout", "phase", "phase"]])
def test_other_axes_are_refused(axes):
    with pytest.raises(ConfigError, match=f"each of {', '.join(AXES)} at most once, readout and phase always"):
        arrange(KSPACE[0], axes)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (KSPACE, r"shape \(2, 3, 6, 5\), but 3 axes were named"),
        (np.abs(KSPACE[0]), "the array is float32; complex k-space is needed"),
        (KSPACE[0] * np.array([1, np.nan, 1, 1, 1]), "18 values of slice 0 of the array are NaN or Inf"),
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


@pytest.mark.parametrize("block_bytes", [1, 2 * KSPACE[0].nbytes, 2**26])
@given(order=st.permutations(range(4)))
def test_slices_are_read_in_blocks_of_any_size(monkeypatch_of_block, block_bytes, order):
    monkeypatch_of_block(block_bytes)
    stored = np.repeat(KSPACE, 3, axis=0).transpose(order)
    found = arrange(stored, [KSPACE_AXES[axis] for axis in order])
    np.testing.assert_array_equal(found, np.repeat(KSPACE, 3, axis=0))


@pytest.fixture(scope="module")
def monkeypatch_of_block():
    with pytest.MonkeyPatch.context() as patch:
        yield lambda size: patch.setattr("mrikit.volumes.raw.BLOCK_BYTES", size)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_file_is_mapped_in_pieces_of_any_size(tmp_path, order, monkeypatch):
    np.save(tmp_path / "a.npy", np.asarray(KSPACE, order=order))
    monkeypatch.setattr("mrikit.volumes.stored_array.MAPPED_BYTES", 2 * KSPACE[0].nbytes // 3)
    np.testing.assert_array_equal(read_array(tmp_path / "a.npy"), KSPACE)
    with open_array(tmp_path / "a.npy") as stored:
        np.testing.assert_array_equal(stored[1, :, 2, 1:4], KSPACE[1, :, 2, 1:4])


class Counted:
    """An array that counts its reads."""

    def __init__(self, array):
        self.array, self.num_reads = array, 0
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, index):
        self.num_reads += 1
        return self.array[index]


@pytest.mark.parametrize(("axes", "num_reads"), [("slice,coil,readout,phase", 8), ("readout,phase,coil,slice", 2)])
def test_scattered_slices_are_read_together_and_others_one_by_one(monkeypatch, axes, num_reads):
    kspace = np.repeat(KSPACE, 4, axis=0)
    monkeypatch.setattr("mrikit.volumes.raw.BLOCK_BYTES", kspace.nbytes // 2)
    names = axes.split(",")
    stored = Counted(kspace.transpose([KSPACE_AXES.index(name) for name in names]))
    (found,) = raw_volumes(stored, names).values()
    np.testing.assert_array_equal(np.stack(list(found)), kspace)
    assert stored.num_reads == num_reads


def test_no_more_of_a_file_is_mapped_than_allowed(tmp_path, monkeypatch):
    kspace = np.repeat(KSPACE, 8, axis=0)
    np.save(tmp_path / "a.npy", kspace.transpose(2, 3, 0, 1))
    most = kspace.nbytes // 3
    mapped, memmap = [], np.memmap
    monkeypatch.setattr("mrikit.volumes.stored_array.MAPPED_BYTES", most)
    with open_array(tmp_path / "a.npy") as stored:
        monkeypatch.setattr(np, "memmap", lambda *words: mapped.append(memmap(*words).nbytes) or memmap(*words))
        np.testing.assert_array_equal(arrange(stored, ["readout", "phase", "slice", "coil"]), kspace)
    assert 0 < max(mapped) <= most


@pytest.mark.parametrize(
    "stored",
    [
        np.stack([KSPACE.real, KSPACE.imag], 1),
        np.stack([KSPACE.real, KSPACE.imag], 1).astype(np.int16),
        compound(KSPACE)[:, None],
    ],
    ids=["two parts", "whole numbers", "compound"],
)
def test_real_and_imaginary_parts_are_complex(stored):
    axes = ["slice", "complex", *KSPACE_AXES[1:]] if stored.dtype.kind != "V" else list(KSPACE_AXES)
    expected = KSPACE if stored.dtype.kind != "i" else stored[:, 0] + 1j * stored[:, 1]
    np.testing.assert_array_equal(arrange(stored, axes), expected)


def test_a_last_axis_of_two_floats_need_not_be_named():
    parts = np.stack([KSPACE.real, KSPACE.imag], -1)
    np.testing.assert_array_equal(arrange(parts, KSPACE_AXES), KSPACE)
    np.testing.assert_array_equal(arrange(parts, [*KSPACE_AXES, "complex"]), KSPACE)


def test_an_axis_complex_of_another_size_is_refused():
    with pytest.raises(DataError, match="axis complex has size 3; 2 is needed"):
        raw_volumes(np.zeros((3, 6, 5)), ["complex", "readout", "phase"])


def test_each_echo_time_and_repetition_is_a_volume():
    stored = np.stack([np.stack([KSPACE * (1 + echo + 10 * time) for time in range(2)]) for echo in range(3)], -1)
    volumes = raw_volumes(stored, ["time", *KSPACE_AXES, "echo"])
    assert list(volumes) == [f"_echo{echo}_time{time}" for echo in range(3) for time in range(2)]
    np.testing.assert_array_equal(np.stack(list(volumes["_echo2_time1"])), KSPACE * np.float32(13))
    assert list(raw_volumes(stored[..., :1], ["time", *KSPACE_AXES, "echo"])) == ["_time0", "_time1"]


def test_averages_are_combined_and_their_angles_kept():
    alternating = np.stack([np.where(np.arange(5) % 2 == start, KSPACE, 0) for start in (0, 1)], 2)
    names = ["slice", "coil", "average", "readout", "phase"]
    np.testing.assert_array_equal(arrange(alternating, names), KSPACE)
    (kspace,) = raw_volumes(np.stack([KSPACE, KSPACE * np.exp(2.6j)]), ["average", *KSPACE_AXES]).values()
    np.testing.assert_allclose(np.stack(list(kspace)), KSPACE, rtol=1e-5, atol=1e-5)
    assert kspace.angles == pytest.approx({0: 2.6, 1: 2.6})


def test_noise_is_sorted_by_coils(tmp_path):
    np.save(tmp_path / "a.npy", np.stack([KSPACE[0].real, KSPACE[0].imag], -1))
    np.testing.assert_array_equal(
        read_noise(tmp_path / "a.npy", ["coil", "readout", "phase"]), KSPACE[0].reshape(3, -1)
    )


@pytest.mark.parametrize("name", ["a.npy", "a.cfl", "a.h5"])
def test_a_truncated_file_is_one_clear_line(tmp_path, name):
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, KSPACE)
    elif name == "a.cfl":
        (tmp_path / "a.hdr").write_text("# Dimensions\n2 3 6 5\n")
        path.write_bytes(KSPACE.tobytes(order="F"))
    else:
        with h5py.File(path, "w") as file:
            file["kdata"] = KSPACE
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"not a whole \.npy array|is it truncated|a truncated HDF5 file") as caught:
        read_array(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_cut_while_it_is_read_is_named(tmp_path):
    np.save(tmp_path / "a.npy", KSPACE)
    with open_array(tmp_path / "a.npy") as stored:
        (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-100])
        with pytest.raises(DataError, match=r"a\.npy: cannot be read, or is truncated"):
            stored[1:, :, :, :]


def test_an_empty_array_is_refused():
    with pytest.raises(DataError, match=r"shape \(0, 3, 6, 5\) and holds nothing"):
        raw_volumes(KSPACE[:0], KSPACE_AXES)


def test_a_file_of_several_npy_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", a=KSPACE)
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(DataError, match="an archive of several; save one"):
        read_array(tmp_path / "a.npy")
