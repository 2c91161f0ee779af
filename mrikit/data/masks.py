"""Masks of full scans: the fixed one of a volume, and those that training draws."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mrikit.data.scan_batch import ScanBatch
from mrikit.errors import ConfigError
from mrikit.masks import AcquiredRegion, Mask, MaskPlan, sample_mask, stored_mask, volume_rng, within
from mrikit.volumes import ScanInfo, Volume


def choose_mask(volume: Volume, plan: MaskPlan | None, shape: tuple[int, int] | None = None) -> Mask:
    """The one mask that a volume is reconstructed and validated with.

    A volume that was acquired undersampled keeps its own; a fully sampled one is undersampled as planned, always the
    same way. Without a plan it gets the mask that its file stores beside full k-space, or is kept full.

    Args:
        volume: The scan.
        plan: How to undersample a full scan, None to leave it as its file has it.
        shape: (readout, phase) of k-space when it is masked; as the file has it if None. A stored mask is not changed.

    Returns:
        A Mask without what the scanner filled with zeros.

    Raises:
        ConfigError: The plan does not fit the shape.
        DataError: The stored mask samples nothing, a mask file has another shape, or all of k-space is zero.
    """
    region, info = volume.acquired, volume.info
    if not volume.is_fully_sampled:
        return stored_mask(_all_lines(info) if volume.sampled is None else volume.sampled, region)
    if plan is not None:
        return _draw(plan, shape or info.matrix, region, volume_rng(info.volume_id))
    return stored_mask(_all_lines(info) if volume.planned_mask is None else volume.planned_mask, region)


def draw_masks(plans: Sequence[MaskPlan], scan: ScanBatch, rngs: Sequence[np.random.Generator]) -> list[Mask]:
    """Masks to train with: for each sample one of the plans, all equally likely, and a mask drawn by it.

    Args:
        plans: How to undersample, at least one.
        scan: What they are drawn for.
        rngs: A generator for each sample.

    Returns:
        One Mask for each sample, without what the scanner filled with zeros.

    Raises:
        ConfigError: There is no plan, or one does not fit the shape.
        DataError: A mask file has another shape.
    """
    if not plans:
        raise ConfigError("training needs at least one mask plan, found none")
    masks = []
    for facts, rng in zip(scan.facts, rngs, strict=True):
        plan = plans[int(rng.integers(len(plans)))]
        masks.append(_draw(plan, scan.shape, facts.acquired, np.random.RandomState(rng.bit_generator)))
    return masks


def _draw(plan: MaskPlan, shape: tuple[int, int], region: AcquiredRegion, rng: np.random.RandomState) -> Mask:
    return within(sample_mask(plan, shape, rng), region)


def _all_lines(info: ScanInfo) -> npt.NDArray[np.bool_]:
    return np.ones(info.matrix[1], np.bool_)
