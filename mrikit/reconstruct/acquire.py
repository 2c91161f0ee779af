"""Full k-space as the scanner of a method that chooses its lines itself."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import torch

from mrikit.data import MaskPlan, ScanBatch, undersample_by
from mrikit.masks import AcquiredRegion, Mask
from mrikit.masks.mask import acquired_over_measured, center_size, cut
from mrikit.models.adaptive import AdaptiveMethod, keyed_draws, scan_of
from mrikit.models.output import Output, image_of
from mrikit.models.precision import autocast
from mrikit.reconstruct.forward_clock import ForwardClock
from mrikit.reconstruct.method import Method
from mrikit.reconstruct.slices import Acquired, Slice, in_parts, joined, slices_of

ADAPTIVE_KIND = "adaptive"
"""Kind of the mask of a volume whose slices were measured each by lines of its own."""


@torch.inference_mode()
def acquire_slices(
    scan: ScanBatch, method: Method, start: npt.NDArray[np.bool_], clock: ForwardClock | None
) -> list[Slice]:
    """What a method measures of slices, and makes of it. Its chance depends on volume and slice alone.

    Args:
        scan: Full k-space.
        method: Its model is a `mrikit.models.adaptive.AdaptiveMethod`.
        start: (phase,) lines that are measured before the first decision.
        clock: Times measuring and reconstructing together.
    """
    kspace = scan.kspace[:, scan.kspace.shape[1] // 2]
    begin = torch.from_numpy(start).to(kspace.device).expand(len(kspace), 1, 1, -1)
    keys = [(one.volume_id, one.slice_index, "acquire") for one in scan.facts]  # as in validation
    model = cast("AdaptiveMethod", method.model)

    def work(part: slice) -> Output:
        with autocast(kspace.device, method.precision):
            found = model.acquire(scan_of(kspace[part]), begin[part], keyed_draws(keys[part]))
        return found._replace(image=image_of(found).float())

    def forward() -> list[Output]:
        return in_parts(len(kspace), work)

    parts = clock.time(forward) if clock else forward()
    lines = torch.cat([part.extras["mask"] for part in parts]) > 0
    example = undersample_by(scan, lines, begin.flatten(1).sum(1), keeps_full=True)
    output = Output(joined([part.image for part in parts]), joined([part.kspace for part in parts]))
    acquired = _acquired(parts, draws=getattr(method.model.config, "decides", "draw") == "draw")
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


def _acquired(parts: Sequence[Output], *, draws: bool) -> list[Acquired]:
    """Of each slice; where nothing is drawn the choice itself is how likely it was."""
    found = []
    for part in parts:
        masks = part.extras["masks"]
        chances = part.extras["probabilities"] if draws else masks[1:] - masks[:-1]
        found += [
            Acquired(lines, of_slice)
            for lines, of_slice in zip(
                (masks[-1] > 0).cpu().numpy(), chances.transpose(0, 1).float().cpu().numpy(), strict=True
            )
        ]
    return found
