import math

import pytest
import torch

from mrikit.errors import ConfigError, DataError
from mrikit.physics.coils import adaptive_combine, combine, compress_coils, rss, whiten, whitening_matrix
from tests.helpers import complex_normal, relative_error
from tests.physics.phantom import scan


def test_rss_is_the_root_of_the_sum_of_squares() -> None:
    coils = torch.tensor([3.0, 4j, 12.0]).reshape(3, 1, 1)
    assert rss(coils).item() == pytest.approx(13)


def test_rss_has_gradient_zero_where_all_coils_are_zero() -> None:
    image = torch.zeros(3, 2, 2, dtype=torch.complex64, requires_grad=True)
    rss(image).sum().backward()
    assert (image.grad == 0).all()


def test_combining_with_the_true_maps_recovers_the_image() -> None:
    truth = scan(4, 20, 18)
    assert relative_error(combine(truth.sens_maps * truth.image, truth.sens_maps), truth.image) < 1e-6


def test_adaptive_combination_has_the_magnitude_of_the_image() -> None:
    truth = scan(6, 40, 36)
    found = adaptive_combine(truth.sens_maps * truth.image)
    assert relative_error(found.abs(), truth.image.abs()) < 0.02


def test_adaptive_combination_has_less_background_than_rss() -> None:
    truth = scan(8, 40, 36)
    noisy = truth.sens_maps * truth.image + 0.1 * complex_normal((8, 40, 36), 5)
    background = ~truth.body
    assert adaptive_combine(noisy)[background].abs().mean() < 0.8 * rss(noisy)[background].mean()


def test_adaptive_combination_of_equal_coils_keeps_their_phase() -> None:
    image = complex_normal((12, 10))
    found = adaptive_combine(torch.stack([image, 0.5 * image, image]))
    assert relative_error(found, 1.5 * image) < 1e-5


def test_adaptive_combination_does_not_depend_on_how_rows_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    coils = complex_normal((2, 3, 23, 11))
    whole = adaptive_combine(coils)
    monkeypatch.setattr("mrikit.physics.coils._CACHE_BYTES", 1)
    assert relative_error(adaptive_combine(coils), whole) < 1e-5


def test_adaptive_combination_of_nothing_is_zero() -> None:
    assert (adaptive_combine(torch.zeros(3, 8, 8, dtype=torch.complex64)) == 0).all()


def test_adaptive_combination_refuses_a_block_without_a_middle() -> None:
    with pytest.raises(ConfigError, match="block of 4 pixels has no middle; an odd size would do"):
        adaptive_combine(torch.zeros(3, 8, 8, dtype=torch.complex64), block_size=4)


def test_compression_keeps_everything_that_lives_in_few_coils() -> None:
    few = complex_normal((2, 3, 16, 12))
    mixing = complex_normal((2, 8, 3), 1)
    kspace = (mixing @ few.flatten(-2)).unflatten(-1, (16, 12))
    compressed = compress_coils(kspace, 3)
    assert compressed.shape == (2, 3, 16, 12)
    assert relative_error(rss(compressed), rss(kspace)) < 1e-4


def test_compression_keeps_the_energy_of_the_leading_singular_values() -> None:
    kspace = scan(8, 20, 18, noise=0.1).kspace
    energies = torch.linalg.svdvals(kspace.flatten(-2)) ** 2
    found = compress_coils(kspace, 3).flatten(-2).abs().square().sum(-1)
    assert torch.allclose(found, energies[:3], rtol=1e-3)


def test_compression_by_the_centre_uses_the_directions_of_the_centre() -> None:
    kspace = torch.zeros(4, 6, 6, dtype=torch.complex64)
    kspace[0, 0], kspace[2, 3] = 100, 1
    assert (compress_coils(kspace, 1).abs().amax(1) == torch.tensor([100.0, 0, 0, 0, 0, 0])).any()
    by_center = compress_coils(kspace, 1, calibration=kspace[:, 2:5, 2:5])
    assert by_center.abs().sum().item() == pytest.approx(6)


def test_compression_gives_each_batch_element_its_own_matrix() -> None:
    kspace = complex_normal((2, 5, 6, 7))
    together = compress_coils(kspace, 2)
    assert relative_error(together[1].abs(), compress_coils(kspace[1], 2).abs()) < 1e-4


def test_compression_leaves_plus_zero_where_nothing_was_measured() -> None:
    kspace = complex_normal((4, 6, 8)) * -1
    kspace[..., 1::2] = 0
    assert not torch.signbit(torch.view_as_real(compress_coils(kspace, 2)[..., 1::2])).any()


def test_compression_to_more_coils_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot make 5 virtual coils of 4; 1 to 4 would do"):
        compress_coils(complex_normal((4, 6, 8)), 5)


def test_whitened_noise_has_unit_covariance() -> None:
    noise = complex_normal((6, 6)) @ complex_normal((6, 500), 1)
    matrix = whitening_matrix(noise)
    white = whiten(noise.unflatten(-1, (50, 10)), matrix).flatten(-2)
    assert relative_error(white @ white.mH / 500, torch.eye(6, dtype=torch.complex64)) < 1e-4


def test_whitening_of_independent_coils_divides_by_their_deviation() -> None:
    deviation = torch.tensor([1.0, 2.0, 5.0])
    matrix = whitening_matrix(deviation[:, None] * complex_normal((3, 200_000)))
    assert torch.allclose(matrix.diagonal().real, 1 / deviation, rtol=0.01)
    assert relative_error(matrix, torch.diag(1 / deviation).to(torch.complex64)) < 0.02


def test_each_batch_element_is_whitened_by_its_own_noise() -> None:
    noise = complex_normal((2, 3, 400)) * torch.tensor([1.0, 10.0])[:, None, None]
    white = whiten(noise.unflatten(-1, (20, 20)), whitening_matrix(noise))
    power = white.abs().square().mean((-2, -1))
    assert torch.allclose(power, torch.ones(2, 3), rtol=1e-4)


def test_too_few_noise_samples_are_refused() -> None:
    with pytest.raises(DataError, match="covariance of 6 coils cannot be inverted; found 4 samples, 0 coils without"):
        whitening_matrix(complex_normal((6, 4)))


def test_a_dead_coil_is_named() -> None:
    noise = complex_normal((6, 100))
    noise[2] = 0
    with pytest.raises(DataError, match="found 100 samples, 1 coils without noise"):
        whitening_matrix(noise)


def test_nan_in_the_noise_is_refused() -> None:
    noise = complex_normal((6, 100))
    noise[2, 3] = math.nan
    with pytest.raises(DataError, match="cannot be inverted"):
        whitening_matrix(noise)
