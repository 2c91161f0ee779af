"""What networks share that find coil sensitivities in the fully sampled centre of k-space."""

from collections.abc import Callable

import torch
from torch.utils.checkpoint import checkpoint

from mrikit.errors import DataError
from mrikit.models.choices import is_on_cpu
from mrikit.physics.coils import rss
from mrikit.physics.sampling import keep

_CPU_COILS, _DEVICE_COILS = 2, 8  # coils that go through a sensitivity network together


def keep_center(masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor) -> torch.Tensor:
    """Only the fully sampled centre of k-space: columns of a line mask, a square of a 2-D pattern.

    Args:
        masked_kspace: (batch, coil, readout, phase) complex64.
        mask: (batch, 1, 1 or readout, phase) bool.
        num_center_lines: (batch,) int64; where 0, the lines sampled without gap on both sides of the middle count.

    Returns:
        (batch, coil, readout, phase) complex64, each batch element with its own centre, 0 around it.

    Raises:
        DataError: A mask that does not sample the middle of k-space.
    """
    num_center = torch.where(num_center_lines > 0, num_center_lines, count_center_lines(mask))
    if bool((num_center < 1).any()):
        element = int((num_center < 1).nonzero()[0])
        raise DataError(
            f"batch element {element}: the mask does not sample the middle of k-space, where coil sensitivities come "
            f"from; a mask with centre lines would do"
        )
    is_center = center_lines(mask.shape[-1], num_center)[:, None, None, :]
    if mask.shape[-2] > 1:
        is_center = is_center & center_lines(mask.shape[-2], num_center)[:, None, :, None]
    return keep(masked_kspace, is_center)


def count_center_lines(mask: torch.Tensor, *, counts_one_in_full: bool = False) -> torch.Tensor:
    """Lines sampled without gap and as many on both sides of the middle, as fastMRI counts.

    Args:
        mask: (batch, 1, 1 or readout, phase) bool.
        counts_one_in_full: Whether to count 1 where nothing is missing on one of the sides, as PromptMR does: it looks
            for the first line that is missing, and the search for what is not there ends at the first line.

    Returns:
        (batch,) int64.
    """
    counts = _count_middle(mask[:, 0, mask.shape[-2] // 2], counts_one_in_full)
    if mask.shape[-2] == 1:
        return counts
    return torch.minimum(counts, _count_middle(mask[:, 0, :, mask.shape[-1] // 2], counts_one_in_full))


def center_lines(size: int, num_center: torch.Tensor) -> torch.Tensor:
    """(batch,) counts to (batch, size) bool, true in the middle."""
    start = ((size - num_center + 1) // 2)[:, None]
    position = torch.arange(size, device=num_center.device)
    return (position >= start) & (position < start + num_center[:, None])


def divide_by_rss(maps: torch.Tensor) -> torch.Tensor:
    """(..., coil, y, x) maps of RSS 1, or 0 where all coils are 0."""
    norm = rss(maps).unsqueeze(-3)
    # Twice as fast, with its gradient, as the quotient, which would divide complex numbers by complex numbers.
    return maps * torch.where(norm > 0, norm, 1.0).reciprocal()


def map_in_groups(
    network: Callable[[torch.Tensor], torch.Tensor],
    coils: torch.Tensor,
    *,
    has_checkpoints: bool,
    num_together: int = 0,
) -> torch.Tensor:
    """A network on a few coils at a time.

    Args:
        network: Maps (coil, channel, y, x) to such, each coil by itself.
        coils: (coil, channel, y, x) complex64.
        has_checkpoints: Whether to compute again for the gradient instead of keeping: memory is that of one group then.
        num_together: Coils in a group; 0 for 2 on a CPU, which is faster with few that fit its caches, and 8 on a GPU.
    """
    automatic = _CPU_COILS if is_on_cpu(coils) else _DEVICE_COILS
    groups = coils.split(num_together or automatic)
    if has_checkpoints:
        return torch.cat([checkpoint(network, group, use_reentrant=False) for group in groups])
    return torch.cat([network(group) for group in groups])


def _count_middle(lines: torch.Tensor, counts_one_in_full: bool) -> torch.Tensor:
    middle = lines.shape[-1] // 2
    left = lines[:, :middle].flip(-1).cumprod(-1).sum(-1)
    right = lines[:, middle:].cumprod(-1).sum(-1)
    if counts_one_in_full:
        left = torch.where((left == middle) | (right == lines.shape[-1] - middle), 0, left)
    return torch.where(right > 0, (2 * torch.minimum(left, right)).clamp(min=1), 0)
