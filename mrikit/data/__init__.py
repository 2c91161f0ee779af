"""From volumes to the examples that models train on and reconstruct: slices, masks, crops and targets."""

from mrikit.data.apply_mask import undersample, undersample_by
from mrikit.data.at_matrix import at_matrix, shape_at_matrix
from mrikit.data.augment import Augment, AugmentConfig, Augmented, SampleId, make_augment
from mrikit.data.dataset import (
    SliceBatch,
    SliceDataset,
    TrainingVolumes,
    load_training_volumes,
    open_training_volumes,
    read_slices,
)
from mrikit.data.example import Example
from mrikit.data.fastmri_extent import published_shapes
from mrikit.data.loader import load_batches
from mrikit.data.masks import choose_mask, choose_transposed_mask, draw_masks
from mrikit.data.network_inputs import in_window, network_inputs, window_before, with_uncounted_center
from mrikit.data.orientation import orient, transpose
from mrikit.data.prepare import cropped_shape, make_example, make_scan, prepare
from mrikit.data.sampler import BatchShape, SliceKey, plan_epoch, rank_share, split_patients
from mrikit.data.scan_batch import ScanBatch, SliceFacts
from mrikit.data.window import scored_window
from mrikit.masks import MaskPlan
from mrikit.physics.crop import center_crop

__all__ = [
    "Augment",
    "AugmentConfig",
    "Augmented",
    "BatchShape",
    "Example",
    "MaskPlan",
    "SampleId",
    "ScanBatch",
    "SliceBatch",
    "SliceDataset",
    "SliceFacts",
    "SliceKey",
    "TrainingVolumes",
    "at_matrix",
    "center_crop",
    "choose_mask",
    "choose_transposed_mask",
    "cropped_shape",
    "draw_masks",
    "in_window",
    "load_batches",
    "load_training_volumes",
    "make_augment",
    "make_example",
    "make_scan",
    "network_inputs",
    "open_training_volumes",
    "orient",
    "plan_epoch",
    "prepare",
    "published_shapes",
    "rank_share",
    "read_slices",
    "scored_window",
    "shape_at_matrix",
    "split_patients",
    "transpose",
    "undersample",
    "undersample_by",
    "window_before",
    "with_uncounted_center",
]
