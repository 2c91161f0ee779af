import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mrikit.errors import DataError
from mrikit.metrics import BODY_THRESHOLDS, body_mask, crop_to_body, measure_masked, measure_volume, ssim_map

SQUARE = np.ones((3, 3))


def independent_mask(reference, threshold):
    """Step by step with SciPy; outside the image nothing erodes and nothing dilates."""
    mask = ndimage.binary_erosion(reference > threshold, SQUARE, border_value=1)
    mask = ndimage.binary_dilation(mask, SQUARE, iterations=15, border_value=0)
    return ndimage.binary_erosion(mask, SQUARE, iterations=14, border_value=1)


def blobs(shape, seed, share):
    """Smooth random images in which about `share` of the pixels are above 0.5, also at the edges."""
    rng = np.random.default_rng(seed)
    noise = np.stack([ndimage.gaussian_filter(rng.random(shape[1:]), 1.5, mode="wrap") for _ in range(shape[0])])
    return (noise / np.quantile(noise, 1 - share) / 2).astype(np.float32)


def masked_pair(seed=0):
    """(image, reference, mask) of 3 slices, the second without a body, the third with one in a corner."""
    rng = np.random.default_rng(seed)
    image, reference = (torch.from_numpy(rng.random((3, 40, 36))) for _ in range(2))
    mask = torch.zeros(3, 40, 36, dtype=torch.bool)
    mask[0, 12:30, 9:20] = True
    mask[2, :4, 33:] = True
    return image, reference, mask


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 10), st.integers(1, 70), st.integers(1, 70)),
    seed=st.integers(0, 2**31),
    share=st.sampled_from([0.02, 0.1, 0.3, 0.9]),
)
def test_body_mask_agrees_with_scipy_at_every_shape_and_at_the_edges(shape, seed, share):
    reference = blobs(shape, seed, share)
    expected = np.stack([independent_mask(one, 0.5) for one in reference])
    np.testing.assert_array_equal(body_mask(torch.from_numpy(reference), 0.5), expected)


def test_every_image_may_have_a_threshold_of_its_own():
    reference = torch.zeros(2, 60, 50)
    reference[:, 20:40, 15:35] = torch.arange(20) / 20
    both = body_mask(reference, torch.tensor([0.5, 0.25]))
    for index, threshold in enumerate((0.5, 0.25)):
        assert torch.equal(both[index : index + 1], body_mask(reference[index : index + 1], threshold))
    assert not torch.equal(both, body_mask(reference, 0.5))


def test_specks_are_no_body_and_a_square_stays_as_it_is():
    reference = torch.zeros(1, 60, 60)
    reference[0, 5:7, 5:7] = 1
    reference[0, 30:40, 30:40] = 1
    expected = torch.zeros(1, 60, 60, dtype=torch.bool)
    # Eroded by 1, dilated by 15, eroded by 14.
    expected[0, 30:40, 30:40] = True
    assert torch.equal(body_mask(reference, 0.5), expected)


def test_a_value_at_the_threshold_is_no_body():
    assert not body_mask(torch.full((1, 9, 9), 0.5), 0.5).any()


def test_the_reference_is_left_as_it_was():
    reference = torch.from_numpy(blobs((1, 30, 30), 2, 0.3))
    before = reference.clone()
    body_mask(reference, 0.5)
    assert torch.equal(reference, before)


def test_an_image_without_batch_axis_is_an_error_that_names_its_shape():
    with pytest.raises(DataError, match=r"images \(batch, y, x\); found \(9, 8\)"):
        body_mask(torch.zeros(9, 8), BODY_THRESHOLDS["knee"])


def test_masked_ssim_is_that_of_the_whole_masked_images():
    image, reference, mask = masked_pair()
    measured = measure_masked(image, reference, mask, 1.5)
    expected = ssim_map(image * mask, reference * mask, 1.5).mean((1, 2))
    np.testing.assert_allclose(measured.slice_ssim, expected, atol=1e-12)
    assert measured.slice_ssim[1] == 1
    assert measured.ssim == pytest.approx(expected.mean().item(), abs=1e-12)


def test_masked_errors_are_those_of_the_whole_masked_images():
    image, reference, mask = masked_pair()
    measured = measure_masked(image, reference, mask, 1.5)
    expected = measure_volume(image * mask, reference * mask)
    assert (measured.mse, measured.nmse) == pytest.approx((expected.mse, expected.nmse), rel=1e-12)
    assert measured.psnr == pytest.approx(20 * np.log10(1.5) - 10 * np.log10(expected.mse))


def test_a_volume_of_several_blocks_is_measured_as_its_slices_are():
    rng = np.random.default_rng(5)
    image, reference = (torch.from_numpy(rng.random((4, 500, 420))) for _ in range(2))
    mask = body_mask(torch.from_numpy(blobs((4, 500, 420), 3, 0.05)), 0.5)
    together = measure_masked(image, reference, mask, 1.0)
    alone = [measure_masked(*(part[i : i + 1] for part in (image, reference, mask)), 1.0).ssim for i in range(4)]
    np.testing.assert_allclose(together.slice_ssim, alone, rtol=1e-12)


def test_the_crop_holds_every_window_that_touches_the_body():
    image, _, mask = masked_pair()
    (part,) = crop_to_body(mask[:1], image[:1])
    assert part.shape == (1, 18 + 12, 11 + 12)
    torch.testing.assert_close(part[0, 6:-6, 6:-6], image[0, 12:30, 9:20])
    assert part.sum().item() == pytest.approx(part[0, 6:-6, 6:-6].sum().item())


@pytest.mark.parametrize(
    ("first", "second"), [((1, 9, 9), (1, 9, 8)), ((1, 6, 9), (1, 6, 9))], ids=["shapes differ", "too small"]
)
def test_masked_images_of_unfit_shapes_are_named(first, second):
    with pytest.raises(DataError, match=r"need one shape \(slice, y, x\), sides at least 7; found \(1, "):
        measure_masked(torch.zeros(first), torch.zeros(second), torch.ones(first, dtype=torch.bool), 1.0)
