"""What a run folder holds: every folder of reconstructions in it with its scores, and every training run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrikit.errors import DataError
from mrikit.evaluate import Scores, Unscored, VolumeScore, find_scores, label_runs
from mrikit.report.stages import join_stages
from mrikit.report.training import TrainingRun, find_training_runs
from mrikit.run_files import RECONSTRUCT_FILE
from mrikit.storage import read_json, shown
from mrikit.volumes.reconstruction import find_reconstructions
from mrikit.words import in_shell


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconFolder:
    """One folder that `mrikit reconstruct` wrote, by one scorer."""

    path: Path
    run: dict[str, Any]
    """What `reconstruct.json` says."""
    scores: Scores | None
    """None if `mrikit evaluate` was not run on it."""

    @property
    def rows(self) -> tuple[VolumeScore, ...]:
        """The scored volumes."""
        return self.scores.rows if self.scores else ()


def collect(run_folder: Path) -> tuple[list[ReconFolder], list[TrainingRun]]:
    """All reconstructions and training runs in a folder or below, sorted by path; runs are told apart among them.

    A folder that several scorers scored is there once for each of them.

    Raises:
        DataError: There is neither, or a file in one is damaged.
        StorageError: A file cannot be read.
    """
    if not run_folder.is_dir():
        raise DataError(f"{run_folder}: no such folder; name one that holds the results of `mrikit reconstruct`")
    folders = sorted(path.parent for path in run_folder.rglob(RECONSTRUCT_FILE))
    training = join_stages(find_training_runs(run_folder))
    if not folders and not training:
        command = in_shell("reconstruct", "--data", "DATA", "--out", run_folder)
        raise DataError(
            f"{run_folder}: no {RECONSTRUCT_FILE} in this folder or below; run `{command}`, or name the folder of a "
            f"training run"
        )
    scored = [(folder, scores) for folder in folders for scores in find_scores(folder) or (None,)]
    labelled = iter(label_runs([scores for _, scores in scored if scores is not None]))
    found = [
        ReconFolder(
            path=folder, run=read_json(folder / RECONSTRUCT_FILE), scores=None if scores is None else next(labelled)
        )
        for folder, scores in scored
    ]
    return found, training


def list_unscored(folder: ReconFolder) -> list[Unscored]:
    """The volumes of a folder without a score; all of them if it was never evaluated."""
    if folder.scores is not None:
        return list(folder.scores.unscored)
    reason = f"not evaluated yet; run `{in_shell('evaluate', '--recon', shown(folder.path))}`"
    return [
        Unscored(
            volume_id=file.stem,
            path=str(file.resolve()),
            reconstruction=file.relative_to(folder.path).as_posix(),
            reason=reason,
        )
        for file in find_reconstructions(folder.path)
    ]
