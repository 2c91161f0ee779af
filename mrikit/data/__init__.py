"""From volumes to the examples that models reconstruct: mask, crop and target as tensor code."""

from mrikit.data.example import Example
from mrikit.data.prepare import MaskPlan, center_crop, choose_mask, is_fully_sampled, make_example

__all__ = ["Example", "MaskPlan", "center_crop", "choose_mask", "is_fully_sampled", "make_example"]
