"""A reconstruction beside its reference, both cropped to the window that is scored."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.physics.crop import center_crop
from mrikit.storage import Location
from mrikit.volumes import ScanInfo, SliceArray, Volume, open_volume
from mrikit.volumes.reconstruction import Reconstruction, read_reconstruction


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One volume, reconstructed and as it should be."""

    image: npt.NDArray[np.float32]
    """(slice, y, x) the reconstruction."""
    zero_filled: npt.NDArray[np.float32]
    """(slice, y, x) the same measurement without reconstruction."""
    reference: npt.NDArray[np.float32] | None
    """(slice, y, x) the truth; None if the file has none, and then nothing is cropped."""
    info: ScanInfo
    reconstruction: Reconstruction
    """As it was stored, not cropped."""


def read_pair(
    volume_path: Location, reconstruction_path: Path, volume_id: str | None = None, *, is_square: bool = True
) -> Pair:
    """Read both files of a volume and crop them to the window that is scored; see `make_pair`.

    `volume_id` says which volume of a file that holds several.
    """
    return make_pair(open_volume(volume_path, volume_id=volume_id), reconstruction_path, is_square=is_square)


def make_pair(volume: Volume, reconstruction_path: Path, *, is_square: bool = True) -> Pair:
    """Read a reconstruction and the reference of its volume, and crop both to the window that is scored.

    The reference that lies with the reconstruction counts where the volume has none but was fully sampled, and where
    k-space was cropped to a smaller matrix, whose image is another.

    fastMRI crops to a square as wide as the reference. Where reference or reconstruction is smaller than that square,
    as a reconstruction is whose field of view is narrower than the reference, both are cropped to the smaller one.

    Args:
        volume: The scan.
        reconstruction_path: File of its reconstruction.
        is_square: Whether to crop to fastMRI's square, or to what both have.

    Raises:
        DataError: A file is damaged, or the reconstruction has another number of slices.
    """
    reconstruction = read_reconstruction(reconstruction_path)
    image, zero_filled, reference = reconstruction.image, reconstruction.zero_filled, None
    is_own = volume.reference is None or bool(reconstruction.config.get("matrix"))
    stored = reconstruction.reference if is_own else volume.reference
    if stored is not None:
        if len(image) != len(stored):
            raise DataError(
                f"{reconstruction_path}: the reconstruction has {len(image)} slices, the reference {len(stored)}; "
                "was it made from other data?"
            )
        height, width = stored.shape[1:]
        if is_square:
            height = min(height, width)
        window = (min(height, image.shape[1]), min(width, image.shape[2]))
        reference = center_crop(_read_all(stored), window)
        image, zero_filled = center_crop(image, window), center_crop(zero_filled, window)
    return Pair(
        image=image, zero_filled=zero_filled, reference=reference, info=volume.info, reconstruction=reconstruction
    )


def _read_all(slices: SliceArray) -> npt.NDArray[np.float32]:
    """All slices, read one by one into place: np.stack would touch twice the memory."""
    image = np.empty(slices.shape, np.float32)
    for index, one in enumerate(slices):
        image[index] = one
    return image
