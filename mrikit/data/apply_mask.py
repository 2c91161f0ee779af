"""Masks onto full k-space: a ScanBatch to an Example."""

from collections.abc import Sequence

import numpy as np
import torch

from mrikit.data.example import Example
from mrikit.data.scan_batch import ScanBatch
from mrikit.errors import DataError
from mrikit.masks import Mask
from mrikit.physics.sampling import keep


def undersample(scan: ScanBatch, masks: Sequence[Mask], *, keeps_full: bool = False) -> Example:
    """Keep what each sample's mask measures; a slice axis of size 1 is dropped.

    Args:
        scan: Full k-space.
        masks: One for each batch element, drawn for `scan.shape`.
        keeps_full: Whether the example holds full k-space too.

    Raises:
        DataError: A mask is of another shape.
    """
    samples = _stack(scan, masks).to(scan.kspace.device, non_blocking=True)
    num_center_lines = torch.tensor([mask.num_center_lines for mask in masks], device=scan.kspace.device)
    return undersample_by(scan, samples, num_center_lines, keeps_full=keeps_full)


def undersample_by(
    scan: ScanBatch, samples: torch.Tensor, num_center_lines: torch.Tensor, *, keeps_full: bool = False
) -> Example:
    """Keep what a mask on the device measures, such as a learned one.

    Args:
        scan: Full k-space.
        samples: (batch, 1, 1 or readout, phase) bool, or float32 of 0 and 1 with a gradient.
        num_center_lines: (batch,) int64.
        keeps_full: Whether the example holds full k-space too.
    """
    kspace = scan.kspace
    if kspace.shape[1] == 1:
        kspace = kspace[:, 0]
    else:
        samples = samples.unsqueeze(1)
    return Example(
        masked_kspace=_keep(kspace, samples),
        mask=samples,
        num_center_lines=num_center_lines,
        reference=scan.reference,
        data_range=scan.data_range,
        crop=scan.crop,
        facts=scan.facts,
        full_kspace=scan.kspace[:, scan.kspace.shape[1] // 2] if keeps_full else None,
    )


def _stack(scan: ScanBatch, masks: Sequence[Mask]) -> torch.Tensor:
    """(batch, 1, 1, phase) bool, or (batch, 1, readout, phase) if any is a 2-D pattern."""
    readout, phase = scan.shape
    for facts, mask in zip(scan.facts, masks, strict=True):
        if mask.samples.shape not in ((phase,), (readout, phase)):
            found = " x ".join(map(str, mask.samples.shape))
            raise DataError(
                f"{facts.volume_id}: a mask of {found} for k-space of {readout} x {phase}; draw the mask for this "
                f"scan, and take a model with max_readout 0 for a stored 2-D pattern"
            )
    rows = max(mask.samples.shape[0] if mask.samples.ndim > 1 else 1 for mask in masks)
    return torch.from_numpy(np.stack([np.broadcast_to(mask.samples, (1, rows, phase)) for mask in masks]))


def _keep(kspace: torch.Tensor, samples: torch.Tensor) -> torch.Tensor:
    """As `keep`; of what lies in memory of this machine by numpy."""
    if type(kspace) is torch.Tensor and kspace.device.type == "cpu" and samples.dtype == torch.bool:
        # numpy takes its memory in huge pages, and does not wait for torch's threads while others read.
        return torch.from_numpy(np.where(samples.numpy(), kspace.numpy(), np.complex64(0)))
    return keep(kspace, samples)
