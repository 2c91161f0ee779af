"""What the phantom put at a place in the patient lies there in every format, and foreign programs agree."""

import os
import subprocess

import dcm2niix
import nibabel
import numpy as np
import pydicom
import pytest
from nibabel.orientations import aff2axcodes

from mrikit.export import ExportConfig, export
from tests.export.phantom import OBLIQUE, ball_places, balls_in, reconstruct, write_phantom, write_slab

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
AXIAL, SAGITTAL = np.eye(3)[[1, 0, 2]], np.eye(3)[[2, 1, 0]]
FRAMES = {"oblique": OBLIQUE, "axial": AXIAL, "sagittal": SAGITTAL, "mirrored": OBLIQUE * [[-1], [1], [1]]}


SCANS = [("oblique", False), ("oblique", True), ("axial", False), ("sagittal", True), ("mirrored", False)]


@pytest.fixture(scope="module", params=SCANS, ids=lambda scan: f"{scan[0]}-{'down' if scan[1] else 'up'}")
def scan(request, tmp_path_factory):
    """Folder with the reconstruction of the phantom in a frame, and the frame."""
    (name, is_descending), folder = request.param, tmp_path_factory.mktemp("scan")
    write_phantom(folder / "data" / "a.h5", FRAMES[name], is_descending=is_descending)
    reconstruct(folder / "data", folder / "recon")
    for to in ("nifti", "dicom", "mrd"):
        export(folder / "recon", folder / to, ExportConfig(to=to))
    return folder, FRAMES[name]


def convert(series, out):
    """A DICOM series by dcm2niix."""
    out.mkdir(exist_ok=True)
    words = [dcm2niix.bin, "-z", "n", "-b", "n", "-f", "a", "-o", out, series]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    (found,) = out.glob("*.nii")
    return nibabel.load(found)


def test_landmarks_of_a_nifti_file_lie_where_the_phantom_put_them(scan):
    folder, frame = scan
    image = nibabel.load(folder / "nifti" / "a.nii.gz")
    found = balls_in(image.get_fdata(), LPS_TO_RAS @ image.affine)
    np.testing.assert_allclose(found, ball_places(frame), atol=0.02)
    np.testing.assert_allclose(image.get_sform(), image.get_qform(), atol=1e-3)


def test_dicom_by_dcm2niix_is_the_nifti_file_voxel_for_voxel(scan):
    folder, _ = scan
    direct = nibabel.as_closest_canonical(nibabel.load(folder / "nifti" / "a.nii.gz"))
    converted = nibabel.as_closest_canonical(convert(folder / "dicom" / "a", folder / "converted"))
    np.testing.assert_allclose(converted.affine, direct.affine, atol=2e-3)
    values = direct.get_fdata()
    np.testing.assert_allclose(converted.get_fdata(), values, atol=values.max() / 2**16)
    np.testing.assert_allclose(converted.header.get_zooms(), direct.header.get_zooms(), atol=1e-4)


def test_landmarks_of_dicom_lie_where_the_phantom_put_them(scan):
    folder, frame = scan
    slices = [pydicom.dcmread(path) for path in sorted((folder / "dicom" / "a").iterdir())]
    columns, rows = np.split(np.array(slices[0].ImageOrientationPatient, float), 2)
    corners = np.array([one.ImagePositionPatient for one in slices], float)
    affine = np.eye(4)
    down, right = (float(one) for one in slices[0].PixelSpacing)
    affine[:3] = np.column_stack([rows * down, columns * right, corners[1] - corners[0], corners[0]])
    values = np.stack([one.pixel_array for one in slices], -1)
    np.testing.assert_allclose(balls_in(values, affine), ball_places(frame), atol=0.02)


def test_landmarks_of_mrd_images_lie_where_the_phantom_put_them(scan):
    import ismrmrd

    folder, frame = scan
    with ismrmrd.Dataset(str(folder / "mrd" / "a.mrd"), mode="r") as dataset:
        slices = [dataset.read_image("image_0", index) for index in range(dataset.number_of_images("image_0"))]
    head = slices[0].getHead()
    width, height = head.matrix_size[0], head.matrix_size[1]
    right, down = (np.array(one) for one in (head.read_dir, head.phase_dir))
    right, down = right * head.field_of_view[0] / width, down * head.field_of_view[1] / height
    middles = np.array([one.getHead().position for one in slices])
    affine = np.eye(4)
    affine[:3] = np.column_stack(
        [right, down, middles[1] - middles[0], middles[0] - width // 2 * right - height // 2 * down]
    )
    values = np.stack([one.data[0, 0].T for one in slices], -1)
    np.testing.assert_allclose(balls_in(values, affine), ball_places(frame), atol=0.02)


def test_landmarks_of_a_three_dimensional_scan_lie_where_the_phantom_put_them(tmp_path):
    write_slab(tmp_path / "data" / "a.h5")
    reconstruct(tmp_path / "data", tmp_path / "recon")
    for to in ("nifti", "dicom"):
        export(tmp_path / "recon", tmp_path / to, ExportConfig(to=to))
    image = nibabel.load(tmp_path / "nifti" / "a.nii.gz")
    np.testing.assert_allclose(balls_in(image.get_fdata(), LPS_TO_RAS @ image.affine), ball_places(), atol=0.02)
    converted = nibabel.as_closest_canonical(convert(tmp_path / "dicom" / "a", tmp_path / "converted"))
    np.testing.assert_allclose(converted.affine, nibabel.as_closest_canonical(image).affine, atol=2e-3)


def test_axes_of_an_axial_scan_are_named_as_the_scanner_names_them(tmp_path):
    write_phantom(tmp_path / "data" / "a.h5", AXIAL)  # read to the back, phase to the left, slices to the head
    export(reconstruct(tmp_path / "data", tmp_path / "recon"), tmp_path / "out", ExportConfig(to="nifti"))
    assert aff2axcodes(nibabel.load(tmp_path / "out" / "a.nii.gz").affine) == ("L", "P", "S")


def validate(path):
    """Errors that dciodvfy finds in a DICOM file."""
    try:
        done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        if os.environ.get("CI"):
            pytest.fail("no dciodvfy; apt-get install dicom3tools")
        pytest.skip("no dciodvfy; apt-get install dicom3tools")
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


def test_dciodvfy_finds_no_error(scan):
    folder, _ = scan
    for number in (1, 9):
        assert validate(folder / "dicom" / "a" / f"{number:04}.dcm") == []


def test_dciodvfy_finds_no_error_without_a_place(tmp_path):
    write_phantom(tmp_path / "data" / "a.h5", is_placed=False)
    export(reconstruct(tmp_path / "data", tmp_path / "recon"), tmp_path / "out", ExportConfig(to="dicom"))
    assert validate(tmp_path / "out" / "a" / "0001.dcm") == []
