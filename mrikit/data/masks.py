"""Which lines of a full scan are kept: the fixed mask of a volume, and the masks that training draws anew."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mrikit.data.scan_batch import ScanBatch
from mrikit.errors import ConfigError
from mrikit.masks import MASK_KINDS, Mask, sample_mask, stored_mask, volume_rng, within_padding
from mrikit.volumes import Volume


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskPlan:
    """How fully sampled volumes are undersampled."""

    kind: str = "equispaced_fraction"
    """A name of `mrikit.masks.MASK_KINDS`."""
    acceleration: float = 4.0
    """Nominal acceleration, at least 1."""
    center_fraction: float = 0.08
    """Share of columns that are fully sampled in the middle."""

    def __post_init__(self) -> None:
        if self.kind not in MASK_KINDS:
            raise ConfigError(f"no mask is called {self.kind!r}; there are {', '.join(MASK_KINDS)}")
        if not 1 <= self.acceleration < math.inf:
            raise ConfigError(f"an acceleration is a number from 1, found {self.acceleration:g}")
        if not 0 <= self.center_fraction <= 1:
            raise ConfigError(f"the centre fraction is a share in [0, 1], found {self.center_fraction:g}")


def choose_mask(volume: Volume, plan: MaskPlan | None) -> Mask:
    """The one mask that a volume is reconstructed and validated with.

    A volume that was acquired undersampled keeps its own; a fully sampled one is undersampled as planned, always the
    same way. Without a plan it gets the mask that its file stores beside full k-space, or is kept full.

    Args:
        volume: The scan.
        plan: How to undersample a full scan, None to leave it as its file has it.

    Returns:
        A Mask without the columns that the scanner filled with zeros.

    Raises:
        ConfigError: The plan does not fit the width.
        DataError: The stored mask samples nothing.
    """
    stored = _stored_mask(volume)
    if stored.kind != "full":
        return stored
    if plan is not None:
        info = volume.info
        return _draw(plan, info.matrix[1], info.padding, volume_rng(info.volume_id))
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
    """
    if not plans:
        raise ConfigError("training needs at least one mask plan, found none")
    masks = []
    for facts, rng in zip(scan.facts, rngs, strict=True):
        plan = plans[int(rng.integers(len(plans)))]
        masks.append(_draw(plan, scan.shape[1], facts.padding, np.random.RandomState(rng.bit_generator)))
    return masks


def is_fully_sampled(volume: Volume) -> bool:
    """Whether every column that the scanner acquired was measured; of each volume it is decided once.

    See `mrikit.volumes.sampling.is_full`.
    """
    return volume.is_fully_sampled


def _draw(plan: MaskPlan, width: int, padding: tuple[int, int], rng: np.random.RandomState) -> Mask:
    drawn = sample_mask(
        plan.kind, width=width, acceleration=plan.acceleration, center_fraction=plan.center_fraction, rng=rng
    )
    return within_padding(drawn, padding)


def _stored_mask(volume: Volume) -> Mask:
    lines = np.ones(volume.info.matrix[1], np.bool_) if volume.mask is None else volume.mask
    return stored_mask(lines, volume.info.padding)
