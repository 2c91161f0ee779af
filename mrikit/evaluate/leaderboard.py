"""The score of a submission, as the SNU challenge's leaderboard has it, and whether it is complete."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrikit.errors import DataError
from mrikit.evaluate.rows import Unscored, VolumeScore
from mrikit.evaluate.scorers import SCORERS
from mrikit.evaluate.wording import NUM_NAMES, group_reasons

_FOLDER = re.compile(r"acc(\d+)")
_NUMBERED = re.compile(r"(.*?)(\d+)")


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
    return sorted((_score(name, found) for name, found in _submissions(counted)), key=lambda entry: -entry.mean)


def require_expected(rows: Mapping[str, Sequence[VolumeScore]], unscored: Iterable[Unscored], num_volumes: int) -> None:
    """Make sure that every submission has a score for that many volumes of each anatomy at each acceleration.

    All anatomies and accelerations count that any volume of the submission has.

    Args:
        rows: As for `leaderboard`.
        unscored: Volumes without a score, to be named.
        num_volumes: In each group.

    Raises:
        DataError: A group has more or fewer.
    """
    for name, members in _submissions(rows):
        wrong = _wrong_groups(members, num_volumes)
        if wrong:
            wrong += [f"not scored: {some} ({reason})" for reason, _count, some in group_reasons(unscored)]
            raise DataError(f"{name}: {'; '.join(wrong)}")


def folder_acceleration(path: Path) -> float | None:
    """The acceleration that the nearest folder named as the challenge does says, such as `acc4`; None without one."""
    names = (_FOLDER.fullmatch(parent.name) for parent in path.resolve().parents)
    return next((float(match[1]) for match in names if match), None)


def _submissions(rows: Mapping[str, Sequence[VolumeScore]]) -> list[tuple[str, list[VolumeScore]]]:
    done = [(row.path, row.acceleration) for found in rows.values() for row in found]
    if len(set(done)) < len(done):
        return [(name, list(found)) for name, found in rows.items()]
    return [(", ".join(rows), [row for found in rows.values() for row in found])] if rows else []


def _score(name: str, rows: Iterable[VolumeScore]) -> LeaderboardScore:
    slices: dict[float, list[float]] = {}
    for row in rows:
        slices.setdefault(row.acceleration, []).extend(row.slice_ssim)
    means = tuple((acceleration, float(np.mean(found))) for acceleration, found in sorted(slices.items()))
    return LeaderboardScore(name=name, accelerations=means, mean=float(np.mean([ssim for _, ssim in means])))


def _wrong_groups(rows: Sequence[VolumeScore], num_volumes: int) -> list[str]:
    """A line for each anatomy and acceleration that has another number of volumes."""
    anatomies = sorted({row.anatomy or "unknown anatomy" for row in rows})
    found: dict[tuple[str, float], set[str]] = {
        (anatomy, acceleration): set()
        for anatomy in anatomies
        for acceleration in sorted({row.acceleration for row in rows})
    }
    for row in rows:
        found[row.anatomy or "unknown anatomy", row.acceleration].add(row.volume_id)
    return [
        f"{anatomy} acc{acceleration:g}: {num_volumes} expected, {len(names)} found{_lacking(names, num_volumes)}"
        for (anatomy, acceleration), names in found.items()
        if len(names) != num_volumes
    ]


def _lacking(found: set[str], num_volumes: int) -> str:
    """The names that are missing where volumes are numbered from 1, as the challenge's are."""
    matches = [match for match in map(_NUMBERED.fullmatch, found) if match]
    stems = {match[1] for match in matches}
    if len(stems) != 1 or len(matches) < len(found) or max(int(match[2]) for match in matches) > num_volumes:
        return ""
    (stem,) = stems
    lacking = [f"{stem}{number}" for number in range(1, num_volumes + 1) if f"{stem}{number}" not in found]
    return f", lacks {', '.join(lacking[:NUM_NAMES])}{', ...' if len(lacking) > NUM_NAMES else ''}" if lacking else ""
