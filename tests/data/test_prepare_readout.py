import numpy as np
import pytest
import torch
from phantoms import make_volume

from mrikit.data import SliceKey, center_crop, choose_mask, make_example
from mrikit.errors import DataError
from mrikit.physics.fft import ifft2c
from tests.data.batches import PLAN, make_batch


@pytest.mark.parametrize(("height", "max_readout", "kept"), [(64, 48, 48), (64, 47, 47), (63, 48, 48), (64, 12, 40)])
@pytest.mark.parametrize("num_adjacent", [1, 3])
def test_the_readout_is_cropped_about_the_scored_window_and_never_into_it(height, max_readout, kept, num_adjacent):
    volume = make_volume(num_slices=3, size=(height, 60))
    whole = make_batch([volume], [SliceKey(0, 1)], num_adjacent)
    cropped = make_batch([volume], [SliceKey(0, 1)], num_adjacent, max_readout=max_readout)
    assert cropped.masked_kspace.shape == (*whole.masked_kspace.shape[:-2], kept, 60)
    assert torch.equal(cropped.mask, whole.mask)
    assert torch.equal(cropped.reference, whole.reference)
    assert cropped.crop == whole.crop
    scored = [center_crop(ifft2c(example.masked_kspace), example.crop) for example in (whole, cropped)]
    assert torch.allclose(*scored, atol=1e-5)
    unsampled = torch.view_as_real(cropped.masked_kspace[..., ~cropped.mask.flatten()])
    assert (unsampled == 0).all()
    assert not torch.signbit(unsampled).any()


@pytest.mark.parametrize("max_readout", [0, 64, 416])
def test_a_readout_that_is_short_enough_is_left_as_it_is(max_readout):
    volume = make_volume()
    cropped = make_example(volume, (0,), choose_mask(volume, PLAN), max_readout=max_readout)
    assert torch.equal(cropped.masked_kspace, make_example(volume, (0,), choose_mask(volume, PLAN)).masked_kspace)


def test_a_two_dimensional_pattern_cannot_be_cropped_along_the_readout():
    pattern = np.random.default_rng(0).random((64, 60)) < 0.3
    pattern[20:40, 20:40] = True
    volume = make_volume(mask=pattern)
    mask = choose_mask(volume, None)
    with pytest.raises(DataError) as caught:
        make_example(volume, (0,), mask, has_reference=False, max_readout=48)
    assert str(caught.value) == (
        "file1000001: a mask of 64 x 60 for k-space of 48 x 60; draw the mask for this scan, and take a model with "
        "max_readout 0 for a stored 2-D pattern"
    )
    kept = make_example(volume, (0,), mask, has_reference=False, max_readout=64)
    assert kept.masked_kspace.shape == (1, 6, 64, 60)
