"""Sums over the slices of optimizer steps, which all processes add up, and the means that rows show."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from mrikit.training.losses import Losses

_COUNT = "slices of "
_UNSHOWN = ("slices", "steps")


class Agreed(NamedTuple):
    """What all processes know after a step's gradients."""

    sums: Mapping[str, float]
    """See `named_sums`."""
    is_stopping: bool
    is_saving: bool

    @property
    def numbers(self) -> dict[str, float]:
        """Means over the slices, for a row."""
        return means_of(self.sums)


def detached(losses: Losses) -> Losses:
    """The same numbers without their graph."""
    terms, numbers = ({name: one.detach() for name, one in some.items()} for some in (losses.terms, losses.numbers))
    return Losses(losses.total.detach(), terms, numbers)


def sums_of(done: Sequence[Losses]) -> torch.Tensor:
    """Sums over the slices of micro-batches, to be added to those of other processes.

    Args:
        done: At least one.

    Returns:
        (sum,) float64, in the order that `named_sums` knows.
    """
    first = done[0]
    columns = [torch.cat([one.total for one in done])]
    columns += [torch.cat([one.terms[name] for one in done]) for name in first.terms]
    count = torch.full((1,), len(columns[0]), dtype=torch.float64, device=columns[0].device)
    further = [torch.cat([one.numbers[name] for one in done]).double() for name in first.numbers]
    pairs = [torch.stack([column.nansum(), (~column.isnan()).sum().double()]) for column in further]
    return torch.cat([torch.stack([column.double().sum() for column in columns]), count, *pairs])


def named_sums(sums: Sequence[float], like: Losses) -> dict[str, float]:
    """`loss`, its terms where it has several, how many `slices`, and further numbers, each with a count of its own.

    Args:
        sums: As `sums_of` gives them.
        like: Losses of one micro-batch, for the names.
    """
    (loss, *terms), (count, *further) = sums[: 1 + len(like.terms)], sums[1 + len(like.terms) :]
    found = {"loss": loss, **(dict(zip(like.terms, terms, strict=True)) if len(terms) > 1 else {}), "slices": count}
    for name, total, number in zip(like.numbers, further[::2], further[1::2], strict=True):
        found |= {name: total, f"{_COUNT}{name}": number}
    return found


def means_of(sums: Mapping[str, float]) -> dict[str, float]:
    """Of sums over slices: `loss`, `loss_TERM` for each term, and further numbers by their names, if there are any."""
    means = {}
    for name, value in sums.items():
        if name in _UNSHOWN or name.startswith(_COUNT):
            continue
        if f"{_COUNT}{name}" not in sums:
            means[name if name == "loss" else f"loss_{name}"] = value / sums["slices"]
        elif sums[f"{_COUNT}{name}"]:
            means[name] = value / sums[f"{_COUNT}{name}"]
    return means
