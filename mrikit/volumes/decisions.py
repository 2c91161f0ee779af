"""Decisions: in what order the lines of a volume were measured, and what each was worth; part of its file."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import h5py
import numpy as np
import numpy.typing as npt

from mrikit.volumes.hdf5 import open_file

STEP_SCORES: Final = ("ssim", "psnr", "nmse")
"""What the last axis of `Decisions.scores` holds."""
_GROUP = "decisions"


@dataclass(frozen=True, kw_only=True, slots=True)
class Decisions:
    """How a method came to the lines that it measured."""

    steps: npt.NDArray[np.int16]
    """(slice, phase) by which decision each line was measured, from 1: 0 of those given, -1 of those never measured."""
    scores: npt.NDArray[np.float32] | None = None
    """(slice, 1 + decision, 3) SSIM, PSNR in dB and NMSE against the full reference, in the square that fastMRI scores,
    with the given lines and after each decision; None where they were not asked for."""
    seconds: npt.NDArray[np.float32] | None = None
    """(slice, decision) that each took, with the image it needs and without its score; None likewise."""
    film: npt.NDArray[np.float32] | None = None
    """(frame, y, x) the slice in the middle, `num_slices // 2`, after some of the decisions; None likewise."""
    film_steps: npt.NDArray[np.int16] | None = None
    """(frame,) after how many."""

    @property
    def num_lines(self) -> npt.NDArray[np.int64]:
        """(slice, 1 + decision) lines measured so far."""
        number = int(self.steps.max()) if self.scores is None else self.scores.shape[1] - 1
        measured = [(self.steps >= 0) & (self.steps <= step) for step in range(number + 1)]
        return np.stack([lines.sum(1) for lines in measured], 1)


def steps_of(masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.int16]:
    """(phase,) int16 as in `Decisions.steps` of (1 + decision, phase) bool, what was measured after each."""
    return np.where(masks.any(0), masks.argmax(0), -1).astype(np.int16)


def join_decisions(of_slices: Sequence[Decisions]) -> Decisions:
    """Those of all slices of a volume, from those of each; the film is that of the slice in the middle."""
    middle = of_slices[len(of_slices) // 2]
    scores = [one.scores for one in of_slices if one.scores is not None]
    seconds = [one.seconds for one in of_slices if one.seconds is not None]
    return Decisions(
        steps=np.concatenate([one.steps for one in of_slices]),
        scores=np.concatenate(scores) if scores else None,
        seconds=np.concatenate(seconds) if seconds else None,
        film=middle.film,
        film_steps=middle.film_steps,
    )


def add_decisions(file: h5py.File, decisions: Decisions | None) -> None:
    """Write them into an open file; None writes nothing."""
    for field in fields(Decisions) if decisions is not None else ():
        value = getattr(decisions, field.name)
        if value is not None:
            file[f"{_GROUP}/{field.name}"] = value


def take_decisions(file: h5py.File, *, with_film: bool = True) -> Decisions | None:
    """Those of an open file; None where it has none.

    Args:
        file: It is read.
        with_film: Whether to read its images too.
    """
    if _GROUP not in file:
        return None
    names = [field.name for field in fields(Decisions) if with_film or field.name != "film"]
    return Decisions(**{name: file[_GROUP][name][()] for name in names if name in file[_GROUP]})


def read_decisions(path: Path) -> Decisions | None:
    """Those of a reconstruction, without any image; None where there are none.

    Raises:
        DataError: The file cannot be read.
    """
    with open_file(path) as file:
        return take_decisions(file, with_film=False)
