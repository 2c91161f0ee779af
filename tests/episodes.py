"""Observations, and policies that are followed for some decisions."""

import torch

from mrikit.acquire.policies import Observation
from mrikit.randomness import generator


def masks_of(rows, width):
    """(batch, phase) bool, True in the columns of each row."""
    masks = torch.zeros(len(rows), width, dtype=torch.bool)
    for mask, columns in zip(masks, rows, strict=True):
        mask[list(columns)] = True
    return masks


def observe(masks, num_decisions=0, is_free=None):
    """Masks without anything to see; `num_decisions` for all, or a list of them; what is not measured is free."""
    counts = num_decisions if isinstance(num_decisions, list) else [num_decisions] * len(masks)
    return Observation(
        reconstruction=torch.zeros(len(masks), 1, 4, masks.shape[-1]),
        mask=masks,
        is_free=~masks if is_free is None else is_free,
        num_decisions=torch.tensor(counts),
    )


def choose(policy, rows, width, num_decisions=0, generators=None):
    """The lines chosen after those of each row are measured."""
    generators = generators or [generator(0, "test", index) for index in range(len(rows))]
    return policy.choose(observe(masks_of(rows, width), num_decisions), generators).tolist()


def follow(policy, rows, width, num_steps, generators=None):
    """(step, batch) lines that a policy chooses one after the other."""
    generators = generators or [generator(0, "test", index) for index in range(len(rows))]
    rows, found = [list(row) for row in rows], []
    for step in range(num_steps):
        found.append(choose(policy, rows, width, step, generators))
        rows = [[*row, line] for row, line in zip(rows, found[-1], strict=True)]
    return found
