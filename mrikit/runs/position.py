"""Where a run stands, and the newest checkpoint to go on from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch

from mrikit.checkpoint import (
    EMA_PARTS_PREFIX,
    EMA_PREFIX,
    MOMENTS,
    PARTS_PREFIX,
    WEIGHTS_PREFIX,
    find_checkpoints,
    read_record,
    read_tensors,
)
from mrikit.config import build_config
from mrikit.errors import CheckpointError, ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """Where a run stands; with the weights and moments this is all that it needs to go on."""

    step: int = 0
    """Optimizer steps done."""
    validated_step: int = 0
    """Step of the last validation."""
    best_step: int = 0
    """Step with the best validation so far; 0 before the first."""
    best_score: float = 0.0
    """Its score, that of the objective."""
    carried_steps: int = 0
    """Updates that the moments saw in the runs that this one began with."""
    epoch_sums: Mapping[str, float] = field(default_factory=dict)
    """Of the loss, its terms and the slices of the steps of the epoch so far, for its means."""
    start_numbers: Mapping[str, float] = field(default_factory=dict)
    """Of the validation before the first step, where the objective compares later ones with it."""


class State(NamedTuple):
    """A checkpoint."""

    path: Path
    position: Position
    weights: dict[str, torch.Tensor]
    """Of the network by name, of other parts by `PART/NAME`."""
    mean: dict[str, torch.Tensor]
    """Running mean of the weights; empty if the run keeps none."""
    moments: dict[str, torch.Tensor]
    trained_on: tuple[str, ...] = ()
    """Volumes that the weights have seen, in earlier stages too."""


def find_state(folder: Path, say: Callable[[str], None]) -> State | None:
    """The newest checkpoint of a run that can be read.

    Args:
        folder: Of the run.
        say: Called with one line for each that cannot.

    Raises:
        CheckpointError: There are some, and none can be read.
    """
    paths = find_checkpoints(folder)
    for path in reversed(paths):
        try:
            return read_state(path)
        except (CheckpointError, ConfigError) as error:
            say(f"{error}; going back to the checkpoint before it")
    if paths:
        raise CheckpointError(f"{folder}: none of {len(paths)} checkpoints can be read; copy them again or start anew")
    return None


def read_state(path: Path) -> State:
    """A checkpoint of a training run.

    Raises:
        CheckpointError: It is damaged, or weights alone.
        ConfigError: It is of another version.
    """
    record = read_record(path)
    position = record.get("position")
    if not isinstance(position, dict):
        raise CheckpointError(f"{path}: weights, but no position of a run to go on from")
    return State(
        path=path,
        position=build_config(Position, position, str(path)),
        weights=read_tensors(path, WEIGHTS_PREFIX) | read_tensors(path, PARTS_PREFIX),
        mean=read_tensors(path, EMA_PREFIX) | read_tensors(path, EMA_PARTS_PREFIX),
        moments={
            f"{moment}/{name}": value for moment in MOMENTS for name, value in read_tensors(path, f"{moment}/").items()
        },
        trained_on=tuple(record.get("trained_on", ())),
    )
