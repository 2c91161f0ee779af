import pytest
import torch
from torch import nn

from mrikit.acquire.double_q import SeenTransitions, double_q_targets, exploration, update_double_q


class Table(nn.Module):
    """The same values, whatever it is shown."""

    def __init__(self, *values):
        super().__init__()
        self.values = nn.Parameter(torch.tensor(values))
        self.num_calls = 0

    def forward(self, image, mask):
        self.num_calls += 1
        return self.values.expand(len(image), -1).masked_fill(mask, -1e10)


def transitions(reward=(1.0, 2.0), is_done=(False, True)):
    mask = torch.tensor([[True, False, False, False]] * 2)
    return SeenTransitions(
        image=torch.zeros(2),
        mask=mask,
        line=torch.tensor([1, 2]),
        reward=torch.tensor(reward),
        next_image=torch.zeros(2),
        next_mask=mask | nn.functional.one_hot(torch.tensor([1, 2]), 4).bool(),
        is_done=torch.tensor(is_done),
    )


def test_the_network_that_learns_says_which_line_and_its_copy_says_how_good():
    online, target = Table(9.0, 8.0, 1.0, 3.0), Table(0.0, 0.0, 50.0, 7.0)
    found = double_q_targets(online, target, transitions(), discount=0.5)
    assert found.tolist() == [1 + 0.5 * 7, 2]  # the second episode ended
    assert not found.requires_grad


def test_without_a_future_no_network_is_asked():
    online, target = Table(1.0, 1.0, 1.0, 1.0), Table(1.0, 1.0, 1.0, 1.0)
    assert double_q_targets(online, target, transitions(), discount=0.0).tolist() == [1, 2]
    assert online.num_calls == target.num_calls == 0


def test_a_step_goes_the_cut_way_to_the_targets_and_leaves_the_copy():
    online, target = Table(0.0, 0.0, 0.0, 0.0), Table(0.0, 0.0, 0.0, 0.0)
    optimizer = torch.optim.SGD(online.parameters(), lr=1.0)
    batch = transitions(reward=(0.1, 4.0), is_done=(True, True))
    done = update_double_q(online, target, optimizer, batch, discount=1.0, largest_gradient=0.2)
    assert done.loss == pytest.approx((0.1**2 / 2 + 3.5) / 2)
    assert done.gradient_norm == pytest.approx((0.05**2 + 0.5**2) ** 0.5)
    assert done.mean_value == 0
    torch.testing.assert_close(online.values.detach(), torch.tensor([0, 0.05, 0.2, 0]))
    assert not target.values.any()


def test_repeated_steps_learn_what_actions_are_worth():
    online, target = Table(0.0, 0.0, 0.0, 0.0), Table(0.0, 0.0, 0.0, 0.0)
    optimizer = torch.optim.Adam(online.parameters(), lr=0.05)
    for _ in range(300):
        update_double_q(online, target, optimizer, transitions(), discount=0.5)
        target.load_state_dict(online.state_dict())
    # In the first episode line 2 is next, worth 2 itself.
    torch.testing.assert_close(online.values.detach()[1:3], torch.tensor([1 + 0.5 * 2, 2.0]), atol=1e-2, rtol=0)


def test_exploration_falls_by_the_same_share_in_equal_times():
    chances = [exploration(num, decay_steps=100, first=0.9, last=0.1) for num in (0, 100, 200, 10**6)]
    assert chances[0] == 0.9
    assert (chances[1] - 0.1) / (chances[0] - 0.1) == pytest.approx((chances[2] - 0.1) / (chances[1] - 0.1))
    assert chances[3] == pytest.approx(0.1)
