"""PolicyMethod: a policy and a reconstructor as one adaptive method."""

import time
from collections.abc import Callable, Sequence
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

Look = Callable[[torch.Tensor], Output]
"""(batch, phase) bool lines of each slice of a batch to what is reconstructed of them."""


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
            What `choose_lines` returns.

        Raises:
            DataError: A start of two directions, a budget larger than the free columns, or a line chosen twice.
        """
        if start.shape[-2] != 1:
            raise DataError("a policy measures whole lines, found a start of two directions; a line mask would do")

        def look(lines: torch.Tensor) -> Output:
            mask = lines[:, None, None]
            return compute(self.reconstructor, measure(mask), mask, centers_of(lines))

        return choose_lines(self.policy, look, start[:, 0, 0], draws, self.budget)


def choose_lines(
    policy: Policy,
    look: Look,
    start: torch.Tensor,
    draws: Sequence[Draw],
    budget: int,
    *,
    is_acquired: torch.Tensor | None = None,
) -> Output:
    """Look, choose, measure, until the budget is spent; and look once more.

    Args:
        policy: One that `ignores_image` is shown none.
        look: Makes the images.
        start: (batch, phase) bool, measured before the first decision.
        draws: One for each batch element; the policy's generator of that element is made of it.
        budget: Lines to choose.
        is_acquired: (batch, phase) bool, lines that the scanner can measure; all if None.

    Returns:
        What is reconstructed of all lines in the end, with the extras of `mrikit.models.adaptive.AdaptiveMethod`, and
        `seconds` (num_decisions, batch) float32, what each decision took, the image that it needs with it: of a batch
        each has its share; `images` (num_images, batch, y, x) float32 that were looked at, none where none was.

    Raises:
        DataError: A budget larger than the free columns, or a line that is measured or cannot be chosen.
    """
    can_measure = torch.ones_like(start) if is_acquired is None else is_acquired
    _require_free(start, can_measure, budget)
    lines, generators, clock = start, [_generator(draw) for draw in draws], _Clock(start.device)
    masks, chances, seconds, images = [lines], list[torch.Tensor](), list[float](), list[torch.Tensor]()
    for num_decisions in range(budget):
        clock.start()
        observation = _observe(policy, look, lines, can_measure, num_decisions)
        chosen = policy.choose(observation, generators)
        seconds.append(clock.stop() / len(lines))
        if not bool(observation.is_free.gather(-1, chosen[:, None]).all()):
            raise DataError(f"a policy chose a measured line, one of {chosen.tolist()}; it may choose free ones")
        if not _ignores(policy):
            images.append(observation.reconstruction[:, 0])
        chances.append(line_chances(policy, observation, chosen))
        lines = lines.scatter(-1, chosen[:, None], True)
        masks.append(lines)
    output = look(lines)
    none = torch.zeros((0, *lines.shape), device=lines.device)
    own = {
        "mask": lines[:, None, None].float(),
        "masks": torch.stack(masks).float(),
        "probabilities": torch.stack(chances) if chances else none,
        "seconds": torch.tensor(seconds).float()[:, None].expand(-1, len(lines)),
        "images": torch.stack(images) if images else none[:, :, None],
    }
    return output._replace(extras={**output.extras, **own})


def centers_of(lines: torch.Tensor) -> torch.Tensor:
    """(batch,) int64 centre lines of (batch, phase) bool."""
    return torch.from_numpy(center_sizes(lines.numpy(force=True))).to(lines.device)


class _Clock:
    """Seconds that pass on a device, also where that works on its own."""

    def __init__(self, device: torch.device) -> None:
        self._is_cuda = device.type == "cuda"
        self._begin = 0.0

    def start(self) -> None:
        self._begin = self._now()

    def stop(self) -> float:
        return self._now() - self._begin

    def _now(self) -> float:
        if self._is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter()


@torch.no_grad()
def _observe(
    policy: Policy, look: Look, lines: torch.Tensor, can_measure: torch.Tensor, num_decisions: int
) -> Observation:
    if _ignores(policy):
        image, kspace = torch.zeros((len(lines), 0, 1, lines.shape[-1]), device=lines.device), None
    else:
        output = look(lines)
        image, kspace = image_of(output)[:, None].float(), output.kspace
    counts = torch.full((len(lines),), num_decisions, device=lines.device)
    free = can_measure & ~lines
    return Observation(reconstruction=image, mask=lines, is_free=free, num_decisions=counts, kspace=kspace)


def _ignores(policy: Policy) -> bool:
    return bool(getattr(policy, "ignores_image", False))


def _require_free(start: torch.Tensor, can_measure: torch.Tensor, budget: int) -> None:
    num_free = int((can_measure & ~start).sum(-1).min())
    if budget > num_free:
        raise DataError(
            f"a budget of {budget} lines is more than the {num_free} of {start.shape[-1]} columns that are free; a "
            f"smaller budget or fewer lines at the start would do"
        )


def _generator(draw: Draw) -> np.random.Generator:
    """A generator that depends on the next numbers of a draw alone."""
    return generator(
        *(int(number) for number in np.asarray(draw(4), np.float64) * 2**24)
    )  # float32 numbers have 24 bits
