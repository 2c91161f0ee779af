"""The largest value of a volume's reference, which scores of single slices need too."""

import numpy as np

from mrikit.data import center_crop, make_scan, scored_window
from mrikit.volumes import Volume


def largest_reference(volume: Volume) -> float:
    """The maximum of a reference where scores compare it: in a square at most as high as it is wide.

    Args:
        volume: With a reference, or fully sampled, so that it can be made; all its slices are read.

    Raises:
        DataError: A slice is damaged.
    """
    if volume.reference is not None:
        return max(_largest(np.asarray(one), volume) for one in volume.reference)
    return max(_largest(_made(volume, index), volume) for index in range(len(volume.kspace)))


def _made(volume: Volume, slice_index: int) -> np.ndarray:
    reference = make_scan(volume, [slice_index]).reference
    assert reference is not None
    return reference[0].numpy()


def _largest(reference: np.ndarray, volume: Volume) -> float:
    height, width = (min(sizes) for sizes in zip(reference.shape, scored_window(volume.info), strict=True))
    return float(center_crop(reference, (min(height, width), width)).max())
