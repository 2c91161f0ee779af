from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import relative_error
from phantoms import make_volume

from mrikit.data import (
    MaskPlan,
    center_crop,
    choose_mask,
    in_window,
    make_example,
    network_inputs,
    window_before,
    with_uncounted_center,
)
from mrikit.physics.fft import ifft2c

PLAN = MaskPlan(kind="random", acceleration=3, center_fraction=0.2)


def example_of(volume, plan=PLAN):
    return make_example(volume, (0, 1), choose_mask(volume, plan))


def test_a_network_is_given_the_full_field_of_view_bit_for_bit():
    example = example_of(make_volume())
    for found, made in zip(
        network_inputs(example), (example.masked_kspace, example.mask, example.num_center_lines), strict=True
    ):
        assert found is made


@pytest.mark.parametrize(("size", "window"), [((64, 60), (40, 44)), ((63, 47), (41, 40)), ((40, 44), (40, 44))])
def test_a_network_that_crops_before_is_given_kspace_of_the_window(size, window):
    example = example_of(make_volume(size=size, window=window))
    kspace, _, _ = network_inputs(example, crops_before=True)
    assert kspace.shape[-2:] == window
    assert relative_error(ifft2c(kspace), center_crop(ifft2c(example.masked_kspace), window)) < 1e-6


@pytest.mark.parametrize(
    ("matrix", "recon_matrix", "window"),
    [
        ((64, 60), (40, 44), (40, 44)),
        ((64, 30), (40, 40), (30, 30)),
        ((64, 40), (40, 40), (40, 40)),
        ((24, 30), (40, 40), (24, 30)),
    ],
)
def test_the_window_is_a_square_where_the_image_is_narrower(matrix, recon_matrix, window):
    info = replace(make_volume().info, matrix=matrix, recon_matrix=recon_matrix)
    assert window_before(info) == window


def test_a_smaller_window_cuts_the_reference_too():
    example = example_of(make_volume())
    smaller = in_window(example, (30, 44))
    assert smaller.crop == (30, 44)
    assert torch.equal(smaller.reference, example.reference[:, 5:35])


def test_only_a_mask_that_was_not_drawn_here_loses_its_number_of_center_lines(tmp_path):
    lines = np.zeros(60, bool)
    lines[::3] = lines[26:34] = True
    np.save(tmp_path / "mask.npy", lines)
    full = make_volume()
    masks = {
        "stored": choose_mask(make_volume(mask=lines), None),
        "file": choose_mask(full, MaskPlan(kind=str(tmp_path / "mask.npy"))),
        "drawn": choose_mask(full, PLAN),
        "full": choose_mask(full, None),
    }
    numbers = {name: with_uncounted_center(mask).num_center_lines for name, mask in masks.items()}
    assert numbers == {"stored": 0, "file": 0, "drawn": masks["drawn"].num_center_lines, "full": 60}
    assert masks["stored"].num_center_lines > 0
