import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import normalized_root_mse, peak_signal_noise_ratio, structural_similarity

from mrikit.errors import DataError
from mrikit.metrics import measure_volume, mse, nmse, psnr


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(7, 30), st.integers(7, 30)),
    seed=st.integers(0, 2**31),
    exponent=st.integers(-7, 4),
)
def test_volume_metrics_agree_with_scikit_image(shape, seed, exponent):
    rng = np.random.default_rng(seed)
    reference = rng.random(shape, np.float32) * 10.0**exponent
    image = reference + rng.normal(0, 0.1 * 10.0**exponent, shape)
    measured = measure_volume(torch.from_numpy(image), torch.from_numpy(reference))
    assert measured.nmse == pytest.approx(normalized_root_mse(reference, image) ** 2, rel=1e-6)
    assert measured.psnr == pytest.approx(peak_signal_noise_ratio(reference, image, data_range=reference.max()))
    pairs = zip(reference, image, strict=True)
    slices = [structural_similarity(*pair, data_range=reference.max()) for pair in pairs]
    np.testing.assert_allclose(measured.slice_ssim, slices, atol=1e-6)
    assert measured.ssim == pytest.approx(np.mean(slices), abs=1e-6)


def test_metrics_at_once_and_one_by_one_are_the_same():
    image, reference = torch.rand(2, 8, 8), torch.rand(2, 8, 8)
    measured = measure_volume(image, reference)
    assert measured.mse == mse(image, reference)
    assert measured.nmse == nmse(image, reference)
    assert measured.psnr == psnr(image, reference)


def test_psnr_of_a_tenth_of_the_peak_is_twenty_decibel():
    reference = torch.zeros(1, 8, 8)
    assert psnr(reference + 0.1, reference, data_range=1.0) == pytest.approx(20, abs=1e-5)


def test_twice_the_image_has_an_nmse_of_one():
    reference = torch.rand(2, 8, 8)
    assert nmse(2 * reference, reference) == pytest.approx(1, rel=1e-6)


def test_equal_volumes_have_no_error_and_infinite_psnr():
    reference = torch.rand(2, 8, 8)
    measured = measure_volume(reference, reference)
    assert (measured.mse, measured.nmse, measured.psnr, measured.ssim) == (0, 0, math.inf, 1)


def test_a_reference_of_zeros_leaves_every_metric_defined():
    zeros = torch.zeros(1, 8, 8)
    equal, wrong = measure_volume(zeros, zeros), measure_volume(zeros + 1, zeros)
    assert (equal.nmse, equal.psnr, equal.ssim) == (0, math.inf, 1)
    assert (wrong.nmse, wrong.psnr) == (math.inf, -math.inf)
    assert wrong.ssim == pytest.approx(0, abs=1e-6)


def test_volumes_of_two_shapes_are_refused():
    with pytest.raises(DataError, match=r"of one shape can be compared; found \(1, 8, 8\) and \(2, 8, 8\)"):
        mse(torch.zeros(1, 8, 8), torch.zeros(2, 8, 8))


def test_large_float32_volumes_keep_six_digits():
    rng = np.random.default_rng(0)
    reference = 1 + rng.random((2, 320, 320), np.float32)
    image = reference + rng.normal(0, 0.05, reference.shape).astype(np.float32)
    found = measure_volume(torch.from_numpy(image), torch.from_numpy(reference))
    expected = measure_volume(torch.from_numpy(image).double(), torch.from_numpy(reference).double())
    assert (found.mse, found.nmse) == pytest.approx((expected.mse, expected.nmse), rel=1e-6)
    assert (found.ssim, found.psnr) == pytest.approx((expected.ssim, expected.psnr), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_volumes_in_half_precision_are_measured_in_single(dtype):
    reference = (1000 * torch.rand(2, 16, 16)).to(dtype)
    image = reference + 30 * torch.rand(2, 16, 16).to(dtype)
    assert measure_volume(image, reference) == measure_volume(image.float(), reference.float())
