"""SSIM inside boxes around lesions: what a reader looks at, which the mean over an image hardly sees."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import torch

from mrikit.evaluate.bootstrap import Interval, resample
from mrikit.evaluate.boxes import Box
from mrikit.evaluate.rows import BoxScore, VolumeScore
from mrikit.evaluate.scorers import Compared
from mrikit.evaluate.summary import group_rows
from mrikit.metrics import WINDOW, ssim_map

_RIM = WINDOW // 2


@dataclass(frozen=True, kw_only=True, slots=True)
class LesionSummary:
    """The boxes of one run at one acceleration, of one kind of lesion or of all."""

    label: str
    """As in `VolumeScore`."""
    acceleration: float
    lesion: str | None
    """As the boxes are labelled; None stands for all kinds together."""
    num_boxes: int
    num_volumes: int
    """Volumes with at least one of these boxes."""
    ssim: Interval
    """Mean over boxes; patients are resampled."""


def score_boxes(
    compared: Compared, boxes: Sequence[Box], volume_id: str, *, is_crop: bool = False
) -> tuple[tuple[BoxScore, ...], list[str]]:
    """The SSIM of each box, under the scorer's data range.

    Args:
        compared: Of the volume.
        boxes: In pixels of the window that is compared.
        volume_id: For the messages.
        is_crop: Whether a box is scored as an image of its own, as `_crop_ssim` does, or as a part, as `_part_ssims`.

    Returns:
        The boxes that could be scored, and a line about each kind that could not.
    """
    num_slices, height, width = compared.image.shape
    on_slices = [box for box in boxes if 0 <= box.slice_index < num_slices]
    flat = [box for box in on_slices if min(box.width, box.height) <= 0]
    solid = [box for box in on_slices if box not in flat]
    found = [_crop_ssim(compared, box) for box in solid] if is_crop else _part_ssims(compared, solid)
    scores = [BoxScore(**asdict(box), ssim=ssim) for box, ssim in zip(solid, found, strict=True) if ssim is not None]
    notes = []
    if len(on_slices) < len(boxes):
        wrong = next(box.slice_index for box in boxes if box not in on_slices)
        lacking = f"that it lacks, such as {wrong}; it has 0 to {num_slices - 1}"
        notes.append(f"{len(boxes) - len(on_slices)} boxes of {volume_id} lie on slices {lacking}")
    if flat:
        size = f"{flat[0].width:g} x {flat[0].height:g} pixels (width x height)"
        notes.append(f"{len(flat)} boxes of {volume_id} have no area, such as one of {size}")
    if len(scores) < len(solid):
        covered = f"lie outside the image, whose rows {_RIM} to {height - _RIM - 1} and columns {_RIM} to "
        covered += f"{width - _RIM - 1} have an SSIM"
        small = f"have a side below {WINDOW} pixels inside the image, which the rules skip"
        notes.append(f"{len(solid) - len(scores)} boxes of {volume_id} {small if is_crop else covered}")
    return tuple(scores), notes


def summarise_lesions(rows: Iterable[VolumeScore], *, seed: int = 0) -> list[LesionSummary]:
    """Means over boxes with 95 % bootstrap intervals for each run and acceleration: all kinds first, then each.

    Args:
        rows: Scored volumes, labelled; those without boxes count nothing.
        seed: Of the resampling.
    """
    summaries = []
    for (acceleration, label), members in group_rows(rows, lambda row: (row.acceleration, row.label)):
        boxes = [(row, box) for row in members for box in row.boxes]
        for lesion in [None, *sorted({box.label for _, box in boxes})] if boxes else []:
            chosen = [(row, box) for row, box in boxes if lesion in (None, box.label)]
            patients = [row.patient_id or row.path for row, _ in chosen]
            (ssim,) = resample(patients, [[box.ssim] for _, box in chosen], [1.0] * len(chosen), seed)
            summaries.append(
                LesionSummary(
                    label=label,
                    acceleration=acceleration,
                    lesion=lesion,
                    num_boxes=len(chosen),
                    num_volumes=len({row.path for row, _ in chosen}),
                    ssim=ssim,
                )
            )
    return summaries


def _crop_ssim(compared: Compared, box: Box) -> float | None:
    """Mean of the SSIM map of the box alone, without a mask; None where less than a window of it is in the image.

    So the SNU challenge has it since 2026: no window sees a pixel beside the box.
    """
    height, width = compared.image.shape[1:]
    rows, columns = _pixels(box.y, box.height, height), _pixels(box.x, box.width, width)
    image, reference = (values[box.slice_index, rows, columns] for values in (compared.image, compared.reference))
    if min(image.shape) < WINDOW:
        return None
    return float(ssim_map(image[None], reference[None], compared.data_range).mean(dtype=torch.float64))


def _part_ssims(compared: Compared, boxes: Sequence[Box]) -> list[float | None]:
    """Mean SSIM of the 7 x 7 windows whose middle lies in each box, under the scorer's own mask.

    So a box smaller than a window is scored too, and sees 3 pixels around itself. A box that reaches beyond the image
    counts with the part inside; the 3 outermost pixels are the middle of no window.
    """
    slices = sorted({box.slice_index for box in boxes})
    maps = _maps(compared, slices) if slices else {}
    height, width = (size - 2 * _RIM for size in compared.image.shape[1:])
    parts = [
        maps[box.slice_index][
            _pixels(box.y - _RIM, box.height, height),
            _pixels(box.x - _RIM, box.width, width),
        ]
        for box in boxes
    ]
    return [float(part.mean(dtype=torch.float64)) if part.numel() else None for part in parts]


def _maps(compared: Compared, slices: Sequence[int]) -> dict[int, torch.Tensor]:
    """SSIM map of some slices."""
    index = torch.tensor(slices)
    image, reference = compared.image[index], compared.reference[index]
    if compared.mask is not None:
        image, reference = image * compared.mask[index], reference * compared.mask[index]
    return dict(zip(slices, ssim_map(image, reference, compared.data_range), strict=True))


def _pixels(start: float, size: float, num_pixels: int) -> slice:
    """The pixels, along one axis, that a box touches."""
    first, last = math.floor(start), math.ceil(start + size)
    return slice(max(first, 0), max(min(last, num_pixels), 0))
