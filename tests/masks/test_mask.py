import numpy as np

from mrikit.masks.mask import center_size, center_sizes


def test_the_centres_of_many_line_masks_are_those_of_each():
    masks = np.random.default_rng(0).random((50, 11)) < 0.8
    assert center_sizes(masks).tolist() == [center_size(mask) for mask in masks]
    assert center_sizes(np.ones((1, 10), bool)).tolist() == [10]
