import numpy as np
import pytest
import pywt
import torch

from mrikit.physics.wavelet import inverse_wavelet, padded_size, soft_threshold, wavelet
from tests.helpers import complex_normal, relative_error


@pytest.mark.parametrize(("shape", "num_levels"), [((32, 64), 1), ((32, 64), 2), ((96, 56), 3)])
def test_coefficients_are_those_of_pywavelets(shape: tuple[int, int], num_levels: int) -> None:
    image = complex_normal(shape)
    expected, _ = pywt.coeffs_to_array(pywt.wavedec2(image.numpy(), "db4", "periodization", level=num_levels))
    assert relative_error(wavelet(image, num_levels), torch.from_numpy(expected.astype(np.complex64))) < 1e-5


def test_real_images_have_real_coefficients() -> None:
    image = complex_normal((2, 20, 24))
    coefficients = wavelet(image.real, 2)
    assert coefficients.dtype == torch.float32
    assert relative_error(coefficients, wavelet(image, 2).real) < 1e-6
    assert relative_error(inverse_wavelet(coefficients, 2, (20, 24)), image.real) < 1e-5


def test_cubic_images_have_no_details_away_from_the_rim() -> None:
    line = torch.linspace(-1, 1, 64) ** 3
    coefficients = wavelet(line[:, None] * line[None, :], 1)
    details = coefficients.clone()
    details[:32, :32] = 0
    assert details[:28, 4:28].abs().max() < 1e-5
    assert coefficients.abs().max() > 0.5


def test_odd_sizes_are_filled_up_to_the_next_multiple() -> None:
    assert padded_size((13, 16), 3) == (16, 16)
    assert wavelet(complex_normal((13, 16)), 3).shape == (16, 16)


def test_no_level_is_the_image_itself() -> None:
    image = complex_normal((5, 7))
    assert torch.equal(wavelet(image, 0), image)


def test_moving_by_a_coarse_pixel_moves_the_coarse_image() -> None:
    image = complex_normal((32, 32))
    moved = wavelet(image.roll((8, -4), (0, 1)), 2)[:8, :8]
    assert relative_error(moved, wavelet(image, 2)[:8, :8].roll((2, -1), (0, 1))) < 1e-5


def test_soft_threshold_shrinks_magnitudes_and_keeps_phases() -> None:
    found = soft_threshold(torch.tensor([3 + 4j, 0.3j, -2.0, 0.0]), 1.0)
    assert relative_error(found, torch.tensor([2.4 + 3.2j, 0, -1.0, 0])) < 1e-6


def test_soft_threshold_minimises_distance_plus_l1_norm() -> None:
    point, threshold = complex_normal((50,)), 0.4

    def cost(x: torch.Tensor) -> torch.Tensor:
        return 0.5 * (x - point).abs() ** 2 + threshold * x.abs()

    best = soft_threshold(point, threshold)
    for seed in range(5):
        assert (cost(best + 0.05 * complex_normal((50,), seed + 1)) >= cost(best) - 1e-6).all()


def test_soft_threshold_takes_one_threshold_per_image() -> None:
    images = complex_normal((2, 4, 4))
    found = soft_threshold(images, torch.tensor([0.0, 100.0])[:, None, None])
    assert relative_error(found[0], images[0]) < 1e-6
    assert (found[1] == 0).all()
