"""Weights on disk: safetensors with a JSON record, known by their digest, read strictly; import of published ones."""

from mrikit.checkpoint.card import as_lines, as_text, card_path, describe, make_card
from mrikit.checkpoint.imported import import_weights
from mrikit.checkpoint.learned_masks import build_trained_sampler, level_of
from mrikit.checkpoint.sources import SOURCES
from mrikit.checkpoint.tensors import read_record, read_tensors, write_tensors
from mrikit.checkpoint.weights import (
    EMA_PARTS_PREFIX,
    EMA_PREFIX,
    MOMENTS,
    PARTS_PREFIX,
    SAMPLER_PREFIX,
    WEIGHTS_PREFIX,
    Weights,
    build_trained_model,
    checkpoint_path,
    find_checkpoints,
    last_stage,
    load_weights,
    save_weights,
    stage_number,
    weights_file,
)

__all__ = [
    "EMA_PARTS_PREFIX",
    "EMA_PREFIX",
    "MOMENTS",
    "PARTS_PREFIX",
    "SAMPLER_PREFIX",
    "SOURCES",
    "WEIGHTS_PREFIX",
    "Weights",
    "as_lines",
    "as_text",
    "build_trained_model",
    "build_trained_sampler",
    "card_path",
    "checkpoint_path",
    "describe",
    "find_checkpoints",
    "import_weights",
    "last_stage",
    "level_of",
    "load_weights",
    "make_card",
    "read_record",
    "read_tensors",
    "save_weights",
    "stage_number",
    "weights_file",
    "write_tensors",
]
