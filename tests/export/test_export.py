"""What each format holds, what stays, and what is refused."""

import gzip
import hashlib
import json
from dataclasses import replace

import ismrmrd
import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import SecondaryCaptureImageStorage
from scored_study import line_mask

from mrikit.errors import ConfigError, DataError, StorageError
from mrikit.export import ExportConfig, export
from mrikit.volumes.geometry import Geometry
from mrikit.volumes.reconstruction import Reconstruction, write_reconstruction

PLACED = Geometry(
    pixel_mm=(2.0, 1.5),
    slice_thickness_mm=3.0,
    slice_spacing_mm=4.0,
    positions_mm=tuple((1.0, 2.0, 4.0 * number) for number in range(3)),
    read_dir=(0.0, 1.0, 0.0),
    phase_dir=(1.0, 0.0, 0.0),
    slice_dir=(0.0, 0.0, 1.0),
    patient_position="HFS",
)
IMAGE = np.random.default_rng(3).random((3, 6, 5), np.float32) * 1e-4


def write_recon(path, image=IMAGE, geometry=PLACED, **facts):
    """A reconstruction with a known image."""
    known = {"volume_id": path.stem, "model": "cg_sense", "config": {}, "acquisition": "AXT2", **facts}
    image = np.asarray(image, np.float32)
    write_reconstruction(
        path, Reconstruction(image=image, zero_filled=image, mask=line_mask(), geometry=geometry, **known)
    )
    return path


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def refusal(*arguments, **options) -> str:
    with pytest.raises((ConfigError, DataError)) as caught:
        export(*arguments, ExportConfig(**options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


NAMES = {
    "dicom": ["a/0001.dcm", "a/0002.dcm", "a/0003.dcm"],
    "nifti": ["a.nii.gz"],
    "mrd": ["a.mrd"],
    "png": ["a/0001.png", "a/0002.png", "a/0003.png"],
}


@pytest.mark.parametrize("to", NAMES)
def test_the_same_command_again_keeps_every_file(tmp_path, to):
    recon = write_recon(tmp_path / "recon" / "a.h5")
    first = export(recon.parent, tmp_path / "out", ExportConfig(to=to))
    files = files_of(tmp_path / "out")
    assert list(files) == NAMES[to]
    times = [path.stat().st_mtime_ns for path in files.values()]
    again = export(recon.parent, tmp_path / "out", ExportConfig(to=to))
    assert [path.stat().st_mtime_ns for path in files.values()] == times
    assert (first.num_files, first.num_kept, again.num_files, again.num_kept) == (len(files), 0, 0, len(files))


@pytest.mark.parametrize("to", ["dicom", "png"])
def test_what_an_interrupted_export_lacks_is_written(tmp_path, to):
    recon = write_recon(tmp_path / "a.h5")
    export(recon, tmp_path / "out", ExportConfig(to=to))
    lost = tmp_path / "out" / NAMES[to][1]
    before = lost.read_bytes()
    lost.unlink()
    assert export(recon, tmp_path / "out", ExportConfig(to=to)).num_files == 1
    assert lost.read_bytes() == before


@pytest.mark.parametrize("to", NAMES)
def test_another_reconstruction_does_not_replace_the_first_ones_files(tmp_path, to):
    export(write_recon(tmp_path / "a.h5"), tmp_path / "out", ExportConfig(to=to))
    before = {name: path.read_bytes() for name, path in files_of(tmp_path / "out").items()}
    other = write_recon(tmp_path / "other" / "a.h5", image=2 * IMAGE)
    target = tmp_path / "out" / NAMES[to][0]
    assert refusal(other, tmp_path / "out", to=to) == (
        f"{target}: it is there and was not made so from {other}; choose another --out, or delete it"
    )
    assert {name: path.read_bytes() for name, path in files_of(tmp_path / "out").items()} == before


@pytest.mark.parametrize("to", NAMES)
def test_a_foreign_file_stays(tmp_path, to):
    target = tmp_path / "out" / NAMES[to][0]
    target.parent.mkdir(parents=True)
    target.write_text("mine")
    assert "it is there and was not made so from" in refusal(write_recon(tmp_path / "a.h5"), tmp_path / "out", to=to)
    assert target.read_text() == "mine"


def test_folders_below_stay_folders(tmp_path):
    write_recon(tmp_path / "recon" / "acc4" / "a.h5")
    write_recon(tmp_path / "recon" / "acc8" / "a.h5", image=2 * IMAGE)
    export(tmp_path / "recon", tmp_path / "out", ExportConfig(to="nifti"))
    assert list(files_of(tmp_path / "out")) == ["acc4/a.nii.gz", "acc8/a.nii.gz"]


def test_dicom_holds_values_place_and_origin(tmp_path):
    recon = write_recon(tmp_path / "a.h5", weights_sha256="f" * 64)
    export(recon, tmp_path / "out", ExportConfig(to="dicom"))
    slices = [pydicom.dcmread(path) for path in files_of(tmp_path / "out").values()]
    one, digest = slices[1], hashlib.sha256(recon.read_bytes()).hexdigest()
    values = np.stack([image.pixel_array * float(image.RescaleSlope) for image in slices])
    np.testing.assert_allclose(values, IMAGE, atol=IMAGE.max() / 2**16)
    assert one.RescaleIntercept == 0
    assert list(one.PixelSpacing) == [2.0, 1.5]
    assert list(one.ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]
    assert list(one.ImagePositionPatient) == [1 - 2 * 1.5, 2 - 3 * 2.0, 4]
    assert (one.SliceThickness, one.SpacingBetweenSlices, one.PatientPosition) == (3.0, 4.0, "HFS")
    assert list(one.ImageType[:2]) == ["DERIVED", "SECONDARY"]
    assert one.SeriesDescription == "RESEARCH USE mrikit cg_sense"
    assert one.ImageComments == f"Research use only, not for diagnosis. Reconstruction sha256 {digest}"
    assert f"weights sha256 {'f' * 64}" in one.DerivationDescription
    assert 0 < one.WindowWidth <= 1.001 * IMAGE.max()
    assert len({image.SOPInstanceUID for image in slices}) == 3
    assert len({(image.SeriesInstanceUID, image.StudyInstanceUID, image.FrameOfReferenceUID) for image in slices}) == 1
    assert [image.InstanceNumber for image in slices] == [1, 2, 3]


def test_dicom_names_nobody_without_a_template(tmp_path):
    recon = write_recon(tmp_path / "Doe_Jane.h5", config={"data": "/data/Doe_Jane.h5"})
    export(recon, tmp_path / "out", ExportConfig(to="dicom"))
    path = tmp_path / "out" / "Doe_Jane" / "0001.dcm"
    one = pydicom.dcmread(path)
    assert b"Doe" not in path.read_bytes()
    assert (str(one.PatientName), one.PatientID, one.PatientBirthDate, one.StudyDate) == ("", "", "", "")
    assert one.PatientIdentityRemoved == "YES"


def test_the_same_reconstruction_gives_the_same_dicom_bytes(tmp_path):
    recon = write_recon(tmp_path / "a.h5")
    for out in ("one", "two"):
        export(recon, tmp_path / out, ExportConfig(to="dicom"))
    one, two = (files_of(tmp_path / out) for out in ("one", "two"))
    assert [path.read_bytes() for path in one.values()] == [path.read_bytes() for path in two.values()]


@pytest.mark.parametrize("geometry", [None, replace(PLACED, pixel_mm=None), Geometry(pixel_mm=(2.0, 1.5))])
def test_dicom_invents_no_place(tmp_path, geometry):
    recon = write_recon(tmp_path / "a.h5", geometry=geometry)
    summary = export(recon, tmp_path / "out", ExportConfig(to="dicom"))
    one = pydicom.dcmread(tmp_path / "out" / "a" / "0001.dcm")
    assert one.SOPClassUID == SecondaryCaptureImageStorage
    assert not {"ImageOrientationPatient", "ImagePositionPatient", "FrameOfReferenceUID", "SliceThickness"} & set(
        one.dir()
    )
    assert ("PixelSpacing" in one) == (geometry is not None and geometry.pixel_mm is not None)
    assert list(summary.notes.values()) == [1]
    assert "is not known: written as Secondary Capture" in next(iter(summary.notes))


def test_a_slice_thickness_that_is_not_known_is_empty(tmp_path):
    recon = write_recon(tmp_path / "a.h5", geometry=replace(PLACED, slice_thickness_mm=None, slice_spacing_mm=None))
    export(recon, tmp_path / "out", ExportConfig(to="dicom"))
    one = pydicom.dcmread(tmp_path / "out" / "a" / "0001.dcm")
    assert one.SliceThickness is None
    assert "SpacingBetweenSlices" not in one


def test_nifti_holds_values_and_says_research_use(tmp_path):
    export(write_recon(tmp_path / "a.h5"), tmp_path / "out", ExportConfig(to="nifti"))
    image = nibabel.load(tmp_path / "out" / "a.nii.gz")
    assert image.get_data_dtype() == np.float32
    np.testing.assert_array_equal(image.get_fdata(dtype=np.float32), IMAGE.transpose(2, 1, 0))
    np.testing.assert_allclose(image.affine, [[-1.5, 0, 0, 2], [0, -2, 0, 4], [0, 0, 4, 0], [0, 0, 0, 1]])
    assert image.header["descrip"].item().startswith(b"research use; mrikit ")
    assert image.header.get_xyzt_units()[0] == "mm"


def test_nifti_without_a_place_has_no_transform(tmp_path):
    recon = write_recon(tmp_path / "a.h5", geometry=Geometry(pixel_mm=(2.0, 1.5), slice_thickness_mm=3.0))
    summary = export(recon, tmp_path / "out", ExportConfig(to="nifti"))
    header = nibabel.load(tmp_path / "out" / "a.nii.gz").header
    assert (header["qform_code"], header["sform_code"]) == (0, 0)
    np.testing.assert_allclose(header.get_zooms(), [1.5, 2.0, 3.0])
    assert "qform and sform are 0" in next(iter(summary.notes))


def test_nifti_of_one_slice_is_as_thick_as_the_slice(tmp_path):
    geometry = replace(PLACED, positions_mm=PLACED.positions_mm[:1], slice_spacing_mm=None)
    export(write_recon(tmp_path / "a.h5", IMAGE[:1], geometry), tmp_path / "out", ExportConfig(to="nifti"))
    np.testing.assert_allclose(nibabel.load(tmp_path / "out" / "a.nii.gz").header.get_zooms(), [1.5, 2.0, 3.0])


def test_nifti_of_unequal_steps_is_refused(tmp_path):
    positions = (*PLACED.positions_mm[:2], (1.0, 2.0, 11.0))
    recon = write_recon(tmp_path / "a.h5", geometry=replace(PLACED, positions_mm=positions, slice_spacing_mm=None))
    assert refusal(recon, tmp_path / "out", to="nifti") == (
        f"{recon}: neighbouring slices are 4 to 7 mm apart, and NIfTI holds one distance; export it as dicom"
    )
    assert export(recon, tmp_path / "out", ExportConfig(to="dicom")).num_files == 3


def test_mrd_images_hold_values_and_origin(tmp_path):
    recon = write_recon(tmp_path / "a.h5")
    export(recon, tmp_path / "out", ExportConfig(to="mrd"))
    with ismrmrd.Dataset(str(tmp_path / "out" / "a.mrd"), mode="r") as dataset:
        images = [dataset.read_image("image_0", index) for index in range(3)]
    np.testing.assert_array_equal(np.stack([image.data[0, 0].T for image in images]), IMAGE)
    assert [image.slice for image in images] == [0, 1, 2]
    assert list(images[0].field_of_view) == [12.0, 7.5, 3.0]  # x along the readout
    assert hashlib.sha256(recon.read_bytes()).hexdigest() in images[0].meta["ImageComment"]


@pytest.mark.parametrize(("bits", "white"), [(8, 255), (16, 65535)])
def test_png_shows_all_slices_in_one_window(tmp_path, bits, white):
    image = np.zeros((2, 6, 5), np.float32)
    image[0, 0, :3] = 1, 2, 4
    image[1, 5, 4] = 2
    export(write_recon(tmp_path / "a.h5", image, None), tmp_path / "out", ExportConfig(to="png", bits=bits))
    first, second = (np.asarray(Image.open(path)).astype(int) for path in files_of(tmp_path / "out").values())
    assert first.shape == (6, 5)
    np.testing.assert_allclose(first[0, :4], [white / 4, white / 2, white, 0], atol=0.005 * white)
    assert second[5, 4] == first[0, 1]


def test_bids_names_come_from_volume_model_and_protocol(tmp_path):
    for number, (protocol, suffix) in enumerate(
        {"AXT1POST": "T1w", "AXT2": "T2w", "AXFLAIR": "FLAIR", "CORPDFS_FBK": "PDw"}.items()
    ):
        recon = write_recon(tmp_path / f"file_{number}.h5", acquisition=protocol)
        export(recon, tmp_path / "out", ExportConfig(to="nifti", is_bids=True))
        name = f"sub-file{number}/anat/sub-file{number}_rec-cgsense_{suffix}"
        assert (tmp_path / "out" / f"{name}.nii.gz").exists()
        sidecar = json.loads((tmp_path / "out" / f"{name}.json").read_text())
        assert sidecar["ReconstructionSHA256"] == hashlib.sha256(recon.read_bytes()).hexdigest()
        assert sidecar["ImageComments"].startswith("Research use only")
    description = json.loads((tmp_path / "out" / "dataset_description.json").read_text())
    assert (description["DatasetType"], description["GeneratedBy"][0]["Name"]) == ("derivative", "mrikit")


def test_a_description_of_the_data_set_that_is_there_stays(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "dataset_description.json").write_text("{}")
    export(write_recon(tmp_path / "a.h5"), tmp_path / "out", ExportConfig(to="nifti", is_bids=True))
    assert (tmp_path / "out" / "dataset_description.json").read_text() == "{}"


def test_a_bids_name_needs_a_contrast(tmp_path):
    recon = write_recon(tmp_path / "a.h5", acquisition="localizer")
    assert refusal(recon, tmp_path / "out", to="nifti", is_bids=True) == (
        f"{recon}: a BIDS name needs the contrast, and its protocol 'localizer' names none; give --suffix, such as T2w"
    )
    export(recon, tmp_path / "out", ExportConfig(to="nifti", is_bids=True, suffix="T2starw"))
    assert (tmp_path / "out" / "sub-a" / "anat" / "sub-a_rec-cgsense_T2starw.nii.gz").exists()


def test_two_volumes_of_one_bids_name_are_refused(tmp_path):
    for name in ("a_1", "a1"):
        write_recon(tmp_path / "recon" / f"{name}.h5", volume_id=name)
    assert "sub-a1/anat/sub-a1_rec-cgsense_T2w.json: it is there and was not made so" in refusal(
        tmp_path / "recon", tmp_path / "out", to="nifti", is_bids=True
    )


def test_nifti_bytes_do_not_change_with_the_time(tmp_path):
    recon = write_recon(tmp_path / "a.h5")
    export(recon, tmp_path / "out", ExportConfig(to="nifti"))
    content = (tmp_path / "out" / "a.nii.gz").read_bytes()
    assert content[4:8] == bytes(4)  # where gzip keeps a time
    assert len(gzip.decompress(content)) == 352 + IMAGE.nbytes


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((2, 3, 4), np.nan), "24 of 24 pixels are NaN or Inf; reconstruct it again"),
        (np.zeros((2, 3, 4)), "the image is zero everywhere; was there any signal in k-space?"),
        (np.ones((3, 4)), "the image has shape (3, 4); (slice, y, x) is needed"),
        (np.ones((2, 3, 4)), "3 positions for 2 slices; reconstruct it again"),
    ],
)
def test_an_image_that_cannot_be_shown_is_refused(tmp_path, image, message):
    recon = write_recon(tmp_path / "a.h5", image)
    assert refusal(recon, tmp_path / "out", to="nifti") == f"{recon}: {message}"
    assert not (tmp_path / "out").exists()


