"""Where a run begins: with the weights and moments of another run, such as its previous stage."""

from collections.abc import Callable
from pathlib import Path

import torch

from mrikit.checkpoint import (
    SAMPLER_PREFIX,
    Weights,
    build_trained_model,
    checkpoint_path,
    find_checkpoints,
    load_weights,
    read_record,
)
from mrikit.config import build_config
from mrikit.errors import CheckpointError
from mrikit.runs.position import Position, State, read_state
from mrikit.training.config import MEMORY_SETTINGS, RunConfig
from mrikit.training.objectives import objective_of
from mrikit.training.parts import NETWORK

_UNUSED_IN_TRAINING = {"counts_stored_center"}  # masks are drawn, and their centre is known


def load_start(start: Path, config: RunConfig, say: Callable[[str], None]) -> State:
    """The state that a new run begins with.

    Args:
        start: Folder of a finished run, whose best step it is, or of several stages, whose last one counts; or a file
            of weights or a checkpoint.
        config: Of the new run.
        say: Called with a line where there are weights but no moments.

    Returns:
        A state before the first step. Its moments are empty where there are only weights, or where the new run trains a
        part that the other one did not.

    Raises:
        CheckpointError: There are no weights, they are of another network, or the run is not finished.
    """
    weights = load_weights(start)
    _require_fit(weights, config)
    path = _best_checkpoint(weights.path.parent) if start.is_dir() else start
    if path is None or "position" not in read_record(path):
        say(f"{weights.path}: weights without the moments of their step; Adam begins anew with them")
        seen = tuple(weights.record.get("trained_on", ()))
        sampler = {SAMPLER_PREFIX + name: value for name, value in weights.sampler.items()}
        return State(weights.path, Position(), weights.tensors | sampler, {}, {}, seen)
    state = read_state(path)
    added = _parts_without_moments(config, state)
    if added:
        # Adam counts the steps of all together: moments that begin late would begin with steps three times as long.
        say(f"beginning with the weights of {path}; Adam begins anew, because the {added[0]} had no moments there")
        return state._replace(position=Position(), moments={})
    num_updates = state.position.step + state.position.carried_steps
    say(f"beginning with the weights and moments of {path}")
    return state._replace(position=Position(carried_steps=num_updates))


def start_identity(start: Path | None, folder: Path) -> str | None:
    """Changes when a run would begin with other weights: the digest of their file.

    Args:
        start: As for `load_start`; None for a run that begins with random weights.
        folder: Of the run; once it has checkpoints, the start may be gone, and is None then.

    Raises:
        CheckpointError: There are none.
    """
    if start is None or (find_checkpoints(folder) and not start.exists()):
        return None
    return load_weights(start).sha256[:16]


def _best_checkpoint(run: Path) -> Path | None:
    """The checkpoint of the best step of a finished run; None where that is not kept.

    Raises:
        CheckpointError: The run is still on its way.
    """
    checkpoints = find_checkpoints(run)
    if not checkpoints:
        return None
    record = read_record(checkpoints[-1])
    position = build_config(Position, record.get("position") or {}, str(checkpoints[-1]))
    num_steps = record.get("num_steps", position.validated_step)
    if position.validated_step < num_steps:
        raise CheckpointError(
            f"{run}: the run is at step {position.step} of {num_steps}; give the command that started it again, then "
            f"this one"
        )
    best = checkpoint_path(run, position.best_step or position.step)
    return best if best.exists() else None


def _parts_without_moments(config: RunConfig, state: State) -> list[str]:
    """Trained parts that the run before did not have."""
    with torch.device("meta"):
        parts = objective_of(config).parts()
    trained = {name: any(weight.requires_grad for weight in part.parameters()) for name, part in parts.items()}
    known = {name.split("/")[1] for name in state.moments if name.count("/") > 1}
    return [name for name, is_trained in trained.items() if is_trained and name not in (NETWORK, *known)]


def _require_fit(weights: Weights, config: RunConfig) -> None:
    """Stop unless the weights are for the network of the run.

    Raises:
        CheckpointError: They are for another one; the message says what differs.
    """
    start = weights.path
    if weights.model != config.model:
        raise CheckpointError(f"{start}: weights of {weights.model}, but {config.name} trains {config.model}")
    # With every setting, those that are newer than the file included.
    found = build_trained_model(weights).config
    differences = [
        f"{name}={_as_found(getattr(found, name))}, not {_as_found(wanted)}"
        for name, wanted in config.model_config.items()
        if name not in MEMORY_SETTINGS | _UNUSED_IN_TRAINING and _as_found(getattr(found, name)) != _as_found(wanted)
    ]
    if differences:
        raise CheckpointError(
            f"{start}: weights of another architecture than {config.name} trains: {'; '.join(differences)}"
        )


def _as_found(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
