"""Folders whose lines a policy chose, and a film strip of one slice of each: what is seen after some of the lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.evaluate import FolderCurve, VolumeScore, read_pair
from mrikit.physics.crop import center_crop
from mrikit.report.collect import ReconFolder
from mrikit.report.panels import WHITE_QUANTILE, readable
from mrikit.report.picture import gray_picture
from mrikit.storage import recorded_location, shown
from mrikit.volumes.decisions import Decisions


@dataclass(frozen=True, kw_only=True, slots=True)
class AcquiredFolder:
    """The volumes of a folder at one acceleration, whose lines a policy chose."""

    path: Path
    label: str
    """As in `VolumeScore`."""
    rows: tuple[VolumeScore, ...]
    curve: FolderCurve


@dataclass(frozen=True, kw_only=True, slots=True)
class StripFrame:
    """A slice after some decisions."""

    image: str
    """Data URI."""
    lines: str
    """Data URI of one row of pixels, white where measured; empty of the reference."""
    caption: str
    score: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Strip:
    """One slice over the decisions of one policy."""

    name: str
    volume_id: str
    slice_index: int
    frames: tuple[StripFrame, ...] = ()
    problem: str | None = None
    """Why there are no frames."""


def acquired_folders(folders: Sequence[ReconFolder]) -> list[AcquiredFolder]:
    """Those whose lines a policy chose, each once, whatever scored it; that of the largest area first."""
    found = {}
    for folder in folders:
        for curve in folder.scores.curves if folder.scores else ():
            rows = tuple(row for row in folder.rows if row.acceleration == curve.acceleration)
            key = (folder.path, curve.acceleration, curve.ssim.num_lines)
            found[key] = AcquiredFolder(path=folder.path, label=rows[0].label, rows=rows, curve=curve)
    return sorted(found.values(), key=lambda one: (-one.curve.ssim.area.mean, one.label))


def draw_strips(folders: Sequence[AcquiredFolder]) -> list[Strip]:
    """A strip of the same slice by every policy, as far as each did its volume."""
    shared = set.intersection(*({row.volume for row in folder.rows} for folder in folders)) if folders else set()
    return [_strip(folder, _chosen(folder, shared)) for folder in folders]


def _chosen(folder: AcquiredFolder, shared: set[tuple[str, str]]) -> VolumeScore:
    rows = sorted((row for row in folder.rows if not shared or row.volume in shared), key=lambda row: row.volume)
    return rows[len(rows) // 2]


def _strip(folder: AcquiredFolder, row: VolumeScore) -> Strip:
    index = row.num_slices // 2
    name = readable(folder.label)
    try:
        pair = read_pair(recorded_location(row.path), folder.path / row.reconstruction, row.volume_id)
    except DataError as error:
        return Strip(name=name, volume_id=row.volume_id, slice_index=index, problem=shown(error))
    decisions, reference = pair.reconstruction.decisions, pair.reference
    if decisions is None or decisions.film is None or reference is None:
        problem = "the reconstruction has no film, or its file no reference any more"
        return Strip(name=name, volume_id=row.volume_id, slice_index=index, problem=problem)
    top = float(np.quantile(reference[index], WHITE_QUANTILE))
    frames = _frames(decisions, index, reference[index].shape, top)
    last = StripFrame(image=gray_picture(reference[index], top), lines="", caption="reference", score="")
    return Strip(name=name, volume_id=row.volume_id, slice_index=index, frames=(*frames, last))


def _frames(decisions: Decisions, index: int, window: tuple[int, ...], top: float) -> list[StripFrame]:
    assert decisions.film is not None
    assert decisions.film_steps is not None
    assert decisions.scores is not None
    frames = []
    for image, step in zip(decisions.film, decisions.film_steps.tolist(), strict=True):
        measured = (decisions.steps[index] >= 0) & (decisions.steps[index] <= step)
        frames.append(
            StripFrame(
                image=gray_picture(center_crop(image, (window[0], window[1])), top),
                lines=gray_picture(_row(measured), 1.0),
                caption=f"{measured.sum()} lines",
                score=f"{decisions.scores[index, step, 0]:.4f}",
            )
        )
    return frames


def _row(measured: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """(1, columns) with two pixels for each column, so that a screen makes no stripes of them."""
    return np.atleast_2d(measured.repeat(2)).astype(np.float32)
