"""Volumes whose coils are whitened by their own noise scan."""

import torch

from mrikit.errors import DataError
from mrikit.physics.coils import whitening_matrix
from mrikit.volumes import Volume
from mrikit.volumes.mrd_stack import MrdArray


def whitened(volume: Volume) -> Volume:
    """The volume with coils of equal and independent noise, in units of the noise scan's standard deviation.

    Raises:
        DataError: The file holds no noise scan, or one that does not suffice.

    Source:
        Kellman and McVeigh, Image reconstruction in SNR units, MRM 54:1439 (2005). The bandwidth of the noise scan is
        not taken into account: it scales all coils alike.
    """
    info = volume.info
    noise = volume.kspace.noise_samples() if isinstance(volume.kspace, MrdArray) else None
    if noise is None or not isinstance(volume.kspace, MrdArray):
        raise DataError(
            f"{info.source or info.volume_id}: no noise scan in the file, by which --whiten whitens the coils; MRD "
            "files may hold one. Leave out --whiten, or this file"
        )
    try:
        matrix = whitening_matrix(torch.from_numpy(noise))
    except DataError as error:
        raise DataError(f"{info.source or info.volume_id}: {error}") from error
    return volume.replaced(kspace=volume.kspace.whitened(matrix.numpy()))