def test_what_is_no_reconstruction_is_refused(tmp_path):
    (tmp_path / "recon").mkdir()
    assert "no reconstruction in this folder or below" in refusal(tmp_path / "recon", tmp_path / "out", to="png")
    (tmp_path / "recon" / "a.h5").write_text("text")
    assert "not a reconstruction of mrikit" in refusal(tmp_path / "recon", tmp_path / "out", to="png")
    assert "no such file or folder" in refusal(tmp_path / "gone", tmp_path / "out", to="png")
    assert "choose another --out" in refusal(tmp_path / "recon", tmp_path / "recon", to="png")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to": "jpeg"}, "--to jpeg: choose one of dicom, nifti, mrd, png"),
        ({"to": "dicom", "is_bids": True}, "--bids is for nifti, found dicom"),
        ({"to": "dicom", "bits": 16}, "--bits is for png, found dicom"),
        ({"to": "png", "bits": 12}, "--bits 12: a png has 8 or 16"),
        ({"to": "nifti", "suffix": "T2w"}, "beside --bids"),
        ({"to": "nifti", "is_bids": True, "suffix": "../T2w"}, "a contrast in letters and digits"),
        ({"to": "png", "template": "a.dcm"}, "which a png does not hold; leave it out"),
    ],
)
def test_an_option_without_effect_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        ExportConfig(**options)


@pytest.mark.parametrize("to", NAMES)
def test_a_full_disk_leaves_no_half_of_a_file(full_disk, tmp_path, to):
    image = np.random.default_rng(1).random((3, 800, 800), np.float32)
    recon = write_recon(tmp_path / "a.h5", image)
    with pytest.raises(StorageError, match="the disk is full"):
        export(recon, full_disk / "out", ExportConfig(to=to))
    assert all(path.suffix != ".tmp" and not path.name.startswith(".") for path in full_disk.rglob("*"))


def test_hundred_slices_share_one_slope(tmp_path):
    image = np.random.default_rng(1).random((100, 8, 8), np.float32)
    image[50] *= 10
    export(write_recon(tmp_path / "a.h5", image, None), tmp_path / "out", ExportConfig(to="dicom"))
    slopes = {pydicom.dcmread(path).RescaleSlope for path in files_of(tmp_path / "out").values()}
    assert len(slopes) == 1
