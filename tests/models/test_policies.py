import numpy as np
import pytest
import torch

from mrikit.errors import DataError
from mrikit.models.adaptive import keyed_draws, scan_of
from mrikit.models.policies import (
    LearnedVector,
    draw_lines,
    likeliest_lines,
    line_probabilities,
)
from mrikit.models.samplers.estimators import rescale_to_budget


def taken(width, *lines, batch=1):
    mask = torch.zeros(batch, width)
    mask[:, list(lines)] = 1
    return mask


@pytest.mark.parametrize("head", ["softplus", "sigmoid"])
@pytest.mark.parametrize("num_lines", [1, 5, 13, 18])
@pytest.mark.parametrize("scale", [0.1, 1.0, 1000.0, -1000.0])
def test_probabilities_add_up_to_the_lines_to_choose_whatever_the_policy_says(head, num_lines, scale):
    logits = (scale * torch.randn(3, 20, generator=torch.Generator().manual_seed(0))).requires_grad_()
    chances = line_probabilities(logits, taken(20, 9, 10, batch=3), num_lines, head=head, slope=10.0)
    torch.testing.assert_close(chances.detach().sum(-1), torch.full((3,), float(num_lines)))
    assert (chances >= 0).all()
    assert (chances <= 1 + 1e-6).all()
    assert not chances[:, 9:11].any()
    (gradient,) = torch.autograd.grad(chances.square().sum(), logits)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("logit", [-1e4, 0.0, 1e4])
@pytest.mark.parametrize("head", ["softplus", "sigmoid"])
def test_a_policy_without_preference_gives_all_free_lines_the_same(logit, head):
    logits = torch.full((1, 10), logit, requires_grad=True)
    chances = line_probabilities(logits, taken(10, 4, 5), 2, head=head, slope=10.0)
    expected = torch.full((1, 10), 0.25)
    expected[:, 4:6] = 0
    torch.testing.assert_close(chances.detach(), expected)
    chances.sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_rescaling_keeps_the_order_of_lines_and_what_is_right_already():
    free = torch.ones(1, 4, dtype=torch.bool)
    right = torch.tensor([[0.1, 0.9, 0.6, 0.4]])
    torch.testing.assert_close(rescale_to_budget(right, free, 2), right)
    for number in (1, 3):
        assert torch.equal(rescale_to_budget(right, free, number).argsort(), right.argsort())


def test_lines_are_drawn_as_often_as_their_probability_says():
    """Given their number, two lines of which one is likely leave the odds p (1 - q) to q (1 - p)."""
    chances = torch.tensor([[0.75, 0.25]]).repeat(2000, 1)
    chosen = draw_lines(chances, keyed_draws([(0, index) for index in range(2000)]), slope=10.0, clamps_gradient=False)
    assert torch.equal(chosen.sum(-1), torch.ones(2000))
    assert float(chosen[:, 0].mean()) == pytest.approx(9 / 10, abs=0.02)


def test_a_choice_passes_the_gradient_of_a_steep_sigmoid():
    chances = torch.tensor([[0.75, 0.25]], requires_grad=True)
    uniforms = np.array([0.5, 0.5], np.float32)
    chosen = draw_lines(chances, [lambda number: uniforms[:number]], slope=4.0, clamps_gradient=False)
    assert chosen.tolist() == [[1, 0]]
    chosen.backward(torch.tensor([[2.0, 3.0]]))
    inside = torch.tensor([1.0, -1.0])
    slope = 4 * torch.sigmoid(inside) * (1 - torch.sigmoid(inside))
    torch.testing.assert_close(chances.grad[0], torch.tensor([2.0, 3.0]) * slope)


def test_the_likeliest_free_lines_are_chosen():
    chances = torch.tensor([[0.9, 0.2, 0.0, 0.8, 0.1]])
    assert likeliest_lines(chances, chances < 0.9, 2).tolist() == [[0, 1, 0, 1, 0]]
    # Free lines of probability 0 come before those that are taken.
    assert likeliest_lines(torch.zeros(1, 3), torch.tensor([[False, True, True]]), 2).tolist() == [[0, 1, 1]]


@pytest.mark.parametrize(
    ("chances", "message"),
    [
        (
            [float("nan"), 0.5],
            "a policy gives probabilities that are no numbers; are its weights and its k-space finite",
        ),
        ([0.0, 0.7], r"1000 draws did not give 0.70 lines; a policy's probabilities add up to a whole number"),
    ],
)
def test_probabilities_that_cannot_be_met_are_one_clear_line(chances, message):
    draws = [lambda number: np.full(number, 0.99, np.float32)]
    with pytest.raises(DataError, match=message):
        draw_lines(torch.tensor([chances]), draws, slope=10.0, clamps_gradient=False)


def test_a_learned_vector_begins_with_lines_that_differ_only_where_it_must():
    torch.manual_seed(0)
    assert not LearnedVector(8, "sigmoid").logits.any()
    assert len(LearnedVector(8, "softplus").logits.unique()) == 8


def test_draws_depend_on_their_key_alone():
    one, other, again = keyed_draws([(0, "knee", 3), (0, "knee", 4), (0, "knee", 3)])
    numbers = one(1000)
    assert (numbers.dtype, numbers.min() >= 0, numbers.max() < 1) == (np.float32, True, True)
    assert not np.array_equal(numbers, other(1000))
    assert np.array_equal(numbers, again(1000))
    assert not np.array_equal(one(1000), numbers)  # the next try


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
def test_a_scanner_of_known_kspace_gives_what_the_mask_names_and_zero_without_a_sign(dtype):
    kspace = torch.full((1, 2, 3, 4), -1 - 1j)
    mask = torch.tensor([1, 0, 0, 1]).view(1, 1, 1, 4).to(dtype)
    measured = torch.view_as_real(scan_of(kspace)(mask))
    assert measured[..., [0, 3], :].eq(-1).all()
    assert not torch.signbit(measured[..., 1:3, :]).any()
