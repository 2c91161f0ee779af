"""Masks of full scans: the fixed one of a volume, and those that training draws."""

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mrikit.data.scan_batch import ScanBatch
from mrikit.errors import ConfigError, DataError
from mrikit.masks import AcquiredRegion, Mask, MaskPlan, sample_mask, stored_mask, volume_rng, within
from mrikit.volumes import ScanInfo, Volume


def choose_mask(volume: Volume, plan: MaskPlan | Mask | None, shape: tuple[int, int] | None = None) -> Mask:
    """The one mask that a volume is reconstructed and validated with.

    A volume that was acquired undersampled keeps its own, with the acceleration and the number of centre lines that
    its file gives, or else with those that the mask shows; a fully sampled one is undersampled as planned, always the
    same way. Without a plan it gets the mask that its file stores beside full k-space, or is kept full.

    Args:
        volume: The scan.
        plan: How to undersample a full scan, or the mask itself; None to leave the scan as its file has it.
        shape: (readout, phase) of k-space when it is masked; as the file has it if None. A stored mask is not changed.

    Returns:
        A Mask without what the scanner filled with zeros.

    Raises:
        ConfigError: The plan does not fit the shape.
        DataError: The stored mask samples nothing, a mask has another shape, or all of k-space is zero.
    """
    region, info = volume.acquired, volume.info
    if not volume.is_fully_sampled:
        own = stored_mask(_all_lines(info) if volume.sampled is None else volume.sampled, region)
        return _as_stated(own, info)
    if isinstance(plan, Mask):
        return _fitting(plan, shape or info.matrix, region, info.volume_id)
    if plan is not None:
        return _draw(plan, shape or info.matrix, region, volume_rng(info.volume_id))
    return stored_mask(_all_lines(info) if volume.planned_mask is None else volume.planned_mask, region)


def choose_transposed_mask(volume: Volume, plan: MaskPlan | Mask | None, shape: tuple[int, int]) -> Mask:
    """As `choose_mask`, of a volume whose readout and phase are swapped before it is undersampled.

    Args:
        volume: The scan as its file has it.
        plan: How to undersample it, or the mask itself; None keeps it full.
        shape: (readout, phase) of k-space when it is masked, before they are swapped.

    Raises:
        ConfigError: The plan does not fit the swapped shape.
        DataError: The volume is undersampled already, and so has its orientation.
    """
    info, region = volume.info, volume.acquired.transposed(shape[0])
    if not volume.is_fully_sampled:
        raise DataError(
            f"{info.volume_id}: it was undersampled along its phase axis, which cannot be swapped any more; name fully "
            f"sampled volumes"
        )
    swapped = (shape[1], shape[0])
    if isinstance(plan, Mask):
        return _fitting(plan, swapped, region, info.volume_id)
    if plan is None:
        return stored_mask(np.ones(swapped[1], np.bool_), region)
    return _draw(plan, swapped, region, volume_rng(info.volume_id))


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
    return within(sample_mask(plan, shape, rng, region.columns[0]), region)


def _fitting(mask: Mask, shape: tuple[int, int], region: AcquiredRegion, volume_id: str) -> Mask:
    """A mask that was made before, for a volume of its shape."""
    if mask.samples.shape != shape[-mask.samples.ndim :]:
        found, own = (" x ".join(map(str, one)) for one in (shape, mask.samples.shape))
        raise DataError(
            f"{volume_id}: the {mask.kind} mask is of {own}, and k-space of {found}; it suits data of its matrix "
            f"alone; name such data, or another --mask"
        )
    return within(mask, region)


def _as_stated(mask: Mask, info: ScanInfo) -> Mask:
    """A file's own mask with the numbers that the file gives: they go before estimates."""
    if mask.kind == "full" or mask.samples.ndim > 1:
        return mask
    sampled = mask.num_center_lines
    stated = info.num_center_lines or sampled
    if stated > sampled:
        warnings.warn(
            f"{info.volume_id}: its file says that {stated} lines of the centre are sampled, its mask has {sampled}; "
            f"the mask counts",
            stacklevel=2,
        )
    return replace(mask, acceleration=info.acceleration or mask.acceleration, num_center_lines=min(stated, sampled))


def _all_lines(info: ScanInfo) -> npt.NDArray[np.bool_]:
    return np.ones(info.matrix[1], np.bool_)
