"""The score of a submission, as the SNU challenge's leaderboard has it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mrikit.evaluate.rows import VolumeScore
from mrikit.evaluate.scorers import SCORERS
from mrikit.storage import Location
from mrikit.volumes.reconstruction import Reconstruction

_FOLDER = re.compile(r"acc(\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaderboardScore:
    """SSIM of one submission: the mean over all slices at each acceleration, and the mean of these; so of boxes too."""

    name: str
    """Of the folder, or folders, of reconstructions."""
    scorer: str
    """Name of the definition of the score."""
    accelerations: tuple[tuple[float, float], ...]
    """Nominal acceleration and the mean SSIM of its slices that count, lowest acceleration first."""
    mean: float
    boxes: tuple[tuple[float, float, int], ...] = ()
    """Nominal acceleration, the mean SSIM of its boxes, and their number; empty if none was scored."""
    box_mean: float | None = None
    ms_per_slice: float | None = None
    """Mean time of a forward pass over the slices of all accelerations, milliseconds; None if none was timed."""
    num_timed: int = 0
    """Slices of that mean."""

    @property
    def line(self) -> str:
        """All of it in words."""
        words = _in_words([(f"acc{acceleration:g}", ssim, "") for acceleration, ssim in self.accelerations], self.mean)
        if self.box_mean is not None:
            boxes = [(f"acc{acceleration:g}", ssim, f" of {number}") for acceleration, ssim, number in self.boxes]
            words += f"; boxes {_in_words(boxes, self.box_mean)}"
        if self.ms_per_slice is not None:
            words += f"; {self.ms_per_slice:.1f} ms a slice over {self.num_timed}"
        elif SCORERS[self.scorer].is_inside:
            words += "; not timed (mrikit reconstruct --timed)"
        return words


def leaderboard(rows: Mapping[str, Sequence[VolumeScore]]) -> list[LeaderboardScore]:
    """The score of each submission under each scorer that counts slices, best first; none under other scorers.

    Folders none of which has a volume of another one, such as one for each acceleration, are one submission; folders
    that share volumes are rivals, and each is one of its own.

    Args:
        rows: Scored volumes of each folder, by its name.
    """
    entries = []
    for scorer in [name for name in SCORERS if SCORERS[name].is_leaderboard]:
        counted = {name: [row for row in found if row.scorer == scorer] for name, found in rows.items()}
        done = {name: [(row.path, row.acceleration) for row in found] for name, found in counted.items() if found}
        scored = [_score(names, [row for name in names for row in counted[name]]) for names in submissions(done)]
        entries += sorted(scored, key=lambda entry: -entry.mean)
    return entries


def leaderboard_lines(entries: Sequence[LeaderboardScore]) -> list[str]:
    """A line for each entry: with its name where it has rivals, and with its scorer where there are several."""
    num_scorers = len({entry.scorer for entry in entries})
    lines = []
    for entry in entries:
        is_one_of_several = sum(other.scorer == entry.scorer for other in entries) > 1
        words = [*([entry.scorer] if num_scorers > 1 else ()), *([entry.name] if is_one_of_several else ()), entry.line]
        lines.append(": ".join(words))
    return lines


def folder_acceleration(path: Location) -> float | None:
    """The acceleration that the nearest folder named as the challenge does says, such as `acc4`; None without one."""
    *folders, _ = str(path.resolve()).split("/")
    found = (named_acceleration(folder) for folder in reversed(folders))
    return next((acceleration for acceleration in found if acceleration is not None), None)


def named_acceleration(name: str) -> float | None:
    """The acceleration that the name of a folder says, such as `acc4`; None if it says none."""
    match = _FOLDER.fullmatch(name)
    return float(match[1]) if match else None


def group_acceleration(path: Location, reconstruction: Reconstruction, scorer: str) -> float:
    """What the scores of a volume are grouped by: its nominal acceleration, as near as it is known.

    Args:
        path: File of the volume, whose folder says it under a scorer of a leaderboard.
        reconstruction: Its mask says it where it was drawn; of one that was stored it is an estimate.
        scorer: A name of `SCORERS`.
    """
    mask = reconstruction.mask
    if mask.kind != "stored":
        return mask.acceleration
    named = folder_acceleration(path) if SCORERS[scorer].is_leaderboard else None
    # An estimate differs a little from volume to volume.
    return named or float(round(mask.acceleration))


def submissions(done: Mapping[str, Sequence[tuple[str, float | None]]]) -> list[tuple[str, ...]]:
    """Which folders are one submission: all of them, or each of its own where some share volumes.

    Args:
        done: Path and acceleration of each volume that a folder has, by the folder's name.
    """
    volumes = [volume for found in done.values() for volume in found]
    if len(set(volumes)) < len(volumes):
        return [(name,) for name in done]
    return [tuple(done)] if done else []


def _score(names: Sequence[str], rows: Sequence[VolumeScore]) -> LeaderboardScore:
    slices: dict[float, list[float]] = {}
    boxes: dict[float, list[float]] = {}
    for row in rows:
        slices.setdefault(row.acceleration, []).extend(ssim for ssim in row.slice_ssim if ssim is not None)
        if row.boxes:
            boxes.setdefault(row.acceleration, []).extend(box.ssim for box in row.boxes)
    means = tuple((acceleration, float(np.mean(found))) for acceleration, found in sorted(slices.items()))
    box_means = tuple(
        (acceleration, float(np.mean(found)), len(found)) for acceleration, found in sorted(boxes.items())
    )
    num_timed, seconds = sum(row.num_timed for row in rows), sum(row.forward_seconds for row in rows)
    return LeaderboardScore(
        name=", ".join(names),
        scorer=rows[0].scorer,
        accelerations=means,
        mean=float(np.mean([ssim for _, ssim in means])),
        boxes=box_means,
        ms_per_slice=1000 * seconds / num_timed if num_timed else None,
        num_timed=num_timed,
        box_mean=float(np.mean([ssim for _, ssim, _ in box_means])) if box_means else None,
    )


def _in_words(parts: Sequence[tuple[str, float, str]], mean: float) -> str:
    words = [f"{name} {ssim:.4f}{number}" for name, ssim, number in parts]
    return ", ".join([*words, f"mean {mean:.4f}"] if len(parts) > 1 else words)
