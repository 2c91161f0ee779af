import pytest
import torch
from torch import nn

from mrikit.models.orientation_losses import (
    cross_entropy,
    gradient_penalty,
    orientation_accuracy,
    orientation_terms,
    predictor_targets,
)


class Linear(nn.Module):
    """As many logits as asked for, linear in the image."""

    def __init__(self, count=1):
        super().__init__()
        weights = torch.randn(count, 3 * 6 * 6, generator=torch.Generator().manual_seed(0))
        self.weight = nn.Parameter(weights)

    def forward(self, inputs):
        return inputs.flatten(1) @ self.weight.T


def batch():
    image = torch.rand(3, 6, 6, generator=torch.Generator().manual_seed(1)).requires_grad_()
    return image, torch.tensor([True, False, True])


@pytest.mark.parametrize(
    ("uncertain", "inverts", "expected"),
    [
        (True, False, [0.5, 0.5]),
        (False, False, [0.0, 1.0]),
        (True, True, [0.0, 1.0]),
        (False, True, [0.5, 0.5]),
    ],
)
def test_the_reconstructor_wants_doubt_or_error_and_the_published_switch_is_inverted(uncertain, inverts, expected):
    targets = predictor_targets(torch.tensor([True, False]), uncertain=uncertain, inverts_uncertain=inverts)
    assert targets.tolist() == expected


def test_doubt_costs_least_where_discriminators_do_not_know():
    logits = torch.linspace(-3, 3, 61)[:, None]
    losses = cross_entropy(logits, torch.full((61,), 0.5))
    assert int(losses.argmin()) == 30
    assert float(losses[30]) == pytest.approx(0.6931, abs=1e-4)


def test_each_term_teaches_its_own_side_alone():
    image, is_transposed = batch()
    model = Linear(2)
    terms = orientation_terms(model, image, is_transposed, predictor_targets(is_transposed))
    leaves = [image, model.weight]

    def gradients(loss):
        return torch.autograd.grad(loss.sum(), leaves, retain_graph=True, allow_unused=True)

    assert gradients(terms.predictor)[0].abs().max() > 0
    assert gradients(terms.predictor)[1] is None
    for term in (terms.adversary, terms.regulariser):
        assert gradients(term)[0] is None
        assert gradients(term)[1].abs().max() > 0
    assert not terms.logits.requires_grad
    assert model.weight.requires_grad


def test_the_penalty_of_a_linear_discriminator_is_the_energy_of_its_weights():
    image, is_transposed = batch()
    model = Linear(2)
    terms = orientation_terms(model, image, is_transposed, predictor_targets(is_transposed))
    energy = model.weight.sum(0).square().sum()
    torch.testing.assert_close(terms.regulariser, energy.expand(3))
    terms.regulariser.mean().backward()
    torch.testing.assert_close(model.weight.grad, 2 * model.weight.detach().sum(0).expand(2, -1))


def test_the_penalty_is_that_of_finite_differences():
    inputs = torch.randn(2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def judge(inputs):
        return torch.stack([inputs.square().flatten(1).sum(1), inputs.sin().flatten(1).sum(1)], dim=1)

    seen = inputs.clone().requires_grad_()
    found = gradient_penalty(judge(seen), seen)
    slopes = 2 * inputs + inputs.cos()
    torch.testing.assert_close(found, slopes.square().flatten(1).sum(1).float())


def test_without_regulariser_nothing_is_differentiated_twice():
    image, is_transposed = batch()
    with torch.no_grad():
        terms = orientation_terms(Linear(), image, is_transposed, torch.ones(3), is_regularised=False)
    assert terms.regulariser.tolist() == [0, 0, 0]


def test_accuracy_counts_every_discriminator_of_every_image():
    logits = torch.tensor([[1.0, -1.0], [-2.0, -0.1], [0.0, 3.0]])
    is_transposed = torch.tensor([True, False, True])
    assert float(orientation_accuracy(logits, is_transposed)) == pytest.approx(4 / 6)
