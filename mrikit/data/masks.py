"""Masks of full scans: the fixed one of a volume, and those that training draws."""

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mrikit.data.scan_batch import ScanBatch
from mrikit.errors import ConfigError
from mrikit.masks import Mask, MaskPlan, sample_mask, stored_mask, volume_rng, within_padding
from mrikit.volumes import ScanInfo, Volume


def choose_mask(volume: Volume, plan: MaskPlan | None, shape: tuple[int, int] | None = None) -> Mask:
    """The one mask that a volume is reconstructed and validated with.

    A volume that was acquired undersampled keeps its own, with the acceleration and the number of centre lines that
    its file gives, or else with those that the mask shows; a fully sampled one is undersampled as planned, always the
    same way. Without a plan it gets the mask that its file stores beside full k-space, or is kept full.

    Args:
        volume: The scan.
        plan: How to undersample a full scan, None to leave it as its file has it.
        shape: (readout, phase) of k-space when it is masked; as the file has it if None. A stored mask is not changed.

    Returns:
        A Mask without the columns that the scanner filled with zeros.

    Raises:
        ConfigError: The plan does not fit the shape.
        DataError: The stored mask samples nothing, or a mask file has another shape.
    """
    stored = _stored_mask(volume)
    if stored.kind != "full":
        return stored
    if plan is not None:
        info = volume.info
        return _draw(plan, shape or info.matrix, info.padding, volume_rng(info.volume_id))
    return stored if volume.planned_mask is None else stored_mask(volume.planned_mask, volume.info.padding)


def draw_masks(plans: Sequence[MaskPlan], scan: ScanBatch, rngs: Sequence[np.random.Generator]) -> list[Mask]:
    """Masks to train with: for each sample one of the plans, all equally likely, and a mask drawn by it.

    Args:
        plans: How to undersample, at least one.
        scan: What they are drawn for.
        rngs: A generator for each sample.

    Returns:
        One Mask for each sample, without the columns that the scanner filled with zeros.

    Raises:
        ConfigError: There is no plan, or one does not fit the shape.
        DataError: A mask file has another shape.
    """
    if not plans:
        raise ConfigError("training needs at least one mask plan, found none")
    masks = []
    for facts, rng in zip(scan.facts, rngs, strict=True):
        plan = plans[int(rng.integers(len(plans)))]
        masks.append(_draw(plan, scan.shape, facts.padding, np.random.RandomState(rng.bit_generator)))
    return masks


def _draw(plan: MaskPlan, shape: tuple[int, int], padding: tuple[int, int], rng: np.random.RandomState) -> Mask:
    return within_padding(sample_mask(plan, shape, rng), padding)


def _stored_mask(volume: Volume) -> Mask:
    if volume.mask is None:
        return stored_mask(np.ones(volume.info.matrix[1], np.bool_), volume.info.padding)
    return _as_stated(stored_mask(volume.mask, volume.info.padding), volume.info)


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
