"""Full k-space as the scanner of a method that chooses its lines itself."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt
import torch

from mrikit.data import MaskPlan, ScanBatch, center_crop, undersample_by
from mrikit.masks import AcquiredRegion, Mask
from mrikit.masks.mask import acquired_over_measured, center_size, cut
from mrikit.models.adaptive import AdaptiveMethod, Draw, keyed_draws, scan_of
from mrikit.models.output import Output, image_of
from mrikit.models.precision import autocast
from mrikit.reconstruct.forward_clock import ForwardClock
from mrikit.reconstruct.method import Method
from mrikit.reconstruct.slices import Acquired, Slice, in_parts, joined, slices_of
from mrikit.volumes.decisions import Decisions, steps_of

ADAPTIVE_KIND = "adaptive"
"""Kind of the mask of a volume whose slices were measured each by lines of its own."""


class ScanMethod(Protocol):
    """A model that acquires whole scans, because it has to know more of them than what it measures."""

    def acquire_scan(self, scan: ScanBatch, draws: Sequence[Draw]) -> Output:
        """Measure, decide, measure again, from a start of its own; and reconstruct.

        Args:
            scan: Full k-space with references, whose data range is the largest value of their volume.
            draws: One for each batch element. Decisions depend on nothing else that is random.

        Returns:
            As `mrikit.models.adaptive.AdaptiveMethod`, and these `extras`: `scores` (1 + num_decisions, batch, score)
            float32, by the names of `STEP_SCORES`; `seconds` (num_decisions, batch) float32 that each decision took;
            `frames` (frame, batch, y, x) float32 images and `frame_steps` (frame,) int64 after how many decisions.
        """
        ...


def is_scan_method(method: Method) -> bool:
    """Whether its model is a `ScanMethod`."""
    return hasattr(method.model, "acquire_scan")


@torch.inference_mode()
def acquire_slices(
    scan: ScanBatch, method: Method, start: npt.NDArray[np.bool_], clock: ForwardClock | None
) -> list[Slice]:
    """What a method measures of slices, and makes of it. Its chance depends on volume and slice alone.

    Args:
        scan: Full k-space.
        method: Its model is a `mrikit.models.adaptive.AdaptiveMethod`, or a `ScanMethod`.
        start: (phase,) lines that are measured before the first decision; a `ScanMethod` has its own.
        clock: Times measuring and reconstructing together.
    """
    keys = [(one.volume_id, one.slice_index, "acquire") for one in scan.facts]  # as in validation
    acquire = _of_scan(scan, method) if is_scan_method(method) else _of_lines(scan, method, start)

    def work(part: slice) -> Output:
        with autocast(scan.kspace.device, method.precision):
            found = acquire(part, keyed_draws(keys[part]))
        return found._replace(image=image_of(found).float())

    def forward() -> list[Output]:
        return in_parts(len(keys), work)

    parts = clock.time(forward) if clock else forward()
    masks = torch.cat([part.extras["masks"] for part in parts], 1)
    example = undersample_by(scan, masks[-1, :, None, None] > 0, masks[0].long().sum(1), keeps_full=True)
    output = Output(joined([part.image for part in parts]), joined([part.kspace for part in parts]))
    model = method.model
    acquired = _acquired(parts, example.crop, draws=getattr(model.config, "decides", "draw") == "draw")
    return [one._replace(acquired=found) for one, found in zip(slices_of(output, example), acquired, strict=True)]


def adaptive_mask(
    lines: Sequence[npt.NDArray[np.bool_]], plan: MaskPlan, region: AcquiredRegion
) -> tuple[Mask, npt.NDArray[np.bool_]]:
    """The facts of a volume whose slices have lines of their own, and (slice, phase) these lines.

    Returns:
        A Mask of the lines that all slices share, whose true acceleration is that of all slices together; and the lines
        of each without what the scanner filled with zeros.
    """
    inside = np.stack([cut(one, region) for one in lines])
    share = sum(1 / acquired_over_measured(one, region) for one in inside) / len(inside)
    common = np.asarray(inside.all(axis=0))
    mask = Mask(
        samples=common,
        kind=ADAPTIVE_KIND,
        acceleration=plan.acceleration,
        true_acceleration=1 / share,
        num_center_lines=center_size(common),
    )
    return mask, inside


_Acquire = Callable[[slice, Sequence[Draw]], Output]  # a part of a batch, and its chance


def _of_lines(scan: ScanBatch, method: Method, start: npt.NDArray[np.bool_]) -> _Acquire:
    kspace = scan.kspace[:, scan.kspace.shape[1] // 2]
    begin = torch.from_numpy(start).to(kspace.device).expand(len(kspace), 1, 1, -1)
    model = cast("AdaptiveMethod", method.model)
    return lambda part, draws: model.acquire(scan_of(kspace[part]), begin[part], draws)


def _of_scan(scan: ScanBatch, method: Method) -> _Acquire:
    model = cast("ScanMethod", method.model)

    def acquire(part: slice, draws: Sequence[Draw]) -> Output:
        reference, data_range = (None if one is None else one[part] for one in (scan.reference, scan.data_range))
        facts = scan.facts[part]
        some = replace(scan, kspace=scan.kspace[part], reference=reference, data_range=data_range, facts=facts)
        return model.acquire_scan(some, draws)

    return acquire


def _acquired(parts: Sequence[Output], crop: tuple[int, int], *, draws: bool) -> list[Acquired]:
    """Of each slice; where nothing is drawn the choice itself is how likely it was."""
    found = []
    for part in parts:
        extras = part.extras
        masks = extras["masks"]
        chances = extras["probabilities"] if draws else masks[1:] - masks[:-1]
        found += [
            Acquired(*of_slice, _decisions(part, place, crop))
            for place, of_slice in enumerate(
                zip((masks[-1] > 0).cpu().numpy(), chances.transpose(0, 1).float().cpu().numpy(), strict=True)
            )
        ]
    return found


def _decisions(part: Output, place: int, crop: tuple[int, int]) -> Decisions:
    """Of the one slice at a place of a batch; its film is that of this slice."""
    extras = part.extras
    steps = steps_of((extras["masks"][:, place] > 0).cpu().numpy())[None]
    if "scores" not in extras:
        return Decisions(steps=steps)
    return Decisions(
        steps=steps,
        scores=extras["scores"][:, place].cpu().numpy()[None],
        seconds=extras["seconds"][:, place].cpu().numpy()[None],
        film=center_crop(extras["frames"][:, place], crop).cpu().numpy(),
        film_steps=extras["frame_steps"].cpu().numpy().astype(np.int16),
    )
