"""An MR image of the scanner that tells whose reconstruction it is, and where it lies."""

import contextlib
import hashlib
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage

from mrikit.errors import DataError

_SHARED = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize", "PatientWeight",
    "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber",
    "ReferringPhysicianName", "BodyPartExamined", "Laterality", "PatientIdentityRemoved", "DeidentificationMethod",
)  # fmt: skip
"""What every image of the patient's study says."""
_SHARED_MR = (
    "FrameOfReferenceUID", "PositionReferenceIndicator", "ScanningSequence", "SequenceVariant", "ScanOptions",
    "MRAcquisitionType", "RepetitionTime", "EchoTime", "EchoTrainLength", "InversionTime", "FlipAngle",
    "MagneticFieldStrength", "ImagingFrequency", "ImagedNucleus", "NumberOfAverages", "PixelBandwidth",
)  # fmt: skip
"""What MR images say too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """An MR image, and the other images of its series that lie in its folder."""

    path: Path
    digest: str
    """SHA-256 of its file, hexadecimal."""
    named: Dataset
    """The image that was named."""
    series: tuple[Dataset, ...]
    """All images of the series, in the order of their numbers; those of a JSON list in its order."""
    is_stated: bool
    """Whether it is JSON: tags that somebody wrote for this very array, and no image to compare with."""

    @property
    def series_number(self) -> int:
        """Number of the scanner's series, 0 if it has none."""
        return int(self.named.get("SeriesNumber", None) or 0)

    def shared_facts(self, *, is_placed: bool) -> dict[str, Any]:
        """What a reconstruction of the same scan says too, by DICOM's keywords.

        Args:
            is_placed: Whether it is an MR image, with a frame of reference and scan parameters.
        """
        keywords = (*_SHARED, *(_SHARED_MR if is_placed else ()))
        return {keyword: _plain(self.named[keyword].value) for keyword in keywords if keyword in self.named}


def read_template(path: Path) -> Template:
    """Read an MR image, or JSON that names DICOM's tags as an object, or as a list with one object for each slice.

    Raises:
        DataError: It is missing, no DICOM or JSON, or no MR image with one slice in its file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: the template cannot be read: {error.strerror}") from error
    is_json = path.suffix == ".json"
    with unusual_values():
        named, *others = _from_json(path, content) if is_json else [_from_dicom(path)]
        series = (named, *others) if is_json else _siblings(path, named)
    return Template(
        path=path, digest=hashlib.sha256(content).hexdigest(), named=named, series=series, is_stated=is_json
    )


@contextlib.contextmanager
def unusual_values() -> Iterator[None]:
    """No warnings of pydicom until the block ends: scanners write values that the standard does not allow."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pydicom")
        yield


def _from_dicom(path: Path) -> Dataset:
    try:
        image = pydicom.dcmread(path)
    except (InvalidDicomError, OSError, EOFError, KeyError, ValueError) as error:
        raise DataError(f"{path}: the template is no DICOM file; give an MR image of the scan") from error
    found = image.get("SOPClassUID", None)
    if found == EnhancedMRImageStorage:
        raise DataError(f"{path}: the template is an Enhanced MR image; give one of a series with a slice in each file")
    if found != MRImageStorage:
        what = f"'{found.name}'" if found else "without a class"
        raise DataError(f"{path}: the template is {what}; give an MR image of the scan")
    return image


def _from_json(path: Path, content: bytes) -> list[Dataset]:
    try:
        found = json.loads(content)
        listed = found if isinstance(found, list) else [found]
        images = [_of_tags(one) for one in listed]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        message = f"{path}: no JSON of DICOM tags, such as {{'PixelSpacing': [1, 1], ...}}: {error}"
        raise DataError(message) from error
    modality = images[0].get("Modality", "MR") if images else None
    if modality is None:
        raise DataError(f"{path}: no JSON of DICOM tags: an empty list; one object for each slice is needed")
    if modality != "MR":
        raise DataError(f"{path}: the template is of modality {modality}; give tags of an MR image")
    return images


def _of_tags(tags: dict[str, Any]) -> Dataset:
    """By tag numbers as DICOM's JSON model has them, or by keywords."""
    if all(isinstance(value, dict) and "vr" in value for value in tags.values()):
        return Dataset.from_json(tags)
    image = Dataset()
    for keyword, value in tags.items():
        if pydicom.datadict.tag_for_keyword(keyword) is not None:
            setattr(image, keyword, value)
    return image


def _siblings(path: Path, named: Dataset) -> tuple[Dataset, ...]:
    """The images of the same series in the template's folder, by their numbers."""
    found = {path: named}
    for other in sorted(path.parent.iterdir()):
        if other == path or not other.is_file():
            continue
        try:
            image = pydicom.dcmread(other, defer_size="1 KB")
        except (InvalidDicomError, OSError, EOFError, KeyError, ValueError):
            continue  # a folder may hold other files too
        if image.get("SeriesInstanceUID", None) == named.get("SeriesInstanceUID", None):
            found[other] = image
    return tuple(sorted(found.values(), key=lambda image: int(image.get("InstanceNumber", None) or 0)))


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever the tag holds
    """A name without the character set of the file that it comes from."""
    return str(value) if isinstance(value, pydicom.valuerep.PersonName) else value
