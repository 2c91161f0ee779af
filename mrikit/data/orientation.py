"""Orientation: slices with readout and phase swapped at random, before they are undersampled.

What undersampling does to an image lies along its phase axis, and so does banding. Whoever trains on both orientations
can tell it from anatomy, which keeps its own (arXiv:2001.08699).
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from mrikit.data.scan_batch import ScanBatch
from mrikit.randomness import generator


def orient(scan: ScanBatch, probability: float, *, seed: int, epoch: int) -> ScanBatch:
    """Transpose slices at random; the masked axis of these is the former readout, as it was prepared.

    What is drawn for a slice depends on (seed, epoch, volume, slice) alone. Slices that are not square can be stacked
    in one orientation only: a micro-batch of them goes the way that is drawn for its first slice. Which slices come
    together follows from seed and epoch too, so neither workers nor processes nor a resume change anything.

    Args:
        scan: Full k-space.
        probability: Of a transposition, in [0, 1].
        seed: Of the run.
        epoch: From 0, counted over all stages.
    """
    if not probability:
        return scan
    drawn = [
        bool(generator(seed, epoch, facts.volume_id, facts.slice_index, "orientation").random() < probability)
        for facts in scan.facts
    ]
    return transpose(scan, drawn if _is_square(scan) else drawn[:1] * len(drawn))


def transpose(scan: ScanBatch, is_swapped: Sequence[bool]) -> ScanBatch:
    """Swap readout and phase of some slices, y and x of their references, and what was acquired.

    Args:
        scan: Full k-space.
        is_swapped: Of each batch element; all or none unless k-space, window and reference are square.
    """
    if not any(is_swapped):
        return scan
    facts = tuple(
        replace(one, is_transposed=not one.is_transposed, acquired=one.acquired.transposed(scan.shape[0]))
        if swaps
        else one
        for one, swaps in zip(scan.facts, is_swapped, strict=True)
    )
    return replace(
        scan,
        kspace=_swap(scan.kspace, is_swapped),
        reference=None if scan.reference is None else _swap(scan.reference, is_swapped),
        crop=(scan.crop[1], scan.crop[0]),
        facts=facts,
    )


def _is_square(scan: ScanBatch) -> bool:
    sizes = [scan.shape, scan.crop, *([] if scan.reference is None else [tuple(scan.reference.shape[-2:])])]
    return all(rows == columns for rows, columns in sizes)


def _swap(values: torch.Tensor, is_swapped: Sequence[bool]) -> torch.Tensor:
    """(batch, ..., rows, columns), some of them (batch, ..., columns, rows)."""
    if all(is_swapped):
        return values.mT.contiguous()
    places = torch.tensor([row for row, swaps in enumerate(is_swapped) if swaps], device=values.device)
    return values.index_copy(0, places, values.index_select(0, places).mT)
