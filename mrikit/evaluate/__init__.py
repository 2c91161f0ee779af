"""Reconstructions and references to scores, their summary and their files."""

from mrikit.evaluate.adaptive import FolderAdaptivity
from mrikit.evaluate.bootstrap import Interval
from mrikit.evaluate.expected import require_expected
from mrikit.evaluate.leaderboard import LeaderboardScore, leaderboard, leaderboard_lines
from mrikit.evaluate.lesions import LesionSummary, summarise_lesions
from mrikit.evaluate.orientation import OrientationAccuracy, OrientationClassifier, orientation_accuracy
from mrikit.evaluate.orientation_pairs import one_sided, with_orientations
from mrikit.evaluate.pairs import Pair, read_pair
from mrikit.evaluate.rows import BoxScore, Unscored, VolumeScore
from mrikit.evaluate.runs import label_reconstructions, label_runs
from mrikit.evaluate.score import STORED, data_of, evaluate, run_of
from mrikit.evaluate.scorers import OLDER_NAMES, SCORERS, full_name
from mrikit.evaluate.scores import (
    DEFAULT_SCORER,
    SCORES_FILE,
    FolderOrientation,
    Scores,
    describe_scores,
    find_scores,
    read_scores,
    score_files,
    to_json,
    write_scores,
)
from mrikit.evaluate.steps import FolderCurve
from mrikit.evaluate.summary import (
    Common,
    Difference,
    SliceScore,
    Summary,
    best_models,
    common_volumes,
    compare_models,
    compare_to_best,
    same_volumes,
    sorted_slices,
    summarise,
)
from mrikit.evaluate.wording import format_bounds, group_reasons

__all__ = [
    "DEFAULT_SCORER",
    "OLDER_NAMES",
    "SCORERS",
    "SCORES_FILE",
    "STORED",
    "BoxScore",
    "Common",
    "Difference",
    "FolderAdaptivity",
    "FolderCurve",
    "FolderOrientation",
    "Interval",
    "LeaderboardScore",
    "LesionSummary",
    "OrientationAccuracy",
    "OrientationClassifier",
    "Pair",
    "Scores",
    "SliceScore",
    "Summary",
    "Unscored",
    "VolumeScore",
    "best_models",
    "common_volumes",
    "compare_models",
    "compare_to_best",
    "data_of",
    "describe_scores",
    "evaluate",
    "find_scores",
    "format_bounds",
    "full_name",
    "group_reasons",
    "label_reconstructions",
    "label_runs",
    "leaderboard",
    "leaderboard_lines",
    "one_sided",
    "orientation_accuracy",
    "read_pair",
    "read_scores",
    "require_expected",
    "run_of",
    "same_volumes",
    "score_files",
    "sorted_slices",
    "summarise",
    "summarise_lesions",
    "to_json",
    "with_orientations",
    "write_scores",
]
