"""One volume as one line of JSON: everything but the samples, so that it can be opened without reading its header."""

import json
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.storage import Location
from mrikit.volumes.blob_file import BlobFiles
from mrikit.volumes.faults import dump_fault
from mrikit.volumes.files import open_volumes
from mrikit.volumes.geometry import dump_geometry, load_geometry
from mrikit.volumes.hdf5 import NoRawDataError
from mrikit.volumes.index_slices import dump_slices, load_slices
from mrikit.volumes.volume import ScanInfo, Volume

STORED_FACTS = [field.name for field in fields(ScanInfo) if field.name not in ("volume_id", "source")]
"""The others follow from where the file lies."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What the index knows about one file."""

    kind: str
    """`volume`, `volumes` (several), `reconstruction` (no raw data, left out) or `bad`."""
    shape: list[int] | None
    """(slice, coil, readout, phase) of a volume."""
    line: str
    """JSON: an object for a volume, [suffix, shape, line] of each of several, the fault of a bad file, else
    null. Parsed when it is needed."""
    suffix: str = ""
    """Which of several volumes of the file it is: what follows the file's name in the volume id, such as
    `_contrast1`."""

    @property
    def volumes(self) -> list["Entry"]:
        """One entry for each volume of several; otherwise this one."""
        if self.kind != "volumes":
            return [self]
        return [
            Entry(kind="volume", shape=shape, line=line, suffix=suffix) for suffix, shape, line in json.loads(self.line)
        ]


def read_entry(folder: Location, name: str, blobs: BlobFiles | None = None) -> Entry:
    """Open the file `name` of a folder and describe it. A bad file is described too, not raised.

    Raises:
        StorageError: A blob cannot be read.
    """
    path = folder / name
    try:
        volumes = open_volumes(path, blobs)
    except NoRawDataError:
        return Entry(kind="reconstruction", shape=None, line="null")
    except DataError as error:
        return Entry(kind="bad", shape=None, line=dump_fault(error))
    if len(volumes) == 1:
        return Entry(kind="volume", shape=list(volumes[0].kspace.shape), line=_dump(path, volumes[0]))
    described = [
        (volume.info.volume_id.removeprefix(path.stem), volume.kspace.shape, _dump(path, volume)) for volume in volumes
    ]
    return Entry(kind="volumes", shape=None, line=json.dumps(described))


def load_volume(folder: Location, name: str, line: str, suffix: str = "") -> Volume:
    """The volume that `read_entry` described, without opening its file; `suffix` tells several apart."""
    path = folder / name
    known = json.loads(line)
    kspace = load_slices(path, known["kspace"])
    assert kspace is not None
    return Volume(
        kspace=kspace,
        reference=load_slices(path, known["reference"]),
        mask=_load_mask(known["mask"]),
        planned_mask=_load_mask(known["planned_mask"]),
        info=_load_info(path, known["info"], suffix),
    )


def label_of(name: str, suffix: str) -> str:
    """A file, and in brackets which of several volumes of it: `knee.h5 (contrast1)`."""
    return f"{name} ({suffix.lstrip('_')})" if suffix else name


def load_info(folder: Location, name: str, line: str, suffix: str = "") -> ScanInfo:
    """The facts of a volume that `read_entry` described, without opening its file."""
    return _load_info(folder / name, json.loads(line)["info"], suffix)


def _dump(path: Location, volume: Volume) -> str:
    info = volume.info
    return json.dumps(
        {
            "kspace": dump_slices(path, volume.kspace),
            "reference": dump_slices(path, volume.reference),
            "mask": _dump_mask(volume.mask),
            "planned_mask": _dump_mask(volume.planned_mask),
            "info": {name: getattr(info, name) for name in STORED_FACTS} | {"geometry": dump_geometry(info.geometry)},
        },
        separators=(",", ":"),
    )


def _load_info(path: Location, known: dict[str, Any], suffix: str) -> ScanInfo:
    facts: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in known.items()}
    facts["geometry"] = load_geometry(known["geometry"])
    return ScanInfo(volume_id=path.stem + suffix, source=path, **facts)


def _dump_mask(mask: npt.NDArray[np.bool_] | None) -> dict[str, Any] | None:
    return None if mask is None else {"shape": mask.shape, "bits": np.packbits(mask).tobytes().hex()}


def _load_mask(known: dict[str, Any] | None) -> npt.NDArray[np.bool_] | None:
    if known is None:
        return None
    shape = tuple(known["shape"])
    bits = np.frombuffer(bytes.fromhex(known["bits"]), np.uint8)
    return np.unpackbits(bits, count=int(np.prod(shape))).astype(bool).reshape(shape)
