"""A reconstruction as MRD images in HDF5."""

from functools import partial
from pathlib import Path

import h5py
import ismrmrd
import numpy as np

from mrikit.export.part import Part
from mrikit.export.source import RESEARCH_USE, Source, shown_range

NO_PLACE = "the place in the patient is not known: directions and positions are 0"
GROUP, IMAGES = "dataset", "image_0"
_MARK = "mrikit_export"


def mrd_parts(source: Source, mark: str) -> list[Part]:
    """One file with an image for each slice, whose x runs along the readout, as MRD has it.

    Args:
        source: The reconstruction.
        mark: Of the reconstruction and its template.
    """
    return [
        Part(
            name=f"{source.name}.mrd",
            mark=mark,
            read_mark=_read_mark,
            write=partial(_write, source, mark),
            num_bytes=source.image.nbytes,
        )
    ]


def _write(source: Source, mark: str, path: Path) -> None:
    low, high = shown_range(source.image)
    meta = ismrmrd.Meta(
        DataRole="Image",
        ImageComment=f"{RESEARCH_USE}. {source.description}",
        ImageProcessingHistory=f"mrikit {source.recon.model}",
        WindowCenter=str((low + high) / 2),
        WindowWidth=str(high - low),
    ).serialize()
    with ismrmrd.Dataset(str(path), GROUP, mode="w") as dataset:
        for index in range(len(source.image)):
            image = _image(source, index)
            image.attribute_string = meta
            dataset.append_image(IMAGES, image)
    with h5py.File(path, "r+") as file:
        file.attrs[_MARK] = mark


def _image(source: Source, index: int) -> ismrmrd.Image:
    geometry, (rows, columns) = source.geometry, source.image.shape[1:]
    facts = {}
    if geometry.pixel_mm is not None:
        height, width = geometry.pixel_mm[0] * rows, geometry.pixel_mm[1] * columns
        facts["field_of_view"] = (height, width, geometry.slice_thickness_mm or 0.0)
    if geometry.positions_mm is not None:
        facts["position"] = geometry.positions_mm[index]
    for name in ("read_dir", "phase_dir", "slice_dir"):
        if getattr(geometry, name) is not None:
            facts[name] = getattr(geometry, name)
    return ismrmrd.Image.from_array(
        np.ascontiguousarray(source.image[index].T),
        slice=index,
        image_index=index + 1,
        image_type=ismrmrd.IMTYPE_MAGNITUDE,
        **facts,
    )


def _read_mark(path: Path) -> str:
    with h5py.File(path, "r") as file:
        return str(file.attrs[_MARK])
