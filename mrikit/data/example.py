"""Example: a batch of undersampled slices, ready for a model."""

from dataclasses import dataclass

import torch

from mrikit.data.scan_batch import SliceFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """Slices of one shape, of one volume or several, each with its own sampling mask.

    Where adjacent slices were asked for, `masked_kspace` and `mask` have a slice axis behind the batch axis, with the
    slice that is to be reconstructed in its middle.
    """

    masked_kspace: torch.Tensor
    """(batch, coil, readout, phase), or (batch, slice, coil, readout, phase) with neighbours; complex64, exactly +0.0
    where not sampled."""
    mask: torch.Tensor
    """(batch, 1, 1, phase) or (batch, 1, 1, 1, phase) bool, True where sampled; a 2-D pattern has its readout axis. A
    learned one is float32 of 0 and 1."""
    num_center_lines: torch.Tensor
    """(batch,) int64, fully sampled columns in the middle of each mask."""
    reference: torch.Tensor | None
    """(batch, y, x) float32 in the scored window: the file's own or RSS of full k-space; None if not asked for."""
    data_range: torch.Tensor | None
    """(batch,) float32, maximum of the reference volume, or of the slice where the file does not say; None without a
    reference."""
    crop: tuple[int, int]
    """(y, x) size of the scored window, the centre of the full field of view."""
    facts: tuple[SliceFacts, ...]
    """Of each batch element."""
    full_kspace: torch.Tensor | None = None
    """(batch, coil, readout, phase) complex64 before the mask, of the slices themselves; None if not asked for."""
