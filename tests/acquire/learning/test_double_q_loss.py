import pytest
import torch
from torch import nn

from mrikit.acquire.learning.double_q_loss import DoubleQ, SeenTransitions
from mrikit.errors import CheckpointError


class Table(nn.Module):
    """The same values, whatever it is shown."""

    def __init__(self, *values):
        super().__init__()
        self.values = nn.Parameter(torch.tensor(values))

    def forward(self, image, mask):
        return self.values.expand(len(image), -1).masked_fill(mask, -1e10)


def transitions(reward=(1.0, 2.0), is_done=(False, True), unacquired=()):
    mask = torch.tensor([[True, False, False, False]] * 2)
    after = mask | nn.functional.one_hot(torch.tensor([1, 2]), 4).bool()
    free = ~after
    free[:, list(unacquired)] = False
    return SeenTransitions(
        image=torch.zeros(2),
        mask=mask,
        line=torch.tensor([1, 2]),
        reward=torch.tensor(reward),
        next_image=torch.zeros(2),
        next_mask=after,
        next_free=free,
        is_done=torch.tensor(is_done),
    )


def learner(*values, target=(0.0, 0.0, 50.0, 7.0), discount=0.5, rate=1e-3, target_steps=100, **settings):
    """A table that learns from a target table of other values."""
    table = Table(*values)
    learning = DoubleQ(table, discount=discount, rate=rate, target_steps=target_steps, **settings)
    learning.restore(learning.state() | {"target/values": torch.tensor(target)})
    return table, learning


def smooth_l1(*differences):
    return sum(d * d / 2 if abs(d) < 1 else abs(d) - 0.5 for d in differences) / len(differences)


def test_the_network_that_learns_says_which_line_and_its_copy_says_how_good():
    _, learning = learner(9.0, 8.0, 1.0, 3.0)
    # Of the free lines 2 and 3 the network values 3 more, which its copy says is worth 7; the second episode ended.
    assert learning.update(transitions()).loss == pytest.approx(smooth_l1(8 - (1 + 0.5 * 7), 1 - 2))


def test_only_lines_that_are_free_can_be_the_best_next():
    _, learning = learner(9.0, 8.0, 1.0, 3.0)
    found = learning.update(transitions(unacquired=[3])).loss
    assert found == pytest.approx(smooth_l1(8 - (1 + 0.5 * 50), 1 - 2))


def test_without_a_future_the_reward_is_the_target():
    _, learning = learner(9.0, 8.0, 1.0, 3.0, discount=0.0)
    assert learning.update(transitions()).loss == pytest.approx(smooth_l1(8 - 1, 1 - 2))


def test_each_gradient_is_cut_after_its_norm_was_taken():
    table, learning = learner(0.0, 0.0, 0.0, 0.0, discount=0.0, largest_gradient=1e-12)
    done = learning.update(transitions(reward=(0.1, 4.0), is_done=(True, True)))
    assert done.loss == pytest.approx(smooth_l1(0.1, 4.0))
    assert done.gradient_norm == pytest.approx((0.05**2 + 0.5**2) ** 0.5)
    # Adam's first step has the length of the rate, but for a gradient as small as its epsilon.
    assert table.values.detach().abs().max() < 1e-6


def test_the_target_follows_after_so_many_updates():
    table, learning = learner(0.0, 0.0, 0.0, 0.0, target=(0.0, 0.0, 0.0, 0.0), target_steps=3)
    for number in range(1, 10):
        learning.update(transitions())
        is_copied = torch.equal(learning.state()["target/values"], table.values.detach())
        assert is_copied == (number % 3 == 0)


def test_repeated_updates_learn_what_lines_are_worth():
    table, learning = learner(0.0, 0.0, 0.0, 0.0, target=(0.0,) * 4, rate=0.05, target_steps=1)
    for _ in range(300):
        learning.update(transitions())
    # In the first episode line 2 is next, worth 2 itself.
    torch.testing.assert_close(table.values.detach()[1:3], torch.tensor([1 + 0.5 * 2, 2.0]), atol=1e-2, rtol=0)


def test_what_goes_on_from_a_state_ends_with_the_same_bits():
    whole, learning = learner(0.1, 0.2, 0.3, 0.4, target_steps=4)
    for _ in range(3):
        learning.update(transitions())
    other, restored = learner(0.0, 0.0, 0.0, 0.0, target_steps=4)
    restored.restore(learning.state())
    for _ in range(3):
        learning.update(transitions())
        restored.update(transitions())
    assert torch.equal(whole.values, other.values)
    state, same = learning.state(), restored.state()
    assert state.keys() == same.keys()
    assert all(torch.equal(state[name], same[name]) for name in state)


@pytest.mark.parametrize(("name", "value"), [("network/values", None), ("exp_avg/values", torch.zeros(3))])
def test_a_state_of_another_network_is_refused(name, value):
    _, learning = learner(0.0, 0.0, 0.0, 0.0)
    state = learning.state()
    state.pop(name)
    with pytest.raises(CheckpointError, match=f"the checkpoint's {name} is "):
        learning.restore(state if value is None else state | {name: value})
