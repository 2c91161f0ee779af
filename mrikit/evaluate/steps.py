"""What each line of a folder was worth, where a policy chose them: the score over lines, and the time of a decision."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrikit.evaluate.curves import ScoreCurve, score_curve
from mrikit.evaluate.rows import VolumeScore
from mrikit.volumes.decisions import STEP_SCORES, Decisions, read_decisions


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderCurve:
    """Scores over lines of a folder's volumes at one acceleration."""

    acceleration: float
    """As in `VolumeScore`."""
    num_volumes: int
    num_slices: int
    ssim: ScoreCurve
    """Means over volumes of means over slices, as fastMRI scores them, whatever scored the rows."""
    psnr: ScoreCurve
    """dB, of each slice against the maximum of its volume; infinite where an image is perfect."""
    nmse: ScoreCurve
    """Of each slice."""
    ms_per_decision: float | None
    """Mean time of a decision, the image that it needs with it; None without any."""


def folder_curves(recon: Path, rows: Iterable[VolumeScore]) -> list[FolderCurve]:
    """For each acceleration whose lines a policy chose, the scores over lines with intervals over patients.

    Args:
        recon: Folder of reconstructions.
        rows: Its scored volumes.

    Raises:
        DataError: A file cannot be read, or holds scores that are no numbers.
    """
    found: dict[tuple[float, tuple[int, ...]], list[tuple[VolumeScore, Decisions]]] = {}
    for row in rows:
        decisions = read_decisions(recon / row.reconstruction)
        if decisions is not None and decisions.scores is not None:
            # Where slices had other numbers of lines no curve holds them all.
            num_lines = tuple(decisions.num_lines[0].tolist())
            found.setdefault((row.acceleration, num_lines), []).append((row, decisions))
    return [_curve(acceleration, num_lines, members) for (acceleration, num_lines), members in sorted(found.items())]


def _curve(
    acceleration: float, num_lines: Sequence[int], members: Sequence[tuple[VolumeScore, Decisions]]
) -> FolderCurve:
    scores = [decisions.scores for _, decisions in members if decisions.scores is not None]
    # Means over volumes, as the table of scores has them.
    of_volumes = np.stack([one.mean(0, dtype=np.float64) for one in scores])
    patients = [row.patient_id or row.path for row, _ in members]
    curves = {name: score_curve(of_volumes[..., place], patients, num_lines) for place, name in enumerate(STEP_SCORES)}
    seconds = [decisions.seconds.ravel() for _, decisions in members if decisions.seconds is not None]
    times = np.concatenate(seconds) if seconds else np.empty(0)
    return FolderCurve(
        acceleration=acceleration,
        num_volumes=len(members),
        num_slices=sum(map(len, scores)),
        ssim=curves["ssim"],
        psnr=curves["psnr"],
        nmse=curves["nmse"],
        ms_per_decision=1000 * float(times.mean()) if times.size else None,
    )
