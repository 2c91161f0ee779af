"""A reconstruction as a DICOM series, one file for each slice.

Where every pixel has a known place it is an MR Image. Where not, that class would need a made-up place, so it is a
Secondary Capture, which needs none.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, SecondaryCaptureImageStorage, generate_uid
from pydicom.valuerep import format_number_as_ds

from mrikit import __version__
from mrikit.export.part import Part
from mrikit.export.source import RESEARCH_USE, Source, shown_range
from mrikit.export.template import Template, unusual_values
from mrikit.volumes.geometry import first_pixels

NO_PLACE = "the place in the patient is not known: written as Secondary Capture, without orientation and position"
_LEVELS = 2**16 - 1
_EMPTY = (
    "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "PatientName", "PatientID",
    "PatientBirthDate", "PatientSex", "StudyID", "Manufacturer", "Laterality",
)  # fmt: skip
"""Tags that every image must have, known or not."""
_EMPTY_MR = ("ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime", "EchoTrainLength")
_LONGEST = 64
"""Letters of a short text (LO)."""


def dicom_parts(source: Source, template: Template | None = None) -> list[Part]:
    """One file for each slice, `NAME/0001.dcm` first; the same reconstruction always gives the same files.

    Args:
        source: The reconstruction.
        template: Gives patient, study, frame of reference and scan parameters; without one they stay empty.
    """
    image, entropy = source.image, [source.digest, template.digest if template else ""]
    series = _series(source, template, entropy)
    low = min(float(image.min()), 0.0)
    # What is written is what readers will multiply by, so the rounding of its decimals has to count.
    slope, intercept = format_number_as_ds((float(image.max()) - low) / _LEVELS), format_number_as_ds(low)
    series.RescaleSlope, series.RescaleIntercept, series.RescaleType = slope, intercept, "US"
    parts = []
    for index, one in enumerate(image):
        uid = generate_uid(entropy_srcs=[*entropy, f"instance {index}"])
        stored = np.clip(np.rint((one - float(intercept)) / float(slope)), 0, _LEVELS).astype("<u2")
        parts.append(
            Part(
                name=f"{source.name}/{index + 1:04}.dcm",
                mark=uid,
                read_mark=_read_uid,
                write=partial(_write, source, series, uid, index, stored),
                num_bytes=stored.nbytes,
            )
        )
    return parts


def _read_uid(path: Path) -> str:
    return str(dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)


def _write(source: Source, series: Dataset, uid: str, index: int, stored: npt.NDArray[np.uint16], path: Path) -> None:
    one = Dataset(series)
    one.SOPInstanceUID, one.InstanceNumber = uid, index + 1
    _place(one, source, index)
    one.Rows, one.Columns = stored.shape
    one.PixelData = stored.tobytes()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.save_as(path, enforce_file_format=True)


def _series(source: Source, template: Template | None, entropy: list[str]) -> Dataset:
    """What all slices share."""
    known = Dataset()
    is_placed, model = source.geometry.is_placed, source.recon.model
    known.SpecificCharacterSet = "ISO_IR 192"
    known.SOPClassUID = MRImageStorage if is_placed else SecondaryCaptureImageStorage
    known.Modality = "MR"
    for keyword in (*_EMPTY, *(_EMPTY_MR if is_placed else ())):
        setattr(known, keyword, None if keyword == "EchoTrainLength" else "")
    known.StudyInstanceUID = generate_uid(entropy_srcs=[*entropy, "study"])
    if is_placed:
        known.FrameOfReferenceUID, known.PositionReferenceIndicator = generate_uid(entropy_srcs=[*entropy, "frame"]), ""
        known.ScanningSequence, known.SequenceVariant = "RM", "NONE"  # RM: research mode
    else:
        known.ConversionType = "WSD"
    if template is None:
        known.PatientIdentityRemoved, known.DeidentificationMethod = "YES", "no fact of the patient was taken over"
    else:
        with unusual_values():
            for keyword, value in template.shared_facts(is_placed=is_placed).items():
                setattr(known, keyword, value)
    known.SeriesInstanceUID = generate_uid(entropy_srcs=[*entropy, "series"])
    known.SeriesNumber = template.series_number + 1000 if template else 1
    known.SeriesDescription = f"RESEARCH USE mrikit {model}"[:_LONGEST]
    known.ManufacturerModelName, known.SoftwareVersions = "mrikit", __version__
    known.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    known.DerivationDescription = f"{source.description}. {RESEARCH_USE}."
    known.ImageComments = f"{RESEARCH_USE}. Reconstruction sha256 {source.digest}"
    known.BurnedInAnnotation, known.LossyImageCompression = "NO", "00"
    _show(known, source)
    return known


def _show(known: Dataset, source: Source) -> None:
    """How pixels are stored and shown."""
    low, high = shown_range(source.image)
    known.SamplesPerPixel, known.PhotometricInterpretation = 1, "MONOCHROME2"
    known.BitsAllocated = known.BitsStored = 16
    known.HighBit, known.PixelRepresentation = 15, 0
    # LINEAR wants windows of at least 1, and k-space may be in any unit.
    known.VOILUTFunction = "LINEAR_EXACT"
    known.WindowCenter, known.WindowWidth = format_number_as_ds((low + high) / 2), format_number_as_ds(high - low)


def _place(one: Dataset, source: Source, index: int) -> None:
    """Where a slice lies. Rows go down along y, columns to the right along x."""
    geometry, shape = source.geometry, (source.image.shape[1], source.image.shape[2])
    if geometry.pixel_mm is not None:
        one.PixelSpacing = _decimals(geometry.pixel_mm)
    if not geometry.is_placed:
        one.PatientOrientation = ""
        return
    assert geometry.read_dir is not None
    assert geometry.phase_dir is not None
    corner = first_pixels(geometry, shape)[index]
    one.ImageOrientationPatient = _decimals((*geometry.phase_dir, *geometry.read_dir))
    one.ImagePositionPatient = _decimals(corner)
    one.SliceLocation = _decimals([corner @ np.cross(geometry.phase_dir, geometry.read_dir)])[0]
    one.PatientPosition = geometry.patient_position or ""
    thickness, spacing = geometry.slice_thickness_mm, geometry.slice_spacing_mm
    one.SliceThickness = "" if thickness is None else format_number_as_ds(thickness)
    if spacing is not None:
        one.SpacingBetweenSlices = format_number_as_ds(spacing)


def _decimals(values: Any) -> list[str]:  # noqa: ANN401 - any sequence of numbers
    return [format_number_as_ds(float(value)) for value in values]
