"""The file of a reconstruction: what it keeps, also when it was written before there was more to keep."""

import json

import h5py
import numpy as np
import pytest

from mrikit.masks import stored_mask
from mrikit.volumes.geometry import Geometry
from mrikit.volumes.reconstruction import Reconstruction, read_reconstruction, write_reconstruction


def make(**facts):
    image = np.ones((2, 3, 4), np.float32)
    known = {"volume_id": "knee_1", "model": "cg_sense", "config": {}, **facts}
    return Reconstruction(image=image, zero_filled=image, mask=stored_mask(np.arange(28) % 4 != 1), **known)


@pytest.mark.parametrize(
    "geometry",
    [None, Geometry(pixel_mm=(1.0, 2.0)), Geometry(positions_mm=((0.0, 1.0, 2.0),) * 2, read_dir=(0.0, 0.0, -1.0))],
)
def test_a_reconstruction_keeps_place_and_protocol(tmp_path, geometry):
    write_reconstruction(tmp_path / "a.h5", make(geometry=geometry, acquisition="AXT2"))
    found = read_reconstruction(tmp_path / "a.h5")
    assert (found.geometry, found.acquisition) == (geometry, "AXT2")


def test_a_file_of_an_older_version_has_neither(tmp_path):
    write_reconstruction(tmp_path / "a.h5", make(acquisition="AXT2"))
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        known = json.loads(file.attrs["provenance"])
        del known["geometry"], known["acquisition"]
        file.attrs["provenance"] = json.dumps(known)
    found = read_reconstruction(tmp_path / "a.h5")
    assert (found.geometry, found.acquisition) == (None, None)
