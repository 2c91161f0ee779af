"""Whether a submission is complete: as many scored volumes as expected of each anatomy at each acceleration."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mrikit.errors import DataError
from mrikit.evaluate.leaderboard import folder_acceleration, group_acceleration, named_acceleration, submissions
from mrikit.evaluate.rows import Unscored, VolumeScore
from mrikit.evaluate.scores import Scores
from mrikit.evaluate.wording import group_reasons, name_some
from mrikit.storage import recorded_location
from mrikit.volumes import open_volume
from mrikit.volumes.anatomy import anatomy_of, named_anatomy
from mrikit.volumes.reconstruction import read_reconstruction

_UNKNOWN = "unknown anatomy"
_NUMBERED = re.compile(r"(.*?)(\d+)")


class _Facts(NamedTuple):
    """What is known of a volume without a score; None for what nothing tells."""

    anatomy: str | None
    acceleration: float | None
    """May be the estimate of a stored mask."""
    sure: float | None
    """The acceleration, and where that is an estimate the one that a folder says: it makes a group of its own."""


def require_expected(scores: Mapping[str, Scores], num_volumes: int) -> None:
    """Make sure that every submission has a score for that many volumes of each anatomy at each acceleration.

    Every anatomy and acceleration counts that anything tells of: a scored volume, one that has no score, or a folder
    such as `acc8` among the volumes or the reconstructions, be it empty. What nothing tells of is not missed, nor what
    only the estimated acceleration of a volume without a score tells of, as that of a test set.

    Args:
        scores: Of each folder of reconstructions, by its path.
        num_volumes: In each group.

    Raises:
        DataError: A group has more or fewer.
    """
    told = {name: [_facts(volume, Path(name), found) for volume in found.unscored] for name, found in scores.items()}
    done = {name: _reconstructed(found, told[name]) for name, found in scores.items()}
    for names in submissions(done):
        members = {name: scores[name] for name in names}
        wrong = _wrong_groups(members, [facts for name in names for facts in told[name]], num_volumes)
        if wrong:
            wrong += [f"not scored: {some} ({reason})" for reason, _count, some in group_reasons(_left(members))]
            raise DataError(f"{', '.join(names)}: {'; '.join(wrong)}")


def _reconstructed(scores: Scores, told: Sequence[_Facts]) -> list[tuple[str, float | None]]:
    """Path and acceleration of every volume that was reconstructed, be it without a score."""
    unscored = zip(scores.unscored, told, strict=True)
    return [(row.path, row.acceleration) for row in scores.rows] + [
        (volume.path, facts.acceleration) for volume, facts in unscored if volume.reconstruction is not None
    ]


def _left(members: Mapping[str, Scores]) -> list[Unscored]:
    """Volumes without a score, but for those that another folder of the submission did."""
    scored = {row.path for found in members.values() for row in found.rows}
    unscored = [volume for found in members.values() for volume in found.unscored]
    return [volume for volume in unscored if volume.reconstruction is not None or volume.path not in scored]


def _wrong_groups(members: Mapping[str, Scores], told: Sequence[_Facts], num_volumes: int) -> list[str]:
    """A line for each anatomy and acceleration that has another number of volumes."""
    rows = [row for found in members.values() for row in found.rows]
    named: set[float] = {row.acceleration for row in rows}
    named |= {acceleration for name, found in members.items() for acceleration in _empty_folders(Path(name), found)}
    named |= {facts.sure for facts in told if facts.sure is not None and facts.acceleration not in named}
    strange = {facts for facts in told if facts.sure is None and facts.acceleration not in (*named, None)}
    known = [facts.anatomy for facts in told if facts not in strange or not named]
    anatomies = sorted({anatomy or _UNKNOWN for anatomy in (*known, *(row.anatomy for row in rows))})
    # Where nothing tells of any acceleration there is no score, and a line for each anatomy.
    accelerations: list[float | None] = [*sorted(named)] or [None]
    groups: dict[tuple[str, float | None], set[str]] = {
        (anatomy, acceleration): set() for anatomy in anatomies for acceleration in accelerations
    }
    for row in rows:
        groups[row.anatomy or _UNKNOWN, row.acceleration].add(row.volume_id)
    return [
        f"{anatomy}{'' if acceleration is None else f' acc{acceleration:g}'}: {num_volumes} expected, {len(found)} "
        f"found{_lacking(found, num_volumes)}"
        for (anatomy, acceleration), found in groups.items()
        if len(found) != num_volumes
    ]


def _facts(volume: Unscored, folder: Path, scores: Scores) -> _Facts:
    """What is known of a volume without a score."""
    path, is_full = recorded_location(volume.path), False
    named = folder_acceleration(path)
    try:
        opened = open_volume(path, volume_id=volume.volume_id)
        is_full = opened.is_fully_sampled
        anatomy = anatomy_of(opened.info)
    except DataError:  # damaged, gone, or it contradicts itself
        anatomy = named_anatomy(volume.volume_id)
    if volume.reconstruction is not None:
        try:
            made = read_reconstruction(folder / volume.reconstruction)
            counted = group_acceleration(path, made, scores.scorer)
            return _Facts(anatomy, counted, named if made.mask.kind == "stored" else counted)
        except DataError:
            pass  # as one that is not there
    plan = scores.run.get("mask")
    acceleration = float(plan["acceleration"]) if is_full and plan else named
    return _Facts(anatomy, acceleration, acceleration)


def _empty_folders(folder: Path, scores: Scores) -> set[float]:
    """Accelerations of folders named as the challenge does, among volumes or reconstructions, that hold none.

    Among blobs there are none: what holds nothing is no folder there.
    """
    known: list[VolumeScore | Unscored] = [*scores.rows, *scores.unscored]
    files = [Path(one.path) for one in known]
    files += [folder.resolve() / one.reconstruction for one in known if one.reconstruction is not None]
    used = {parent for file in files for parent in file.parents}
    return {
        acceleration
        for root in (recorded_location(scores.data), folder.resolve())
        if isinstance(root, Path)
        for place in root.rglob("acc*")
        if (acceleration := named_acceleration(place.name)) is not None
        and place.is_dir()
        and place.resolve() not in used
    }


def _lacking(found: set[str], num_volumes: int) -> str:
    """The names that are missing where volumes are numbered from 1, as the challenge's are."""
    matches = [match for match in map(_NUMBERED.fullmatch, found) if match]
    stems = {match[1] for match in matches}
    if len(stems) != 1 or len(matches) < len(found) or max(int(match[2]) for match in matches) > num_volumes:
        return ""
    (stem,) = stems
    lacking = [f"{stem}{number}" for number in range(1, num_volumes + 1) if f"{stem}{number}" not in found]
    return f", lacks {name_some(lacking)}" if lacking else ""
