"""Panels: one slice as reference, zero-filled and by every model, with its errors."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.evaluate import (
    SliceScore,
    VolumeScore,
    label_reconstructions,
    read_pair,
    sorted_slices,
)
from mrikit.report.collect import ReconFolder, list_unscored
from mrikit.report.picture import error_picture, gray_picture
from mrikit.report.tables import Section
from mrikit.storage import recorded_location, shown
from mrikit.volumes.reconstruction import Reconstruction, read_reconstruction

ZERO_FILLED = "zero_filled"
ERROR_GAINS = (20, 10, 5, 2)
MAX_UNSCORED = 6
WHITE_QUANTILE = 0.995


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One column of a panel."""

    name: str
    image: str
    """Data URI."""
    error: str | None = None
    """Data URI; None for the reference, or without one."""
    ssim: float | None = None
    """SSIM of this slice; None if it was not scored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One slice in all its reconstructions."""

    label: str
    """What it stands for, such as `Worst`."""
    volume_id: str
    slice_index: int = 0
    num_slices: int = 0
    acquisition: str | None = None
    acceleration: float | None = None
    pictures: tuple[Picture, ...] = ()
    error_gain: int = 1
    """By how much errors are brighter than images."""
    problem: str | None = None
    """Why there are no pictures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A scored volume and the file with its reconstruction."""

    row: VolumeScore
    file: Path


def scored_panels(section: Section, folders: Sequence[ReconFolder]) -> list[Panel]:
    """The best, median and worst slice of the best run, by all runs of a section, from worst to best."""
    labels = [line.summary.label for line in reversed(section.lines)]
    sources = sources_of(section, folders)
    slices = sorted_slices(source.row for source in sources if source.row.label == section.best)
    chosen = {"Best": slices[-1], "Median": slices[len(slices) // 2], "Worst": slices[0]}
    return [_scored_panel(rank, entry, sources, labels) for rank, entry in chosen.items()]


def sources_of(section: Section, folders: Sequence[ReconFolder]) -> list[Source]:
    """The scored volumes of a section with the reconstructions of its runs."""
    labels = {line.summary.label for line in section.lines}
    return [
        Source(row=row, file=folder.path / row.reconstruction)
        for folder in folders
        for row in folder.rows
        if (row.acceleration, row.scorer) == (section.acceleration, section.scorer)
        and row.label in labels
        and row.path in section.volumes
    ]


def unscored_panels(folders: Sequence[ReconFolder]) -> list[Panel]:
    """The middle slice of volumes without a score, by every run; a few of them if there are many."""
    files: dict[tuple[str, str], dict[Path, None]] = {}
    for folder in folders:
        for volume in list_unscored(folder):
            key = (str(folder.run.get("data")), volume.volume_id)
            if volume.reconstruction and (key in files or len(files) < MAX_UNSCORED):
                # A folder comes once for each scorer.
                files.setdefault(key, {})[folder.path / volume.reconstruction] = None
    return [panel for members in files.values() for panel in _unscored_panels([*members])]


def _scored_panel(rank: str, chosen: SliceScore, sources: Iterable[Source], labels: Sequence[str]) -> Panel:
    row, index = chosen.row, chosen.slice_index
    facts: dict[str, Any] = {
        "label": rank,
        "volume_id": row.volume_id,
        "slice_index": index,
        "num_slices": row.num_slices,
        "acquisition": row.acquisition,
        "acceleration": row.acceleration,
    }
    same = [entry for entry in sources if entry.row.path == row.path]
    same.sort(key=lambda entry: labels.index(entry.row.label))
    try:
        pairs = {entry.row.label: read_pair(recorded_location(row.path), entry.file, row.volume_id) for entry in same}
    except DataError as error:
        return Panel(**facts, problem=shown(error))
    best = pairs[row.label]
    if best.reference is None:
        return Panel(**facts, problem=f"{row.path}: the file has no reference image any more")
    # Those at another matrix have an image and a reference of another size.
    pairs = {label: pair for label, pair in pairs.items() if pair.image.shape == best.image.shape}
    reference = best.reference[index]
    # Skin beside a coil is several times brighter than anything else; it may saturate.
    top = float(np.quantile(reference, WHITE_QUANTILE))
    gain = error_gain(best.image[index] - reference, top)
    scores = {entry.row.label: entry.row.slice_ssim[index] for entry in same}
    images = {ZERO_FILLED: best.zero_filled[index]} | {label: pair.image[index] for label, pair in pairs.items()}
    pictures = [
        Picture(
            name=readable(label),
            image=gray_picture(image, top),
            error=error_picture(np.abs(image - reference), top / gain),
            ssim=scores.get(label),
        )
        for label, image in images.items()
    ]
    return Panel(
        **facts, pictures=(Picture(name="reference", image=gray_picture(reference, top)), *pictures), error_gain=gain
    )


def _unscored_panels(files: Sequence[Path]) -> list[Panel]:
    """One panel of a volume for each acceleration; files that cannot be read are named instead."""
    found: dict[float, list[Reconstruction]] = {}
    for file in files:
        try:
            reconstruction = read_reconstruction(file)
        except DataError as error:
            return [Panel(label="Middle", volume_id=file.stem, problem=shown(error))]
        found.setdefault(reconstruction.mask.acceleration, []).append(reconstruction)
    return [_unscored_panel(acceleration, members) for acceleration, members in sorted(found.items())]


def _unscored_panel(acceleration: float, members: Sequence[Reconstruction]) -> Panel:
    first = members[0]
    index = len(first.image) // 2
    images = {ZERO_FILLED: first.zero_filled[index]}
    images |= {label: one.image[index] for label, one in zip(label_reconstructions(members), members, strict=True)}
    # Without a reference the brightest pixel may be an artefact.
    top = float(np.quantile(members[-1].image[index], WHITE_QUANTILE))
    return Panel(
        label="Middle",
        volume_id=first.volume_id,
        slice_index=index,
        num_slices=len(first.image),
        acceleration=acceleration,
        pictures=tuple(
            Picture(name=readable(label), image=gray_picture(image, top)) for label, image in images.items()
        ),
    )


def error_gain(error: npt.NDArray[Any], top: float) -> int:
    """The largest gain that leaves nearly all errors inside the colours."""
    typical = float(np.quantile(np.abs(error), 0.995))
    return next((gain for gain in ERROR_GAINS if gain * typical <= top), 1)


def readable(label: str) -> str:
    """The label of a run for people."""
    return label.replace("_", " ")
