"""Sampling masks: pure functions of width, acceleration, centre fraction and a random generator."""

from mrikit.masks.estimate import stored_mask
from mrikit.masks.mask import Mask, measured, within_padding
from mrikit.masks.sample import MASK_KINDS, challenge_center_fraction, sample_mask, volume_rng

__all__ = [
    "MASK_KINDS",
    "Mask",
    "challenge_center_fraction",
    "measured",
    "sample_mask",
    "stored_mask",
    "volume_rng",
    "within_padding",
]
