"""PolicyMethod: a policy and a reconstructor as one adaptive method."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from mrikit.acquire.policies.policy import Observation, Policy, line_chances
from mrikit.errors import ConfigError, DataError
from mrikit.masks.mask import center_sizes
from mrikit.models.adaptive import Draw, Measure
from mrikit.models.output import Output, compute, image_of
from mrikit.randomness import generator


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyMethod:
    """An `AdaptiveMethod`: reconstruct, let the policy choose a line, measure it, until the budget is spent.

    No gradient passes a decision; that of the last reconstruction reaches the reconstructor.
    """

    policy: Policy
    reconstructor: nn.Module
    """With the signature of `mrikit.models`."""
    budget: int
    """Lines to choose, at least 0; those at the start do not count."""

    def __post_init__(self) -> None:
        if self.budget < 0:
            raise ConfigError(f"a budget is a number of lines from 0, found {self.budget}")

    def acquire(self, measure: Measure, start: torch.Tensor, draws: Sequence[Draw]) -> Output:
        """Measure, decide, measure again; see `mrikit.models.adaptive.AdaptiveMethod`.

        Args:
            measure: The scanner.
            start: (batch, 1, 1, phase) bool.
            draws: One for each batch element; the policy's generator of that element is made of it.

        Returns:
            What the reconstructor computes of all lines in the end, with the extras that the protocol names.

        Raises:
            DataError: A start of two directions, a budget larger than the free columns, or a line chosen twice.
        """
        self._check(start)
        lines, generators = start[:, 0, 0], [_generator(draw) for draw in draws]
        masks, chances = [lines], [torch.zeros((0, *lines.shape), device=lines.device)]
        for num_decisions in range(self.budget):
            observation = self._observe(measure, lines, num_decisions)
            chosen = self.policy.choose(observation, generators)
            if bool(lines.gather(-1, chosen[:, None]).any()):
                raise DataError(f"a policy chose a measured line, one of {chosen.tolist()}; it may choose free ones")
            chances.append(line_chances(self.policy, observation, chosen)[None])
            lines = lines.scatter(-1, chosen[:, None], True)
            masks.append(lines)
        output = self._reconstruct(measure, lines)
        own = {
            "mask": lines[:, None, None].float(),
            "masks": torch.stack(masks).float(),
            "probabilities": torch.cat(chances),
        }
        return output._replace(extras={**output.extras, **own})

    @torch.no_grad()
    def _observe(self, measure: Measure, lines: torch.Tensor, num_decisions: int) -> Observation:
        if getattr(self.policy, "ignores_image", False):
            image, kspace = torch.zeros((len(lines), 0, 1, lines.shape[-1]), device=lines.device), None
        else:
            output = self._reconstruct(measure, lines)
            image, kspace = image_of(output)[:, None], output.kspace
        counts = torch.full((len(lines),), num_decisions, device=lines.device)
        return Observation(reconstruction=image, mask=lines, is_free=~lines, num_decisions=counts, kspace=kspace)

    def _reconstruct(self, measure: Measure, lines: torch.Tensor) -> Output:
        mask = lines[:, None, None]
        centers = torch.from_numpy(center_sizes(lines.numpy(force=True))).to(lines.device)
        return compute(self.reconstructor, measure(mask), mask, centers)

    def _check(self, start: torch.Tensor) -> None:
        if start.shape[-2] != 1:
            raise DataError("a policy measures whole lines, found a start of two directions; a line mask would do")
        num_free = start.shape[-1] - int(start.sum(-1).max())
        if self.budget > num_free:
            raise DataError(
                f"a budget of {self.budget} lines is more than the {num_free} of {start.shape[-1]} columns that are "
                f"free; a smaller budget or fewer lines at the start would do"
            )


def _generator(draw: Draw) -> np.random.Generator:
    """A generator that depends on the next numbers of a draw alone."""
    return generator(
        *(int(number) for number in np.asarray(draw(4), np.float64) * 2**24)
    )  # float32 numbers have 24 bits
