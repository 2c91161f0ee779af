"""A reconstruction as a NIfTI file, plain or under BIDS names."""

import gzip
import json
from functools import partial
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt

from mrikit import __version__
from mrikit.errors import DataError
from mrikit.export.bids import DESCRIPTION_FILE, bids_name, dataset_description
from mrikit.export.part import Part
from mrikit.export.source import RESEARCH_USE, Source
from mrikit.volumes.geometry import first_pixels

NO_PLACE = "the place in the patient is not known: qform and sform are 0, and unknown distances stand as 1"
_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])
_STEP = 1e-2
"""Steps between slices that differ by a larger share are unequal."""
_UNCOMPRESSED_SHARE = 1.1


def nifti_parts(source: Source, mark: str, *, is_bids: bool = False, suffix: str | None = None) -> list[Part]:
    """One file; with BIDS names also its sidecar and the description of the data set.

    Args:
        source: The reconstruction.
        mark: Of the reconstruction and its template.
        is_bids: Whether to name it by BIDS.
        suffix: What BIDS calls its contrast, such as `T2w`; by its protocol if None.

    Raises:
        DataError: Slices lie at unequal steps, or BIDS names need a contrast that is not known.
    """
    name = bids_name(source, suffix) if is_bids else source.name
    content = partial(_write, source, affine_of(source), f"research use; mrikit {source.digest[:40]} {mark[:16]}")
    image = Part(
        name=f"{name}.nii.gz",
        mark=mark[:16],
        read_mark=_read_mark,
        write=content,
        num_bytes=int(source.image.nbytes * _UNCOMPRESSED_SHARE),
    )
    if not is_bids:
        return [image]
    # The image comes last: a sidecar without it is no harm, an image without its sidecar says nothing of research use.
    return [_text(f"{name}.json", _sidecar(source)), image]


def description_part() -> Part:
    """The file that makes a folder a BIDS data set."""
    return _text(DESCRIPTION_FILE, dataset_description())


def affine_of(source: Source) -> npt.NDArray[np.float64] | None:
    """(4, 4) from (x, y, slice) voxels to RAS millimetres, or None where the place is not known.

    Raises:
        DataError: Slices lie at unequal steps, for which one matrix cannot stand.
    """
    geometry = source.geometry
    if not geometry.is_placed:
        return None
    assert geometry.pixel_mm is not None
    phase, read = np.asarray(geometry.phase_dir), np.asarray(geometry.read_dir)
    corners = first_pixels(geometry, (source.image.shape[1], source.image.shape[2]))
    if len(corners) > 1:
        steps = np.diff(corners, axis=0)
        lengths = np.linalg.norm(steps, axis=1)
        if np.linalg.norm(np.ptp(steps, axis=0)) > _STEP * lengths.max():
            raise DataError(
                f"{source.path}: neighbouring slices are {lengths.min():.4g} to {lengths.max():.4g} mm apart, and "
                f"NIfTI holds one distance; export it as dicom"
            )
        step = (corners[-1] - corners[0]) / (len(corners) - 1)
    else:
        normal = np.cross(phase, read) if geometry.slice_dir is None else np.asarray(geometry.slice_dir)
        step = normal * (geometry.slice_thickness_mm or 1.0)
    affine = np.eye(4)
    affine[:3] = np.column_stack(
        [one * _LPS_TO_RAS for one in (geometry.pixel_mm[1] * phase, geometry.pixel_mm[0] * read, step, corners[0])]
    )
    return affine


def _write(source: Source, affine: npt.NDArray[np.float64] | None, description: str, path: Path) -> None:
    image = nibabel.Nifti1Image(source.image.transpose(2, 1, 0), affine, dtype=np.float32)
    header, geometry = image.header, source.geometry
    header["descrip"] = description.encode()
    if affine is None:
        row, column = geometry.pixel_mm or (1.0, 1.0)
        header.set_zooms((column, row, geometry.slice_spacing_mm or geometry.slice_thickness_mm or 1.0))
        image.set_sform(None, 0)
        image.set_qform(None, 0)
    else:
        image.set_sform(affine, "scanner")
        image.set_qform(affine, "scanner")
    header.set_xyzt_units("mm" if geometry.pixel_mm is not None else "unknown")
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))


def _read_mark(path: Path) -> str:
    with gzip.open(path) as file:
        header = nibabel.Nifti1Header(file.read(348))
    return str(header["descrip"].item().decode().split()[-1])


def _sidecar(source: Source) -> dict[str, Any]:
    geometry, mask = source.geometry, source.recon.mask
    known = {
        "SpacingBetweenSlices": geometry.slice_spacing_mm,
        "SliceThickness": geometry.slice_thickness_mm,
        "ImageComments": f"{RESEARCH_USE}. {source.description}",
        "ConversionSoftware": "mrikit",
        "ConversionSoftwareVersion": __version__,
        "ReconstructionModel": source.recon.model,
        "ReconstructionSHA256": source.digest,
        "WeightsSHA256": source.recon.weights_sha256,
        "Acceleration": mask.true_acceleration,
    }
    return {name: value for name, value in known.items() if value is not None}


def _text(name: str, value: dict[str, Any]) -> Part:
    text = json.dumps(value, indent=2) + "\n"
    return Part(
        name=name,
        mark=text,
        read_mark=partial(Path.read_text, encoding="utf-8"),
        write=partial(Path.write_text, data=text, encoding="utf-8"),
    )
