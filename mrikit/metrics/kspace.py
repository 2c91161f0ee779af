"""Error of k-space."""

import torch

from mrikit.errors import DataError


def kspace_energies(kspace: torch.Tensor, reference: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Energy of the error and of the reference, of each slice.

    Args:
        kspace: (batch, coil, readout, phase) complex64.
        reference: The same of full k-space.

    Returns:
        Two (batch,) float32, sums over coils and samples.

    Raises:
        DataError: The shapes differ, as with coils that a network has compressed.
    """
    if kspace.shape != reference.shape:
        found, wanted = (" x ".join(map(str, one.shape[1:])) for one in (kspace, reference))
        raise DataError(
            f"k-space of {found} cannot be compared with one of {wanted}; compress coils before the network does, with "
            f"data.num_coils"
        )
    return tuple(torch.view_as_real(one).square().flatten(1).sum(1) for one in (kspace - reference, reference))  # type: ignore[return-value]


def kspace_nmse(kspace: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Energy of the error over energy of the reference, of each slice; a slice of zeros counts as one of energy 1.

    Arguments and errors as for `kspace_energies`.

    Returns:
        (batch,) float32, 0 for equal k-space, 1 for zeros.
    """
    error, energy = kspace_energies(kspace, reference)
    return error / torch.where(energy > 0, energy, 1.0)
