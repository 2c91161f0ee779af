"""Reconstructions and references to scores, their summary and their files."""

from mrikit.evaluate.bootstrap import Interval
from mrikit.evaluate.expected import require_expected
from mrikit.evaluate.leaderboard import LeaderboardScore, leaderboard
from mrikit.evaluate.lesions import LesionSummary, summarise_lesions
from mrikit.evaluate.pairs import Pair, read_pair
from mrikit.evaluate.rows import BoxScore, Unscored, VolumeScore
from mrikit.evaluate.runs import label_reconstructions, label_runs
from mrikit.evaluate.score import STORED, data_of, evaluate
from mrikit.evaluate.scorers import SCORERS
from mrikit.evaluate.scores import SCORES_FILE, TABLE_FILE, Scores, describe_scores, read_scores, to_json, write_scores
from mrikit.evaluate.summary import (
    Difference,
    SliceScore,
    Summary,
    best_models,
    compare_models,
    compare_to_best,
    same_volumes,
    sorted_slices,
    summarise,
)
from mrikit.evaluate.wording import format_bounds, group_reasons

__all__ = [
    "SCORERS",
    "SCORES_FILE",
    "STORED",
    "TABLE_FILE",
    "BoxScore",
    "Difference",
    "Interval",
    "LeaderboardScore",
    "LesionSummary",
    "Pair",
    "Scores",
    "SliceScore",
    "Summary",
    "Unscored",
    "VolumeScore",
    "best_models",
    "compare_models",
    "compare_to_best",
    "data_of",
    "describe_scores",
    "evaluate",
    "format_bounds",
    "group_reasons",
    "label_reconstructions",
    "label_runs",
    "leaderboard",
    "read_pair",
    "read_scores",
    "require_expected",
    "same_volumes",
    "sorted_slices",
    "summarise",
    "summarise_lesions",
    "to_json",
    "write_scores",
]
