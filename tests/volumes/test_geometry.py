"""Where images lie: what MRD acquisitions say of it, what is not believed, and what carries it on."""

import json
from dataclasses import replace

import ismrmrd
import numpy as np
import pytest

from mrikit.physics.crop import center_crop
from mrikit.volumes import build_index, open_volume, write_ismrmrd
from mrikit.volumes.geometry import (
    Geometry,
    centre_cropped,
    dump_geometry,
    first_pixels,
    geometry_of_header,
    load_geometry,
)
from mrikit.volumes.header import make_header, read_header
from tests.volumes.scans import make_volume, without_reference

READ, PHASE, NORMAL = np.linalg.qr(np.random.default_rng(4).standard_normal((3, 3)))[0].T
POSITIONS = np.array([12.0, -30.5, 7.25]) + 4.5 * np.arange(3)[:, None] * NORMAL
PLACED = Geometry(
    pixel_mm=(2.0, 1.5),
    slice_thickness_mm=4.0,
    slice_spacing_mm=4.5,
    positions_mm=tuple(map(tuple, POSITIONS.tolist())),
    read_dir=tuple(READ.tolist()),
    phase_dir=tuple(PHASE.tolist()),
    slice_dir=tuple(NORMAL.tolist()),
    patient_position="FFS",
)


def write_scan(path, geometry=PLACED, change=lambda acquisition: None):
    """Three slices as a converter writes them, by the ismrmrd package; `change` is called with each acquisition."""
    info = replace(make_volume(padding=(0, 11), fov_mm=(32.0, 16.5)).info, geometry=geometry)
    with ismrmrd.Dataset(str(path)) as dataset:
        dataset.write_xml_header(make_header(info, num_coils=1, num_slices=3).encode())
        for number in range(3):
            for line in range(11):
                one = ismrmrd.Acquisition.from_array(np.ones((1, 16), np.complex64))
                one.center_sample, one.idx.kspace_encode_step_1, one.idx.slice = 8, line, number
                one.position[:], one.read_dir[:], one.phase_dir[:] = POSITIONS[number], READ, PHASE
                one.slice_dir[:] = NORMAL
                change(one)
                dataset.append_acquisition(one)
    return path


def assert_close(found, expected):
    assert dump_geometry(found).keys() == dump_geometry(expected).keys()
    for name, value in dump_geometry(expected).items():
        if name == "patient_position":
            assert found.patient_position == value
        else:
            np.testing.assert_allclose(getattr(found, name), value, atol=1e-5)


def test_mrd_acquisitions_say_where_each_slice_lies(tmp_path):
    assert_close(open_volume(write_scan(tmp_path / "a.h5")).info.geometry, PLACED)


def test_a_place_is_written_and_read_back(tmp_path):
    volume = without_reference(make_volume(padding=(0, 11), fov_mm=(32.0, 16.5), geometry=PLACED))
    write_ismrmrd(tmp_path / "a.mrd", volume)
    assert_close(open_volume(tmp_path / "a.mrd").info.geometry, PLACED)


def set_to(**values):
    def change(one):
        for name, value in values.items():
            getattr(one, name)[:] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        set_to(read_dir=(0, 0, 0), phase_dir=(0, 0, 0), slice_dir=(0, 0, 0)),
        set_to(read_dir=PHASE),  # not at right angles
        set_to(slice_dir=READ),  # no normal
        set_to(read_dir=(np.nan,) * 3),
        set_to(position=(0, 0, 0)),  # all slices at one place
        lambda one: one.idx.slice == 1 and set_to(read_dir=-READ)(one),  # slices turned differently
        lambda one: one.idx.kspace_encode_step_1 == 4 and set_to(position=(0, 0, 0))(one),  # one line elsewhere
    ],
)
def test_a_place_that_cannot_be_is_not_believed(tmp_path, change):
    found = open_volume(write_scan(tmp_path / "a.h5", change=change)).info.geometry
    assert found == Geometry(pixel_mm=(2.0, 1.5), slice_thickness_mm=4.0)


def test_slices_at_unequal_steps_have_no_spacing(tmp_path):
    def change(one):
        one.position[:] = POSITIONS[one.idx.slice] + (9 * NORMAL if one.idx.slice == 2 else 0)

    found = open_volume(write_scan(tmp_path / "a.h5", change=change)).info.geometry
    assert found.slice_spacing_mm is None
    assert found.is_placed


def test_directions_that_were_rounded_are_at_right_angles_again(tmp_path):
    change = set_to(read_dir=READ.round(3), phase_dir=PHASE.round(3), slice_dir=NORMAL.round(3))
    found = open_volume(write_scan(tmp_path / "a.h5", change=change)).info.geometry
    frame = np.array([found.read_dir, found.phase_dir, found.slice_dir])
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-12)


def test_a_header_without_a_field_of_view_says_nothing():
    info = make_volume(fov_mm=None).info
    header = read_header(make_header(info, 1, 1))
    assert geometry_of_header(header, info.matrix) is None


def test_pixels_of_an_array_of_another_size_are_not_known():
    header = read_header(make_header(make_volume().info, 1, 1))
    assert geometry_of_header(header, (8, 11)) == Geometry(slice_thickness_mm=3.3)


def test_a_2d_header_says_the_thickness_of_the_image():
    thick = make_header(make_volume().info, 1, 1).replace("<z>3.3</z>", "<z>7.5</z>", 1)
    header = read_header(thick)
    assert (header.slab_mm, header.shown_mm[2]) == (7.5, 3.3)
    assert geometry_of_header(header, (8, 11)).slice_thickness_mm == 3.3


@pytest.mark.parametrize("size", [(16, 11), (15, 12)])
@pytest.mark.parametrize("window", [(8, 9), (7, 6), (8, 6), (7, 9)])
def test_a_pixel_keeps_its_place_when_the_image_is_cropped(size, window):
    number = np.arange(size[0] * size[1]).reshape(size)
    row, column = divmod(int(center_crop(number, window)[0, 0]), size[1])
    expected = first_pixels(PLACED, size) + row * 2.0 * READ + column * 1.5 * PHASE
    cropped = centre_cropped(PLACED, size, window)
    np.testing.assert_allclose(first_pixels(cropped, window), expected, atol=1e-9)


def test_a_crop_leaves_out_a_position_that_it_cannot_follow():
    unknown = replace(PLACED, pixel_mm=None)
    assert centre_cropped(unknown, (16, 12), (8, 6)) == unknown
    assert centre_cropped(unknown, (16, 11), (7, 9)).positions_mm is None


@pytest.mark.parametrize("geometry", [None, PLACED, Geometry(pixel_mm=(1.0, 2.0))])
def test_json_keeps_a_geometry(geometry):
    assert load_geometry(json.loads(json.dumps(dump_geometry(geometry)))) == geometry


def test_the_index_keeps_a_geometry(tmp_path):
    path = write_scan(tmp_path / "a.h5")
    assert build_index(tmp_path).info("a").geometry == open_volume(path).info.geometry
