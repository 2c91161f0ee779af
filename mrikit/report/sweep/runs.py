"""One member of a sweep, with what came of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mrikit.evaluate.scores import SCORES_FILE, read_scores
from mrikit.report.training import RunScore, TrainingRun, find_training_runs

SEED = "training.seed"
"""The setting whose values are repetitions of one training, and no choice."""
TEST_SCORES = ("ssim", "psnr", "nmse", "kspace_nmse")
"""Fields of a volume's score; the last one is known of networks that fill k-space alone."""
_USUAL = RunScore("ssim", "SSIM")


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepRun:
    """What is known of a member."""

    name: str
    task: str
    settings: Mapping[str, str]
    """As `--set` was given them."""
    out: str = ""
    """Its folder, or az://; empty before it is submitted."""
    state: str
    """Of its job."""
    is_done: bool = False
    """Whether it was trained to its end."""
    is_out_of_memory: bool = False
    """Whether it failed for lack of memory."""
    message: str = ""
    """What its back end says of it."""
    score: RunScore = _USUAL
    """What it was validated by."""
    best: float | None = None
    """The best validation so far."""
    epoch: float | None = None
    """Of that."""
    seconds: float = 0.0
    """Of all its steps and validations."""
    test: Mapping[str, float] = field(default_factory=dict)
    """Means over all slices of the test data, by those of `TEST_SCORES` that are known; empty if it was not tested."""

    @property
    def repeated(self) -> tuple[tuple[str, str], ...]:
        """Its settings but for the seed: members that share them are repetitions of one training."""
        return tuple(sorted((key, value) for key, value in self.settings.items() if key != SEED))


def setting_keys(runs: Iterable[SweepRun]) -> list[str]:
    """All settings of members but for the seed, in the order of the file."""
    return list(dict.fromkeys(key for run in runs for key in run.settings if key != SEED))


def found_training(folder: Path) -> tuple[TrainingRun | None, float]:
    """The run of a member that was validated, and the seconds of all its stages.

    Args:
        folder: Of the member; of a run of stages the last one counts that was validated.
    """
    runs = find_training_runs(folder) if folder.exists() else []
    seconds = sum(value for run in runs for kind in ("train", "validation") for _, value in _seconds(run, kind))
    return next((run for run in reversed(runs) if run.best), None), seconds


def mean_test_scores(folder: Path) -> dict[str, float]:
    """Scores of test data: the mean over all slices, so that a volume counts by its slices; empty if there are none.

    SSIM is a mean over slices in each volume already; PSNR and both NMSE are those of whole volumes.

    Args:
        folder: Of reconstructions that were scored.

    Raises:
        DataError: They are of another version of mrikit.
        StorageError: They cannot be read.
    """
    files = sorted(folder.glob("scores*.json"), key=lambda path: (path.name != SCORES_FILE, path.name))
    rows = read_scores(files[0]).rows if files else ()
    weights = [row.num_counted for row in rows]
    if not sum(weights):
        return {}
    columns = {name: [getattr(row, name) for row in rows] for name in TEST_SCORES}
    known = {name: values for name, values in columns.items() if None not in values}
    return {name: float(np.average(values, weights=weights)) for name, values in known.items()}


def _seconds(run: TrainingRun, kind: str) -> Sequence[tuple[float, float]]:
    return run.points(kind, "step", "seconds")
