"""K-space reads to the same numbers in whatever form HDF5 stores its values."""

import shutil

import h5py
import numpy as np
import pytest

from mrikit.errors import DataError
from mrikit.volumes import open_volume, write_fastmri
from mrikit.volumes.index_entry import load_volume, read_entry
from tests.volumes.scans import make_volume

VOLUME = make_volume(matrix=(16, 12))
OPTIONS = [
    {},
    {"chunks": (1, 2, 16, 12)},
    {"chunks": (2, 3, 5, 4)},
    {"chunks": (2, 3, 5, 4), "compression": "gzip"},
    {"chunks": (1, 4, 16, 12), "compression": "gzip", "shuffle": True, "fletcher32": True},
    {"chunks": (1, 4, 16, 12), "compression": "lzf"},
]


@pytest.fixture
def path(tmp_path):
    write_fastmri(tmp_path / "knee_1.h5", VOLUME)
    return tmp_path / "knee_1.h5"


def compound(kspace, names, dtype):
    stored = np.empty(kspace.shape, [(names[0], dtype), (names[1], dtype)])
    stored[names[0]], stored[names[1]] = kspace.real, kspace.imag
    return stored


def store(path, values, **options):
    with h5py.File(path, "r+") as file:
        del file["kspace"]
        file.create_dataset("kspace", data=values, **options)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8"])
@pytest.mark.parametrize("names", [("real", "imag"), ("r", "i"), ("Re", "Im")])
def test_a_compound_of_real_and_imaginary_parts_is_complex(path, options, dtype, names):
    store(path, compound(VOLUME.kspace, names, dtype), **options)
    np.testing.assert_array_equal(np.stack(list(open_volume(path).kspace)), VOLUME.kspace)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8"])
def test_a_last_axis_of_two_parts_is_complex(path, options, dtype):
    parts = np.stack([VOLUME.kspace.real, VOLUME.kspace.imag], -1).astype(dtype)
    chunks = {"chunks": (*options["chunks"], 2)} if "chunks" in options else {}
    store(path, parts, **options | chunks)
    found = open_volume(path).kspace
    np.testing.assert_array_equal(np.stack(list(found)), VOLUME.kspace)
    assert found.shape == VOLUME.kspace.shape


def test_parts_of_single_coil_kspace_are_complex(tmp_path):
    volume = make_volume(num_coils=1, matrix=(16, 12))
    write_fastmri(tmp_path / "a.h5", volume)
    store(tmp_path / "a.h5", np.stack([volume.kspace[:, 0].real, volume.kspace[:, 0].imag], -1))
    np.testing.assert_array_equal(np.stack(list(open_volume(tmp_path / "a.h5").kspace)), volume.kspace)


def test_parts_in_whole_chunks_are_read_at_known_bytes(path):
    store(path, np.stack([VOLUME.kspace.real, VOLUME.kspace.imag], -1), chunks=(1, 2, 16, 12, 2))
    assert open_volume(path).kspace.runs is not None


def test_a_real_array_of_four_axes_stays_a_magnitude_image(path):
    store(path, np.abs(VOLUME.kspace))
    with pytest.raises(DataError, match="k-space is float32; complex values are needed"):
        open_volume(path)


@pytest.mark.parametrize(
    "fields", [[("a", "<f4"), ("b", "<f4")], [("real", "<f4"), ("imag", "<f8")], [("real", "<i4"), ("imag", "<i4")]]
)
def test_another_compound_is_refused(path, fields):
    store(path, np.zeros(VOLUME.kspace.shape, fields))
    with pytest.raises(DataError, match="two floats 'real' and 'imag', side by side, are needed"):
        open_volume(path)


@pytest.mark.parametrize("options", [{}, {"chunks": (2, 3, 5, 4), "compression": "gzip"}])
def test_an_external_link_is_read_from_the_file_behind_it(path, options):
    shutil.copy(path, path.with_name("data.bin"))
    shutil.copy(path, path.with_name("link.h5"))
    store(path.with_name("data.bin"), VOLUME.kspace * 2, **options)
    with h5py.File(path.with_name("link.h5"), "r+") as file:
        del file["kspace"]
        file["kspace"] = h5py.ExternalLink("data.bin", "/kspace")
    found = open_volume(path.with_name("link.h5"))
    np.testing.assert_array_equal(np.stack(list(found.kspace)), VOLUME.kspace * 2)
    entry = read_entry(path.parent, "link.h5")
    indexed = load_volume(path.parent, "link.h5", entry.line)
    np.testing.assert_array_equal(np.stack(list(indexed.kspace)), VOLUME.kspace * 2)


def test_an_external_link_to_nowhere_names_the_lost_file(path):
    with h5py.File(path, "r+") as file:
        del file["kspace"]
        file["kspace"] = h5py.ExternalLink("lost.h5", "/kspace")
    with pytest.raises(DataError, match=r"'kspace' is a link to lost\.h5, which is not there; copy it beside"):
        open_volume(path)


@pytest.mark.parametrize("namespace", ["", ' xmlns="http://www.example.org/other"'])
def test_a_header_without_its_namespace_is_read(path, namespace):
    with h5py.File(path, "r+") as file:
        text = file["ismrmrd_header"][()].decode()
        del file["ismrmrd_header"]
        file["ismrmrd_header"] = np.array([text.replace(' xmlns="http://www.ismrm.org/ISMRMRD"', namespace)], "S")
    assert open_volume(path).info.padding == VOLUME.info.padding
