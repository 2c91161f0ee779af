import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_laplace

from mrikit.errors import DataError
from mrikit.metrics import high_frequency_error


def images(*key, shape=(2, 40, 50)):
    return torch.from_numpy(np.random.default_rng(key).random(shape).astype(np.float32))


def test_it_is_that_of_the_laplacian_of_a_gaussian_of_scipy():
    image, reference = images(0), images(1)
    expected = []
    for one, other in zip(image.double().numpy(), reference.double().numpy(), strict=True):
        error, own = (gaussian_laplace(values, 1.5, radius=7)[7:-7, 7:-7] for values in (one - other, other))
        expected.append(np.linalg.norm(error) / np.linalg.norm(own))
    np.testing.assert_allclose(high_frequency_error(image, reference), expected, rtol=2e-3)


def test_nothing_is_wrong_with_the_reference_and_everything_with_a_constant():
    reference = images(2)
    assert high_frequency_error(reference, reference).tolist() == [0, 0]
    # A shade over the image is no detail.
    np.testing.assert_allclose(high_frequency_error(reference + 3, reference), 0, atol=1e-5)
    np.testing.assert_allclose(high_frequency_error(torch.full_like(reference, 5), reference), 1, rtol=1e-6)


def test_the_scale_does_not_matter_and_blurring_shows():
    reference = images(3)
    blurred = torch.nn.functional.avg_pool2d(reference, 3, stride=1, padding=1)
    found = high_frequency_error(blurred, reference)
    assert (found > 0.3).all()
    np.testing.assert_allclose(high_frequency_error(1e-6 * blurred, 1e-6 * reference), found, rtol=1e-5)


def test_a_slice_without_detail_has_no_error_of_it():
    reference = torch.stack([images(4)[0], torch.zeros(40, 50)])
    found = high_frequency_error(reference + images(5), reference)
    assert found.isfinite().tolist() == [True, False]


@pytest.mark.parametrize("shape", [(2, 14, 50), (40, 50), (2, 40, 49)])
def test_what_cannot_be_compared_is_named(shape):
    with pytest.raises(DataError, match=r"sides at least 15; found \("):
        high_frequency_error(torch.zeros(shape), images(6) if shape[-1] == 49 else torch.zeros(shape))
