"""The score of a submission, as the SNU challenge's leaderboard has it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mrikit.evaluate.rows import VolumeScore
from mrikit.evaluate.scorers import SCORERS
from mrikit.storage import Location
from mrikit.volumes.reconstruction import Reconstruction

_FOLDER = re.compile(r"acc(\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaderboardScore:
    """SSIM of one submission: the mean over all slices at each acceleration, and the mean of these."""

    name: str
    """Of the folder, or folders, of reconstructions."""
    accelerations: tuple[tuple[float, float], ...]
    """Nominal acceleration and the mean SSIM of its slices, lowest acceleration first."""
    mean: float

    @property
    def line(self) -> str:
        """All of it in words."""
        parts = [f"acc{acceleration:g} {ssim:.4f}" for acceleration, ssim in self.accelerations]
        return ", ".join([*parts, f"mean {self.mean:.4f}"] if len(parts) > 1 else parts)


def leaderboard(rows: Mapping[str, Sequence[VolumeScore]]) -> list[LeaderboardScore]:
    """The score of each submission under a scorer that counts slices, best first; none under another scorer.

    Folders none of which has a volume of another one, such as one for each acceleration, are one submission; folders
    that share volumes are rivals, and each is one of its own.

    Args:
        rows: Scored volumes of each folder, by its name.
    """
    counted = {name: found for name, found in rows.items() if found and SCORERS[found[0].scorer].is_leaderboard}
    done = {name: [(row.path, row.acceleration) for row in found] for name, found in counted.items()}
    entries = [
        _score(", ".join(names), [row for name in names for row in counted[name]]) for names in submissions(done)
    ]
    return sorted(entries, key=lambda entry: -entry.mean)


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


def _score(name: str, rows: Iterable[VolumeScore]) -> LeaderboardScore:
    slices: dict[float, list[float]] = {}
    for row in rows:
        slices.setdefault(row.acceleration, []).extend(row.slice_ssim)
    means = tuple((acceleration, float(np.mean(found))) for acceleration, found in sorted(slices.items()))
    return LeaderboardScore(name=name, accelerations=means, mean=float(np.mean([ssim for _, ssim in means])))
