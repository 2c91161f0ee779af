"""The scanner's images tell whose a reconstruction is, and where it lies if it does not know."""

import json
from dataclasses import replace

import nibabel
import numpy as np
import pydicom
import pytest

from mrikit.errors import DataError
from mrikit.export import ExportConfig, export
from mrikit.export.template import unusual_values
from mrikit.export.template_place import Way
from mrikit.volumes.geometry import Geometry
from mrikit.volumes.reconstruction import read_reconstruction, write_reconstruction
from tests.export.phantom import ball_places, balls_in, reconstruct, write_phantom

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
PATIENT = {"PatientName": "Muster^Änne", "PatientID": "17", "StudyInstanceUID": "1.2.3.4", "StudyDate": "20260102"}


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A folder with the phantom's reconstruction, and with the same as images of a scanner."""
    folder = tmp_path_factory.mktemp("scan")
    write_phantom(folder / "data" / "a.h5")
    reconstruct(folder / "data", folder / "recon")
    export(folder / "recon", folder / "made", ExportConfig(to="dicom"))
    (folder / "scanner").mkdir()
    for number, path in enumerate(sorted((folder / "made" / "a").iterdir())):
        image = pydicom.dcmread(path)
        for keyword, value in PATIENT.items():
            setattr(image, keyword, value)
        image.SeriesNumber, image.FrameOfReferenceUID, image.EchoTime = 4, "1.2.3.5", 88
        # Names of a scanner's files say nothing of their order.
        image.save_as(folder / "scanner" / f"IM{7 * number % 9}")
    (folder / "scanner" / "DICOMDIR.txt").write_text("no image")
    return folder


def template_of(scan):
    return min(path for path in (scan / "scanner").iterdir() if path.suffix == "")


def write_changed(scan, path, image=None, **changes):
    """The reconstruction changed, as one that knows nothing of its place."""
    recon = read_reconstruction(scan / "recon" / "a.h5")
    image = recon.image if image is None else image
    write_reconstruction(path, replace(recon, image=image, zero_filled=image, **{"geometry": None, **changes}))
    return path


def refusal(recon, out, template, to="dicom") -> str:
    with pytest.raises(DataError) as caught:
        export(recon, out, ExportConfig(to=to, template=template))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_patient_study_and_frame_come_from_the_template(scan, tmp_path):
    template = template_of(scan)
    export(scan / "recon", tmp_path / "out", ExportConfig(to="dicom", template=template))
    one, plain = (pydicom.dcmread(folder / "a" / "0001.dcm") for folder in (tmp_path / "out", scan / "made"))
    assert {keyword: str(one[keyword].value) for keyword in PATIENT} == PATIENT
    assert (one.FrameOfReferenceUID, one.EchoTime, one.SeriesNumber) == ("1.2.3.5", 88, 1004)
    assert one.SeriesInstanceUID not in (pydicom.dcmread(template).SeriesInstanceUID, plain.SeriesInstanceUID)
    assert one.SOPInstanceUID != plain.SOPInstanceUID
    assert one.ImagePositionPatient == plain.ImagePositionPatient
    assert "DERIVED" in one.ImageType
    assert "RESEARCH USE" in one.SeriesDescription


def test_values_that_scanners_write_against_the_standard_are_taken_over(scan, tmp_path):
    with unusual_values():
        image = pydicom.dcmread(template_of(scan))
        image.PatientAge, image.StudyDescription = "44", "x" * 70
        image.save_as(tmp_path / "a.dcm")
    export(scan / "recon", tmp_path / "out", ExportConfig(to="dicom", template=tmp_path / "a.dcm"))
    with unusual_values():
        assert pydicom.dcmread(tmp_path / "out" / "a" / "0001.dcm").PatientAge == "44"


WAYS = [
    Way(*way)
    for way in ((0, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 1), (1, 0, 0, 0), (1, 1, 0, 1), (1, 0, 1, 0), (1, 1, 1, 1))
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "".join(map(str, way)))
def test_a_reconstruction_without_a_place_gets_that_of_the_images_that_look_like_it(scan, tmp_path, way):
    image = read_reconstruction(scan / "recon" / "a.h5").image
    image = image[tuple(slice(None, None, -1 if flip else 1) for flip in (way[3], way[1], way[2]))]
    recon = write_changed(scan, tmp_path / "a.h5", image.swapaxes(1, 2) if way.is_transposed else image)
    summary = export(recon, tmp_path / "out", ExportConfig(to="nifti", template=template_of(scan)))
    found = nibabel.load(tmp_path / "out" / "a.nii.gz")
    np.testing.assert_allclose(balls_in(found.get_fdata(), LPS_TO_RAS @ found.affine), ball_places(), atol=0.02)
    assert list(summary.notes) == (
        [f"the template's images show it {way.in_words}: it is placed as they lie"] if any(way) else []
    )
    np.testing.assert_allclose(found.header.get_zooms()[2], 3.5, atol=1e-4)


def test_a_reconstruction_of_another_scan_is_not_placed(scan, tmp_path):
    noise = np.random.default_rng(1).random((9, 30, 37), np.float32)
    recon = write_changed(scan, tmp_path / "a.h5", noise)
    message = refusal(recon, tmp_path / "out", template_of(scan))
    assert "says nothing of its orientation, and does not look clearly like the template's images" in message


