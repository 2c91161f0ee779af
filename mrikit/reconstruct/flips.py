"""Mirror images of k-space: what a network makes of them, mirrored back, are more opinions about the same image.

Along an axis of n samples with the centre at n // 2, sample k becomes -k mod n. Mirrored k-space is the k-space of the
mirrored image, for even and odd sizes alike, so the same map leads back.
"""

import torch

from mrikit.masks.mask import center_size

READOUT, PHASE = -2, -1
FLIPS: tuple[tuple[int, ...], ...] = ((), (READOUT,), (PHASE,), (READOUT, PHASE))
"""The axes that are mirrored: none, each, both."""


def mirror(values: torch.Tensor, dims: tuple[int, ...]) -> torch.Tensor:
    """(..., readout, phase) k-space or mask, or (..., y, x) image, mirrored about its centre along some axes."""
    # The first sample of an even axis is the one at -n / 2, which is its own mirror image.
    shifts = tuple(1 - values.shape[dim] % 2 for dim in dims)
    return values.flip(dims).roll(shifts, dims) if any(shifts) else values.flip(dims)


def mirror_inputs(
    inputs: tuple[torch.Tensor, torch.Tensor, torch.Tensor], dims: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What a model is given, mirrored.

    Args:
        inputs: (..., readout, phase) masked k-space, its mask, in which a size of 1 stands for all, and the (batch,)
            number of centre lines.
        dims: Axes to mirror.

    Returns:
        The same of the mirrored k-space. On an even axis the centre block is no longer where mask functions place it,
        so the number of centre lines is that of the largest block that still is.
    """
    if not dims:
        return inputs
    masked_kspace, mask, num_center_lines = inputs
    mirrored = mirror(mask, tuple(dim for dim in dims if mask.shape[dim] > 1))
    found = [center_size(lines.squeeze().cpu().numpy()) for lines in mirrored]
    still_full = torch.tensor(found, dtype=num_center_lines.dtype, device=num_center_lines.device)
    return mirror(masked_kspace, dims), mirrored, torch.minimum(num_center_lines, still_full)
