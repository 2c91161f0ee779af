"""A reconstruction that leaves: its image, its place and its digest."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.volumes.geometry import Geometry
from mrikit.volumes.reconstruction import Reconstruction, find_reconstructions, read_reconstruction

RESEARCH_USE = "Research use only, not for diagnosis"
_BRIGHT = 99.8
"""Percentile that is shown white; a few vessels and artefacts are brighter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One reconstruction to be written in another format."""

    path: Path
    """Its file."""
    name: str
    """Its path below the folder of reconstructions, without suffix, joined by `/`."""
    digest: str
    """SHA-256 of its file, hexadecimal."""
    recon: Reconstruction

    @property
    def image(self) -> npt.NDArray[np.float32]:
        """(slice, y, x) float32."""
        return self.recon.image

    @property
    def geometry(self) -> Geometry:
        """Its place, as far as that is known."""
        return self.recon.geometry or Geometry()

    @property
    def description(self) -> str:
        """How it was made and from what, on one line; nothing that names a patient or a file."""
        mask, weights = self.recon.mask, self.recon.weights_sha256
        sampling = "full k-space" if mask.kind == "full" else f"k-space undersampled {mask.true_acceleration:.3g}-fold"
        by = f"{self.recon.model}, weights sha256 {weights}," if weights else self.recon.model
        return f"Reconstructed by mrikit with {by} from {sampling}; reconstruction sha256 {self.digest}"


def find_sources(recon: Path) -> list[tuple[Path, str]]:
    """The reconstruction files of a folder, or one file, each with its name.

    Raises:
        DataError: There is none.
    """
    if recon.is_file():
        return [(recon, recon.stem)]
    if not recon.is_dir():
        raise DataError(f"{recon}: no such file or folder; give what `mrikit reconstruct` wrote")
    found = find_reconstructions(recon)
    if not found:
        raise DataError(f"{recon}: no reconstruction in this folder or below; give what `mrikit reconstruct` wrote")
    return [(path, path.relative_to(recon).with_suffix("").as_posix()) for path in found]


def read_source(path: Path, name: str) -> Source:
    """Read a reconstruction, and make sure that it can be shown.

    Raises:
        DataError: It is no reconstruction, holds NaN or Inf, is zero everywhere or does not fit its geometry.
    """
    recon = read_reconstruction(path)
    image, geometry = recon.image, recon.geometry or Geometry()
    if image.ndim != 3 or not image.size:
        raise DataError(f"{path}: the image has shape {image.shape}; (slice, y, x) is needed")
    num_bad = int((~np.isfinite(image)).sum())
    if num_bad:
        raise DataError(f"{path}: {num_bad} of {image.size} pixels are NaN or Inf; reconstruct it again")
    if not image.any():
        raise DataError(f"{path}: the image is zero everywhere; was there any signal in k-space?")
    if geometry.positions_mm is not None and len(geometry.positions_mm) != len(image):
        raise DataError(f"{path}: {len(geometry.positions_mm)} positions for {len(image)} slices; reconstruct it again")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Source(path=path, name=name, digest=digest, recon=recon)


def shown_range(image: npt.NDArray[np.float32]) -> tuple[float, float]:
    """The values of a volume that are shown black and white."""
    low = min(float(image.min()), 0.0)
    bright = float(np.percentile(image[image != 0], _BRIGHT))
    return low, bright if bright > low else float(image.max())
