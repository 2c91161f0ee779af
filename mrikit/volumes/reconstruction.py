"""Reconstruction: the image of one volume with everything needed to score and to repeat it, and its file."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.masks import Mask
from mrikit.storage import Location, atomic_path
from mrikit.volumes.decisions import Decisions, add_decisions, take_decisions
from mrikit.volumes.files import name_below
from mrikit.volumes.geometry import Geometry, dump_geometry, load_geometry
from mrikit.volumes.hdf5 import create_hdf5, open_file

SLOW_VOLUME_S = 60.0
"""Seconds of forward passes above which the SNU challenge warns about a volume."""

_WHERE_KNOWN = ("masks", "chances", "kspace_energies")


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """How long the forward passes of a volume took, one slice at a time."""

    num_slices: int
    """Slices that count; the first of a run do not."""
    seconds: float
    """Of these together."""
    total_seconds: float
    """Of all slices of the volume."""
    device: str
    """What computed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconstruction:
    """One reconstructed volume and where it came from."""

    image: npt.NDArray[np.float32]
    """(slice, y, x) magnitude in the scale of the data, cropped to the scored window."""
    zero_filled: npt.NDArray[np.float32]
    """(slice, y, x) what the sampled lines show without any reconstruction, in the same window and scale."""
    reference: npt.NDArray[np.float32] | None = None
    """(slice, y, x) root sum of squares of the full data, where those were full and their file has no reference."""
    volume_id: str
    acquisition: str | None = None
    """Name of the protocol, where the volume has one."""
    geometry: Geometry | None = None
    """Where `image` lies in the patient, as far as that is known."""
    mask: Mask
    """What was measured; where each slice was measured otherwise, what all share."""
    masks: npt.NDArray[np.bool_] | None = None
    """(slice, phase) True where measured, of a method that chose its lines while it measured; None of others."""
    chances: npt.NDArray[np.float32] | None = None
    """(slice, decision, phase) how likely each line was to be chosen by each decision; None likewise."""
    decisions: Decisions | None = None
    """In what order they were measured, and what each was worth; None likewise."""
    kspace_energies: npt.NDArray[np.float32] | None = None
    """(slice, 2) energy of the error of k-space and of full k-space, where a method fills it and both are known."""
    model: str
    weights_sha256: str | None = None
    """Digest of the weights; None for a classical method."""
    config: dict[str, Any]
    """The resolved configuration of the run, as JSON."""
    source_signature: tuple[int, int] | None = None
    """Size in bytes of the volume's file, and its modification time in ns or the version of the blob, so that a changed
    one is reconstructed again."""
    timing: Timing | None = None
    """None if nobody asked for it."""


def write_reconstruction(path: Path, reconstruction: Reconstruction) -> None:
    """Write one `.h5` file, whole or not at all.

    Datasets: `reconstruction`, `zero_filled` and where there is one `reference` (slice, y, x) float32, `mask` as in
    `Mask.samples`, and where there are some `masks`, `chances` and `kspace_energies`; those of `Decisions` in a group
    `decisions`; attribute `provenance` is JSON with everything else.

    Raises:
        StorageError: The path cannot be written or the disk is full.
    """
    facts = asdict(replace(reconstruction.mask, samples=np.ones(1, bool)))
    del facts["samples"]
    provenance = {
        "volume_id": reconstruction.volume_id,
        "acquisition": reconstruction.acquisition,
        "geometry": dump_geometry(reconstruction.geometry),
        "model": reconstruction.model,
        "weights_sha256": reconstruction.weights_sha256,
        "mask": facts,
        "config": reconstruction.config,
        "source_signature": reconstruction.source_signature,
    }
    if reconstruction.timing is not None:
        provenance["timing"] = asdict(reconstruction.timing)
    images = {"reconstruction": reconstruction.image, "zero_filled": reconstruction.zero_filled}
    if reconstruction.reference is not None:
        images["reference"] = reconstruction.reference
    num_bytes = sum(image.nbytes for image in images.values())
    with atomic_path(path, num_bytes) as temporary, create_hdf5(temporary) as file:
        for name, image in images.items():
            file[name] = image
        file["mask"] = reconstruction.mask.samples
        for name in _WHERE_KNOWN:
            if getattr(reconstruction, name) is not None:
                file[name] = getattr(reconstruction, name)
        add_decisions(file, reconstruction.decisions)
        file.attrs["provenance"] = json.dumps(provenance)


def read_reconstruction(path: Path) -> Reconstruction:
    """Read a file that `write_reconstruction` wrote.

    Raises:
        DataError: It is not such a file.
    """
    try:
        with open_file(path) as file:
            provenance = json.loads(file.attrs["provenance"])
            return Reconstruction(
                image=file["reconstruction"][()],
                zero_filled=file["zero_filled"][()],
                reference=file["reference"][()] if "reference" in file else None,
                volume_id=provenance["volume_id"],
                acquisition=provenance.get("acquisition"),  # files of older versions have neither
                geometry=load_geometry(provenance.get("geometry")),
                mask=Mask(samples=file["mask"][()], **provenance["mask"]),
                **{name: file[name][()] if name in file else None for name in _WHERE_KNOWN},
                decisions=take_decisions(file),
                model=provenance["model"],
                weights_sha256=provenance["weights_sha256"],
                config=provenance["config"],
                source_signature=_signature(provenance),
                timing=Timing(**provenance["timing"]) if "timing" in provenance else None,
            )
    except (DataError, OSError, KeyError, TypeError, ValueError) as error:
        message = f"{path}: not a reconstruction of mrikit ({error}); write one with `mrikit reconstruct`"
        raise DataError(message) from error


def read_chances(path: Path) -> npt.NDArray[np.float32] | None:
    """`Reconstruction.chances` of a file, without its images; None where there are none.

    Raises:
        DataError: The file cannot be read.
    """
    with open_file(path) as file:
        found: npt.NDArray[np.float32] | None = file["chances"][()] if "chances" in file else None
        return found


def is_made_from(path: Path, signature: tuple[int, int]) -> bool:
    """Whether a reconstruction exists, is readable and was made from the volume's file as it is now."""
    try:
        with open_file(path) as file:
            return _signature(json.loads(file.attrs["provenance"])) == signature
    except (DataError, OSError, KeyError, TypeError, ValueError):
        return False


def find_reconstructions(folder: Path) -> list[Path]:
    """All finished reconstruction files below a folder, sorted; temporary ones start with a dot."""
    return sorted(path for path in folder.rglob("*.h5") if not path.name.startswith("."))


def reconstruction_path(recon: Path, data: Location, volume: Location, suffix: str = "") -> Path:
    """Where the reconstruction of a volume lies: in the tree of `data` without SNU's `kspace` level.

    Args:
        recon: Folder of reconstructions.
        data: Folder of volumes, or one file.
        volume: A file below `data`.
        suffix: Which of several volumes of the file, as it ends the volume id.
    """
    *parents, _ = name_below(data, volume).split("/")
    return recon.joinpath(*(part for part in parents if part != "kspace"), f"{volume.stem}{suffix}.h5")


def _signature(provenance: dict[str, Any]) -> tuple[int, int] | None:
    stored = provenance["source_signature"]
    return None if stored is None else (int(stored[0]), int(stored[1]))
