"""ScanBatch: full k-space as a value, before any mask."""

from dataclasses import dataclass

import torch

from mrikit.masks import AcquiredRegion


@dataclass(frozen=True, kw_only=True, slots=True)
class SliceFacts:
    """What is known of one slice."""

    volume_id: str
    """The volume that it is of."""
    slice_index: int
    """Its number there."""
    anatomy: str | None = None
    """What it shows, such as `knee`; None where the file does not say, or contradicts itself."""
    acquired: AcquiredRegion
    """What the scanner acquired of k-space, which had more rows before it was cropped along the readout."""
    is_transposed: bool = False
    """Whether readout and phase were swapped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanBatch:
    """Slices of one shape on the device, augmented and cropped: what a mask, an adversary or a policy is given."""

    kspace: torch.Tensor
    """(batch, slice, coil, readout, phase) complex64, as full as it was measured; the slice axis holds the neighbours,
    the slice itself in the middle."""
    reference: torch.Tensor | None
    """(batch, y, x) float32 in the scored window: the file's own or RSS of full k-space; None if not asked for."""
    data_range: torch.Tensor | None
    """(batch,) float32, maximum of the reference volume, or of the slice where the file does not say."""
    crop: tuple[int, int]
    """(y, x) size of the scored window, the centre of the full field of view."""
    facts: tuple[SliceFacts, ...]
    """Of each batch element."""

    @property
    def shape(self) -> tuple[int, int]:
        """(readout, phase) size that masks are drawn for."""
        return self.kspace.shape[-2], self.kspace.shape[-1]
