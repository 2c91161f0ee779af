import torch
from helpers import complex_normal

from mrikit.models.cvpr19_losses import evaluator_targets, least_squares, line_errors, uncertainty_loss
from mrikit.physics.fft import ifft2c


def test_the_best_variance_is_the_square_of_the_error():
    image, reference = torch.ones(1, 1, 3), torch.ones(1, 1, 3) + 0.3
    log_variance = torch.tensor([[[0.25, 1.0, 4.0]]]).mul(0.3**2).log().requires_grad_()
    uncertainty_loss(image, log_variance, reference).sum().backward()
    too_small, best, too_large = log_variance.grad.flatten().tolist()
    assert too_small < 0 < too_large
    assert abs(best) < 1e-6


def test_the_loss_does_not_change_with_the_unit_of_the_image():
    image, reference = complex_normal((2, 5, 6)).abs(), complex_normal((2, 5, 6), seed=1).abs()
    log_variance = complex_normal((2, 5, 6), seed=2).real
    unit = 3e-6
    scale = torch.full((2, 1, 1), unit)
    found = uncertainty_loss(unit * image, log_variance + 2 * scale.log(), unit * reference, scale)
    torch.testing.assert_close(found, uncertainty_loss(image, log_variance, reference), rtol=1e-4, atol=1e-4)


def test_variances_beyond_the_bounds_have_no_gradient():
    log_variance = torch.tensor([[[-20.0, -1.0, 5.0]]], requires_grad=True)
    uncertainty_loss(torch.zeros(1, 1, 3), log_variance, torch.ones(1, 1, 3)).sum().backward()
    assert (log_variance.grad != 0).tolist() == [[[False, True, False]]]


def test_an_error_of_one_line_is_that_lines():
    kspace = torch.zeros(1, 6, 8, dtype=torch.complex64)
    kspace[0, 2, 5] = 3 + 4j
    image = complex_normal((1, 6, 8))
    errors = line_errors(image + ifft2c(kspace), image)
    expected = torch.zeros(1, 8)
    expected[0, 5] = 25 / (2 * 6)
    torch.testing.assert_close(errors, expected, atol=1e-5, rtol=1e-5)


def test_scores_are_one_where_measured_and_fall_with_the_error():
    errors, mask = torch.tensor([[5.0, 0.0, 0.1, 1.0]]), torch.tensor([[True, False, False, False]])
    targets = evaluator_targets(errors, mask, steepness=2.0)
    torch.testing.assert_close(targets, torch.tensor([[1.0, 1.0, 0.8187308, 0.1353353]]))


def test_only_the_lines_asked_for_count():
    scores, targets = torch.tensor([[1.0, 3.0], [0.0, 1.0]]), torch.ones(2, 2)
    assert float(least_squares(scores, targets)) == 5 / 4
    assert float(least_squares(scores, targets, torch.tensor([[True, False], [True, False]]))) == 0.5
