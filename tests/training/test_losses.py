import pytest
import torch

from mrikit.training.losses import LOSSES, l1_loss


def pair(batch=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 12, 10, generator=generator), torch.rand(batch, 12, 10, generator=generator)


def test_l1_is_the_mean_difference_of_each_slice_in_units_of_its_range():
    reference = torch.zeros(2, 12, 10)
    image = reference + torch.tensor([0.5, -3.0])[:, None, None]
    assert l1_loss(image, reference, torch.tensor([2.0, 6.0])).tolist() == [0.25, 0.5]


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_does_not_depend_on_the_scale_of_the_data(name):
    image, reference = pair()
    data_range = reference.amax((-2, -1))
    found = LOSSES[name](1e-5 * image, 1e-5 * reference, 1e-5 * data_range)
    torch.testing.assert_close(found, LOSSES[name](image, reference, data_range), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_zero_for_equal_images_and_positive_for_others(name):
    image, reference = pair()
    data_range = reference.amax((-2, -1))
    torch.testing.assert_close(LOSSES[name](reference, reference, data_range), torch.zeros(3), rtol=0, atol=1e-6)
    assert (LOSSES[name](image, reference, data_range) > 0.05).all()


@pytest.mark.parametrize("name", LOSSES)
def test_each_slice_has_a_loss_of_its_own(name):
    image, reference = pair()
    data_range = reference.amax((-2, -1))
    together = LOSSES[name](image, reference, data_range)
    alone = [LOSSES[name](image[i : i + 1], reference[i : i + 1], data_range[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize("name", LOSSES)
def test_a_slice_of_zeros_has_a_finite_loss_and_gradient(name):
    image = torch.zeros(1, 12, 10, requires_grad=True)
    loss = LOSSES[name](image, torch.zeros(1, 12, 10), torch.zeros(1))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert image.grad.isfinite().all()
