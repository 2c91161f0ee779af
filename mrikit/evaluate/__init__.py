"""Reconstructions and references to scores, their summary and their files."""

from mrikit.evaluate.pairs import Pair, find_reconstructions, read_pair
from mrikit.evaluate.runs import label_reconstructions, label_runs
from mrikit.evaluate.score import SCORERS, data_of, evaluate
from mrikit.evaluate.scores import SCORES_FILE, Scores, Unscored, describe_scores, read_scores, to_json, write_scores
from mrikit.evaluate.summary import (
    Difference,
    Interval,
    SliceScore,
    Summary,
    VolumeScore,
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
    "Difference",
    "Interval",
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
    "find_reconstructions",
    "format_bounds",
    "group_reasons",
    "label_reconstructions",
    "label_runs",
    "read_pair",
    "read_scores",
    "same_volumes",
    "sorted_slices",
    "summarise",
    "to_json",
    "write_scores",
]