def test_a_reconstruction_that_looks_alike_both_ways_is_not_placed(scan, tmp_path):
    image = read_reconstruction(scan / "recon" / "a.h5").image
    recon = write_changed(scan, tmp_path / "a.h5", image + image[:, :, ::-1])
    assert "does not look clearly like" in refusal(recon, tmp_path / "out", template_of(scan))


def test_a_template_needs_an_image_for_each_slice(scan, tmp_path):
    alone = tmp_path / "alone.dcm"
    alone.write_bytes(template_of(scan).read_bytes())
    recon = write_changed(scan, tmp_path / "recon" / "a.h5")
    assert refusal(recon, tmp_path / "out", alone) == (
        f"{alone}: 1 images of this series in its folder, but {recon} has 9 slices; one each is needed"
    )


@pytest.mark.parametrize("knows_its_place", [True, False])
def test_a_template_of_another_size_is_refused(scan, tmp_path, knows_its_place):
    recon = scan / "recon" / "a.h5" if knows_its_place else write_changed(scan, tmp_path / "a.h5")
    for path in (scan / "scanner").iterdir():
        if path.suffix == "":
            image = pydicom.dcmread(path)
            image.Rows, image.Columns = 20, 37
            image.save_as(tmp_path / path.name)
    template = tmp_path / template_of(scan).name
    assert refusal(recon, tmp_path / "out", template) == (
        f"{template}: the template has 20 x 37 pixels, and {recon} has 30 x 37; give an image of the same size"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "the template is 'CT Image Storage'; give an MR image"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4.1"}, "an Enhanced MR image; give one of a series with a slice"),
    ],
)
def test_a_template_that_is_no_mr_image_is_refused(scan, tmp_path, changes, message):
    image = pydicom.dcmread(template_of(scan))
    for keyword, value in changes.items():
        setattr(image, keyword, value)
    image.save_as(tmp_path / "a.dcm")
    assert message in refusal(scan / "recon", tmp_path / "out", tmp_path / "a.dcm")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.dcm", "text", "the template is no DICOM file; give an MR image of the scan"),
        ("a.dcm", None, "the template cannot be read: No such file or directory"),
        ("a.json", "{", "no JSON of DICOM tags"),
        ("a.json", "[1]", "no JSON of DICOM tags"),
        ("a.json", "[]", "no JSON of DICOM tags"),
        ("a.json", '{"Modality": "CT"}', "the template is of modality CT; give tags of an MR image"),
        ("a.json", '{"Modality": "MR"}', "1 objects in its list, but"),
        ("a.json", json.dumps([{"Modality": "MR"}] * 9), "the template lacks a tag of its place"),
        ("a.json", json.dumps([{"PixelSpacing": ["a", 1]}] * 9), "no JSON of DICOM tags"),
    ],
)
def test_what_is_no_template_is_refused(scan, tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    recon = write_changed(scan, tmp_path / "recon" / "a.h5")
    assert f"{tmp_path / name}: {message}" in refusal(recon, tmp_path / "out", tmp_path / name)


@pytest.mark.parametrize("is_by_number", [True, False])
def test_json_of_dicom_tags_is_taken_at_its_word(scan, tmp_path, is_by_number):
    tags = []
    for path in sorted((scan / "made" / "a").iterdir()):
        image = pydicom.dcmread(path, stop_before_pixels=True)
        words = {name: list(image[name].value) for name in ("ImageOrientationPatient", "ImagePositionPatient")}
        words |= {"PixelSpacing": list(image.PixelSpacing), "SliceThickness": 3.0, "NotATag": 1}
        tags.append(json.loads(image.to_json()) if is_by_number else words)
    (tmp_path / "a.json").write_text(json.dumps(tags))
    recon = write_changed(scan, tmp_path / "recon" / "a.h5")
    export(recon, tmp_path / "out", ExportConfig(to="nifti", template=tmp_path / "a.json"))
    found = nibabel.load(tmp_path / "out" / "a.nii.gz")
    np.testing.assert_allclose(balls_in(found.get_fdata(), LPS_TO_RAS @ found.affine), ball_places(), atol=0.02)


def test_a_place_of_its_own_counts_more_than_the_templates(scan, tmp_path):
    shifted = replace(read_reconstruction(scan / "recon" / "a.h5").geometry, positions_mm=((0.0, 0.0, 0.0),) * 9)
    moved = tuple((0.0, 0.0, float(number)) for number in range(9))
    recon = write_changed(scan, tmp_path / "a.h5", geometry=replace(shifted, positions_mm=moved))
    export(recon, tmp_path / "out", ExportConfig(to="mrd", template=template_of(scan)))
    import ismrmrd

    with ismrmrd.Dataset(str(tmp_path / "out" / "a.mrd"), mode="r") as dataset:
        assert list(dataset.read_image("image_0", 3).position) == [0, 0, 3]


def test_sizes_alone_are_no_place_of_its_own(scan, tmp_path):
    recon = write_changed(scan, tmp_path / "a.h5", geometry=Geometry(pixel_mm=(2.0, 1.5)))
    summary = export(recon, tmp_path / "out", ExportConfig(to="dicom", template=template_of(scan)))
    assert "ImagePositionPatient" in pydicom.dcmread(tmp_path / "out" / "a" / "0001.dcm")
    assert summary.notes == {}
