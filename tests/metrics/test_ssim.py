import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from mrikit.errors import DataError
from mrikit.metrics import ssim, ssim_loss, ssim_map


def noisy_pair(shape, seed, scale=1.0, noise=0.1):
    rng = np.random.default_rng(seed)
    reference = rng.random(shape) * scale
    return torch.from_numpy(reference + noise * scale * rng.standard_normal(shape)), torch.from_numpy(reference)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(7, 40), st.integers(7, 40)),
    seed=st.integers(0, 2**31),
    exponent=st.integers(-7, 4),
    noise=st.sampled_from([1e-3, 0.1, 2.0]),
)
def test_ssim_agrees_with_scikit_image_at_every_shape_and_scale(shape, seed, exponent, noise):
    image, reference = noisy_pair(shape, seed, 10.0**exponent, noise)
    data_range = float(reference.max())
    pairs = zip(reference.numpy(), image.numpy(), strict=True)
    expected = [structural_similarity(*pair, data_range=data_range) for pair in pairs]
    np.testing.assert_allclose(ssim(image, reference, data_range), expected, atol=1e-9)
    np.testing.assert_allclose(ssim(image.float(), reference.float(), data_range), expected, atol=1e-6)


def test_map_agrees_with_scikit_image_pixel_by_pixel():
    image, reference = noisy_pair((1, 23, 31), seed=1)
    _, expected = structural_similarity(reference[0].numpy(), image[0].numpy(), data_range=1.0, full=True)
    np.testing.assert_allclose(ssim_map(image, reference, 1.0)[0], expected[3:-3, 3:-3], atol=1e-9)


def test_every_slice_may_have_a_data_range_of_its_own():
    image, reference = noisy_pair((3, 12, 9), seed=2)
    ranges = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
    single = [ssim(image[i : i + 1], reference[i : i + 1], float(ranges[i]))[0] for i in range(3)]
    np.testing.assert_allclose(ssim(image, reference, ranges), single, rtol=1e-12)


def test_slices_are_scored_alike_alone_and_in_a_volume_larger_than_one_block():
    image, reference = noisy_pair((5, 300, 400), seed=3)
    alone = torch.cat([ssim(image[i : i + 1], reference[i : i + 1], 1.0) for i in range(5)])
    np.testing.assert_allclose(ssim(image, reference, 1.0), alone, rtol=1e-12)


def test_a_bright_flat_offset_costs_float32_no_accuracy():
    image, reference = noisy_pair((1, 64, 64), seed=4, noise=1e-3)
    image, reference = image * 0.02 + 1, reference * 0.02 + 1
    expected = structural_similarity(reference[0].numpy(), image[0].numpy(), data_range=1.02)
    assert ssim(image.float(), reference.float(), 1.02).item() == pytest.approx(expected, abs=1e-6)


def test_loss_is_one_minus_score():
    image, reference = noisy_pair((3, 20, 20), seed=5)
    loss = ssim_loss(image, reference, 1.0)
    assert loss.item() == pytest.approx(1 - ssim(image, reference, 1.0).mean().item(), abs=1e-12)


def test_gradient_of_the_loss_is_right():
    image, reference = noisy_pair((2, 9, 8), seed=6)
    image.requires_grad_()
    assert torch.autograd.gradcheck(lambda image: ssim_loss(image, reference, torch.tensor([1.0, 0.7])), (image,))


def test_gradient_is_finite_for_equal_and_for_empty_images():
    image = torch.zeros(2, 16, 16)
    image[1] = 0.5
    image.requires_grad_()
    ssim_loss(image, image.detach().clone(), torch.zeros(2)).backward()
    assert torch.isfinite(image.grad).all()


def test_descending_the_loss_recovers_the_reference():
    image, reference = noisy_pair((1, 24, 24), seed=7, noise=0.3)
    image.requires_grad_()
    optimizer = torch.optim.Adam([image], lr=0.02)
    before = ssim_loss(image, reference, 1.0).item()
    for _ in range(60):
        optimizer.zero_grad()
        loss = ssim_loss(image, reference, 1.0)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1 * before


@pytest.mark.parametrize("value", [0.0, 0.5, 1e6])
@pytest.mark.parametrize("data_range", [0.0, 1.0])
def test_equal_constant_images_score_one(value, data_range):
    image = torch.full((1, 10, 10), value)
    assert ssim(image, image, data_range).item() == pytest.approx(1, abs=1e-6)


def test_anything_against_a_reference_of_zeros_with_zero_range_scores_zero():
    score = ssim(torch.rand(1, 12, 12), torch.zeros(1, 12, 12), 0.0)
    assert score.item() == pytest.approx(0, abs=1e-6)


def test_a_flat_image_in_a_wildly_wrong_scale_has_scores_between_minus_one_and_one():
    reference = torch.rand(200, 32, 32, generator=torch.Generator().manual_seed(0))
    values = torch.logspace(1, 6, 200)[:, None, None]
    scores = ssim_map(values.expand_as(reference), reference, 1.0)
    assert scores.abs().max() <= 1 + 1e-6


def test_a_data_range_far_too_small_gives_scores_between_minus_one_and_one():
    generator = torch.Generator().manual_seed(0)
    levels = torch.logspace(1, 6, 200)[:, None, None] * torch.where(torch.arange(32) < 16, 1.1, 0.3)
    reference = levels.expand(200, 32, 32).contiguous()
    image = reference + 1e-2 * torch.rand(reference.shape, generator=generator)
    scores = ssim_map(image, reference, 1.0)
    assert scores.abs().max() <= 1 + 1e-6


def test_half_precision_is_computed_in_float32():
    image, reference = (pair.half() for pair in noisy_pair((1, 20, 20), seed=8))
    expected = ssim(image.float(), reference.float(), 1.0)
    assert ssim(image, reference, 1.0).item() == pytest.approx(expected.item(), abs=1e-7)


def test_arguments_are_left_as_they_were():
    image, reference = noisy_pair((2, 10, 10), seed=9)
    before = image.clone(), reference.clone()
    ssim(image, reference, 1.0)
    assert torch.equal(image, before[0])
    assert torch.equal(reference, before[1])


@pytest.mark.parametrize(
    ("first", "second"),
    [((1, 9, 9), (1, 9, 8)), ((9, 9), (9, 9)), ((1, 6, 9), (1, 6, 9)), ((0, 9, 9), (0, 9, 9))],
    ids=["shapes differ", "no slice axis", "shorter than the window", "no slices"],
)
def test_unfit_images_are_named_by_shape(first, second):
    with pytest.raises(DataError, match=r"sides at least 7; found \(") as error:
        ssim(torch.zeros(first), torch.zeros(second), 1.0)
    assert str(first) in str(error.value)
