"""Slices to images: what a model is given, with mirror images, and in parts where memory does not suffice."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from mrikit.data import Example, center_crop, network_inputs
from mrikit.metrics import kspace_energies
from mrikit.models.classical import ZeroFilled, ZeroFilledConfig
from mrikit.models.output import Output, compute, image_of
from mrikit.models.precision import autocast
from mrikit.reconstruct.flips import FLIPS, mirror, mirror_inputs
from mrikit.reconstruct.forward_clock import ForwardClock
from mrikit.reconstruct.method import Method
from mrikit.volumes.decisions import Decisions

Inputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Masked k-space, mask and number of centre lines, as models take them."""

_T = TypeVar("_T")
_ZERO_FILLED = ZeroFilled(ZeroFilledConfig())


class Acquired(NamedTuple):
    """What a method chose to measure of one slice."""

    lines: npt.NDArray[np.bool_]
    """(phase,) in the end."""
    chances: npt.NDArray[np.float32]
    """(decision, phase) in [0, 1], how likely each line was to be chosen."""
    decisions: Decisions
    """Of this slice alone, and a film of it."""


class Slice(NamedTuple):
    """(y, x) float32 of one slice in the scored window, and what is known of its k-space."""

    image: npt.NDArray[np.float32]
    zero_filled: npt.NDArray[np.float32]
    reference: npt.NDArray[np.float32]
    """Empty unless it was asked for."""
    energies: tuple[float, float] | None
    """Of the error of k-space and of full k-space; None where one of them is not known, or has other coils."""
    acquired: Acquired | None = None
    """None where the mask was known before."""

    @property
    def without_film(self) -> "Slice":
        """The same without the images after some of its decisions."""
        if self.acquired is None or self.acquired.decisions.film is None:
            return self
        rest = replace(self.acquired.decisions, film=None, film_steps=None)
        return self._replace(acquired=self.acquired._replace(decisions=rest))

    @property
    def transposed(self) -> "Slice":
        """The same with y and x swapped."""
        image, zero_filled, reference = (np.ascontiguousarray(one.T) for one in self[:3])
        return self._replace(image=image, zero_filled=zero_filled, reference=reference)


@torch.inference_mode()
def reconstruct_slices(example: Example, method: Method, clock: ForwardClock | None) -> list[Slice]:
    """What a method makes of slices whose mask is known."""
    inputs = network_inputs(example, crops_before=method.crops_before)

    def forward() -> Output:
        made = [_mirrored(_output(method, mirror_inputs(inputs, dims)), dims) for dims in _flips(method)]
        image = torch.stack([image_of(one) for one in made]).mean(0)
        kspaces = [one.kspace for one in made if one.kspace is not None]
        return Output(image, torch.stack(kspaces).mean(0) if kspaces and example.full_kspace is not None else None)

    return slices_of(clock.time(forward) if clock else forward(), example)


def slices_of(output: Output, example: Example) -> list[Slice]:
    """Slices in the scored window, beside what their measurement shows without a reconstruction."""
    image, zero_filled = (
        center_crop(full, example.crop).cpu().numpy()
        for full in (image_of(output), _ZERO_FILLED(*_without_neighbours(network_inputs(example))))
    )
    reference = None if example.reference is None else example.reference.cpu().numpy()
    energies = _energies(output.kspace, example.full_kspace)
    return [
        Slice(
            image=image[position],
            zero_filled=zero_filled[position],
            reference=np.empty(0, np.float32) if reference is None else reference[position],
            energies=energies[position] if energies else None,
        )
        for position in range(len(image))
    ]


def in_parts(size: int, work: Callable[[slice], _T]) -> list[_T]:
    """`work` on all of a batch; where memory does not suffice, on half as many slices at a time, down to one."""
    step = size
    while True:
        try:
            return [work(slice(first, min(first + step, size))) for first in range(0, size, step)]
        except torch.OutOfMemoryError:
            if step == 1:
                raise
            step = (step + 1) // 2


def joined(parts: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    """Parts of a batch together; None if they are nothing."""
    found = [part for part in parts if part is not None]
    return torch.cat(found) if found else None


def _flips(method: Method) -> tuple[tuple[int, ...], ...]:
    return FLIPS if method.flips else FLIPS[:1]


def _output(method: Method, inputs: Inputs) -> Output:
    """(batch, y, x) float32 image, and k-space of a model that fills it."""

    def work(part: slice) -> Output:
        # Each thread needs its own: autocast belongs to one.
        with autocast(inputs[0].device, method.precision):
            found = compute(method.model, inputs[0][part], inputs[1][part], inputs[2][part])
        return Output(image_of(found).float(), found.kspace)

    parts = in_parts(len(inputs[0]), work)
    return Output(joined([part.image for part in parts]), joined([part.kspace for part in parts]))


def _mirrored(output: Output, dims: tuple[int, ...]) -> Output:
    image, kspace = (None if one is None else mirror(one, dims) for one in (output.image, output.kspace))
    return Output(image, kspace)


def _energies(kspace: torch.Tensor | None, full: torch.Tensor | None) -> list[tuple[float, float]] | None:
    """Of each slice; None where there is nothing to compare, as with coils that a network has compressed."""
    if kspace is None or full is None or kspace.shape != full.shape:
        return None
    error, energy = kspace_energies(kspace, full)
    return list(zip(error.tolist(), energy.tolist(), strict=True))


def _without_neighbours(inputs: Inputs) -> Inputs:
    """The slices themselves, without a slice axis."""
    masked_kspace, mask, num_center_lines = inputs
    if masked_kspace.ndim == 4:
        return inputs
    return masked_kspace[:, masked_kspace.shape[1] // 2], mask[:, 0], num_center_lines
