"""Sampling masks: kinds, plans, files, and what a mask says about itself."""

from mrikit.masks.acquired import AcquiredRegion
from mrikit.masks.estimate import stored_mask
from mrikit.masks.file import is_mask_file
from mrikit.masks.kinds import MASK_KINDS
from mrikit.masks.mask import Mask, measured, within
from mrikit.masks.plan import (
    LEARNED_KIND,
    MaskPlan,
    center_lines,
    challenge_center_fraction,
    sample_mask,
    setting_options,
    volume_rng,
)

__all__ = [
    "LEARNED_KIND",
    "MASK_KINDS",
    "AcquiredRegion",
    "Mask",
    "MaskPlan",
    "center_lines",
    "challenge_center_fraction",
    "is_mask_file",
    "measured",
    "sample_mask",
    "setting_options",
    "stored_mask",
    "volume_rng",
    "within",
]
