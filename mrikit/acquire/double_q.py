"""One step of double Q-learning, and how often an agent explores.

Source:
    van Hasselt et al., Deep reinforcement learning with double Q-learning, AAAI 2016, arXiv:1509.06461.
"""

import math
from typing import NamedTuple

import torch
from torch import nn


class SeenTransitions(NamedTuple):
    """Transitions, such as of a `Replay`, with what a Q network looks at."""

    image: torch.Tensor
    """What a Q network looks at, (batch, ...)."""
    mask: torch.Tensor
    """(batch, phase) bool, the lines measured before."""
    line: torch.Tensor
    """(batch,) int64, the line chosen."""
    reward: torch.Tensor
    """(batch,) float32."""
    next_image: torch.Tensor
    """As `image`, afterwards."""
    next_mask: torch.Tensor
    """(batch, phase) bool, the lines measured afterwards."""
    is_done: torch.Tensor
    """(batch,) bool, whether the episode ended with it."""


class Update(NamedTuple):
    """How one step of learning went."""

    loss: float
    """Before the step."""
    gradient_norm: float
    """Root of the sum of squares of all gradients, before they are cut."""
    mean_value: float
    """Mean of what the network said of the actions."""


def double_q_targets(
    online: nn.Module, target: nn.Module, transitions: SeenTransitions, discount: float
) -> torch.Tensor:
    """What the actions were worth, by their reward and by the best line that comes next.

    Args:
        online: The Q network that learns; it says which line is best.
        target: An older copy of it; it says what that line is worth.
        transitions: Some decisions and what came of them.
        discount: How much a reward counts one step later, 0 to 1.

    Returns:
        (batch,) float32, without a gradient.
    """
    if discount == 0:
        return transitions.reward
    with torch.no_grad():
        best = online(transitions.next_image, transitions.next_mask).argmax(-1)
        values = target(transitions.next_image, transitions.next_mask)
        later = values.gather(-1, best.unsqueeze(-1)).squeeze(-1).masked_fill(transitions.is_done, 0.0)
        expected: torch.Tensor = transitions.reward + discount * later
    return expected


def update_double_q(
    online: nn.Module,
    target: nn.Module,
    optimizer: torch.optim.Optimizer,
    transitions: SeenTransitions,
    *,
    discount: float,
    largest_gradient: float = 1.0,
) -> Update:
    """One step of the optimizer on the smooth L1 loss of a batch.

    Args:
        online: The Q network that learns; its weights change.
        target: An older copy of it, which stays.
        optimizer: Of the online network's weights.
        transitions: Some decisions and what came of them.
        discount: How much a reward counts one step later, 0 to 1.
        largest_gradient: Where each single gradient is cut, either side of 0.
    """
    expected = double_q_targets(online, target, transitions, discount)
    values = online(transitions.image, transitions.mask).gather(-1, transitions.line.unsqueeze(-1)).squeeze(-1)
    loss = nn.functional.smooth_l1_loss(values, expected)
    optimizer.zero_grad()
    loss.backward()
    weights = list(online.parameters())
    norm = torch.nn.utils.get_total_norm([weight.grad for weight in weights if weight.grad is not None])
    nn.utils.clip_grad_value_(weights, largest_gradient)
    optimizer.step()
    return Update(loss.item(), norm.item(), values.detach().mean().item())


def exploration(num_steps: int, *, decay_steps: float, first: float = 1.0, last: float = 0.01) -> float:
    """The chance of a random line after so many steps, from `first` towards `last` by 1/e each `decay_steps`.

    The published digits agent counts updates and has 0.996 for `decay_steps`: it is over after five of them.
    """
    return last + (first - last) * math.exp(-num_steps / decay_steps)
