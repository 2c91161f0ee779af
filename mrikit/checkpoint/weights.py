"""Weights: those of one trained network, from a file or a training run, and the network built with them."""

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from mrikit.checkpoint.sources import SOURCES
from mrikit.checkpoint.tensors import read_record, read_tensors, write_tensors
from mrikit.errors import CheckpointError, ConfigError
from mrikit.models import build_model
from mrikit.run_files import CHECKPOINTS, WEIGHTS_FILE

WEIGHTS_PREFIX: Final = "weights/"
"""What the names of a training checkpoint's weights begin with; other prefixes are the optimizer's."""
EMA_PREFIX: Final = "ema/"
"""What the names of their running means begin with, where the run keeps them; they are preferred."""
PARTS_PREFIX: Final = "parts/"
"""What the names of whatever is trained beside the network begin with: `parts/critic/NAME`."""
EMA_PARTS_PREFIX: Final = "ema_parts/"
"""What the names of their running means begin with."""
SAMPLER_PREFIX: Final = "sampler/"
"""What the names of a sampler's tensors begin with, behind the prefix of a checkpoint."""
MOMENTS: Final = ("exp_avg", "exp_avg_sq")
"""What Adam remembers of each weight; in a checkpoint `exp_avg/NAME` and `exp_avg_sq/NAME`."""

_NAMED_TENSORS = 3  # how many of those that do not fit a message names


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """The weights of one trained network and what is known of them."""

    model: str
    """A key of `mrikit.models.LEARNED`."""
    model_config: dict[str, Any]
    """Fields of its configuration."""
    tensors: dict[str, torch.Tensor]
    """The state dict, on the CPU."""
    sha256: str
    """Digest of the file's content."""
    record: dict[str, Any]
    """Everything that the file says of itself."""
    path: Path
    """The file that was read."""
    sampler: dict[str, torch.Tensor] = field(default_factory=dict)
    """State dict of the sampler that was trained with it; empty without one."""


def save_weights(
    path: Path,
    model: str,
    model_config: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
    record: Mapping[str, Any],
) -> str:
    """Write the weights of a network.

    Args:
        path: The file to write, `.safetensors`.
        model: A key of `mrikit.models.LEARNED`.
        model_config: Fields of its configuration, `mrikit.models.model_settings`.
        tensors: Its state dict.
        record: What else is known: task, steps, scores; any JSON.

    Returns:
        The sha256 of the file's content.

    Raises:
        StorageError: The path cannot be written or the disk is full.
    """
    return write_tensors(path, tensors, {"model": model, "model_config": dict(model_config), **record})


def load_weights(path: Path) -> Weights:
    """The weights of a weights file, of a checkpoint of a training run, or the best of a run's folder.

    Of a run in stages they are those of the stage that `last_stage` names.

    Raises:
        CheckpointError: There are none, or they are damaged or of something else.
    """
    file = weights_file(path)
    before = _identity(file)
    record = read_record(file)
    if isinstance(record.get("policy"), str):
        raise CheckpointError(
            f"{file}: weights of the policy {record['policy']}, not of a network that makes images; `mrikit acquire "
            f"--weights` takes them"
        )
    if not isinstance(record.get("model"), str) or not isinstance(record.get("model_config"), dict):
        raise CheckpointError(f"{file}: does not say which model its tensors belong to; give weights or a checkpoint")
    tensors = read_tensors(file, EMA_PREFIX) or read_tensors(file, WEIGHTS_PREFIX) or read_tensors(file)
    beside = tensors | (read_tensors(file, EMA_PARTS_PREFIX) or read_tensors(file, PARTS_PREFIX))
    with file.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    if _identity(file) != before:
        raise CheckpointError(f"{file}: was replaced while it was read; run the same command again")
    return Weights(
        model=record["model"],
        model_config=record["model_config"],
        tensors={name: value for name, value in tensors.items() if "/" not in name},
        sampler={
            name.removeprefix(SAMPLER_PREFIX): value
            for name, value in beside.items()
            if name.startswith(SAMPLER_PREFIX)
        },
        sha256=sha256,
        record=record,
        path=file,
    )


def build_trained_model(weights: Weights) -> nn.Module:
    """The network with its weights, in evaluation mode.

    Raises:
        CheckpointError: Tensors are missing, left over, of another shape or not finite.
    """
    try:
        model = build_model(weights.model, weights.model_config)
    except ConfigError as error:
        raise CheckpointError(f"{weights.path}: weights for a network that is not known here: {error}") from error
    wanted = model.state_dict()
    _warn_of_older_import(weights)
    problems = {
        "missing": [name for name in wanted if name not in weights.tensors],
        "unexpected": [name for name in weights.tensors if name not in wanted],
        "of another shape": [
            f"{name} {_shape(tensor)}, not {_shape(wanted[name])}"
            for name, tensor in weights.tensors.items()
            if name in wanted and tensor.shape != wanted[name].shape
        ],
    }
    found = "; ".join(f"{len(names)} tensors {what} ({_some(names)})" for what, names in problems.items() if names)
    if found:
        settings = ", ".join(f"{key}={value}" for key, value in weights.model_config.items())
        raise CheckpointError(
            f"{weights.path}: weights for another architecture than {weights.model} with {settings}: {found}"
        )
    for name, tensor in weights.tensors.items():
        if not tensor.isfinite().all():
            raise CheckpointError(f"{weights.path}: {name} holds NaN or infinity; take weights from before that")
    model.load_state_dict(weights.tensors)
    return model.eval()


def checkpoint_path(run: Path, step: int) -> Path:
    """Where a training run keeps its state after so many optimizer steps."""
    return run / CHECKPOINTS / f"step-{step:08d}.safetensors"


def find_checkpoints(run: Path) -> list[Path]:
    """The finished checkpoints of a training run, oldest first."""
    return sorted((run / CHECKPOINTS).glob("step-*.safetensors"))


def weights_file(path: Path) -> Path:
    """The file to read, given it, a run's folder, or one with the folders of a run's stages.

    Raises:
        CheckpointError: There is none in the folder.
    """
    if not path.is_dir():
        return path
    if (path / WEIGHTS_FILE).exists():
        return path / WEIGHTS_FILE
    last, stages = last_stage(path), _stages(path)
    if last is not None:
        return last / WEIGHTS_FILE
    for folder in (path, *stages):
        checkpoints = find_checkpoints(folder)
        if checkpoints:
            raise CheckpointError(
                f"{folder}: has no {WEIGHTS_FILE}, because no validation was finished yet; train on, or give the "
                f"checkpoint {checkpoints[-1]}"
            )
    if stages:
        names = ", ".join(folder.name for folder in reversed(stages))
        raise CheckpointError(
            f"{path}: none of {names} has a {WEIGHTS_FILE}; train the first stage with `mrikit train`"
        )
    raise CheckpointError(f"{path}: no folder of a training run; it holds neither {WEIGHTS_FILE} nor checkpoints")


def last_stage(run: Path, of: str = "model") -> Path | None:
    """The stage of a run whose weights are the run's: the highest finished one, or if none is the highest with weights.

    A stage that is passed over because it is not finished is named in a warning.

    Args:
        run: Folder of the run.
        of: What the weights are of: a `model`, or a `policy` that one stage learns for the model of another.

    Returns:
        Its folder; None if no stage has such weights.
    """
    stages = [folder for folder in _stages(run) if _has_weights(folder, of)]
    finished = next((folder for folder in stages if not _progress(folder)), None)
    if finished is None:
        return stages[0] if stages else None
    passed = stages[: stages.index(finished)]
    if passed:
        found = ", ".join(f"{folder.name} ({_progress(folder)})" for folder in passed)
        warnings.warn(
            f"{run}: not finished is {found}; the weights are those of {finished.name}; name the folder of another "
            f"stage to take its own",
            stacklevel=3,
        )
    return finished


def stage_number(folder: Path) -> int:
    """The stage that a folder is of by its name, such as 2 for `stage-2`; 0 if it is of none."""
    number = folder.name.removeprefix("stage-")
    return int(number) if number != folder.name and number.isdecimal() else 0


def _warn_of_older_import(weights: Weights) -> None:
    """Say so where weights of another program lack a setting that makes them run as there."""
    source = SOURCES.get(str(weights.record.get("source")))
    missing = [name for name in source.settings if name not in weights.model_config] if source else []
    if missing:
        warnings.warn(
            f"{weights.path}: imported by an older mrikit, and does not run as its authors ran it "
            f"({', '.join(missing)}); import the published file again",
            stacklevel=3,
        )


def _stages(run: Path) -> list[Path]:
    """The folders of a run's stages, the highest first."""
    found = [folder for folder in run.glob("stage-*") if stage_number(folder) and folder.is_dir()]
    return sorted(found, key=stage_number, reverse=True)


def _has_weights(stage: Path, of: str) -> bool:
    """Whether there are weights of this kind; damaged ones count, as reading them will say."""
    file = stage / WEIGHTS_FILE
    if not file.exists():
        return False
    try:
        return ("policy" in read_record(file)) == (of == "policy")
    except CheckpointError:
        return True


def _progress(stage: Path) -> str:
    """How far a stage is, in words; empty if it is finished, as one is that keeps no checkpoints."""
    checkpoints = find_checkpoints(stage)
    if not checkpoints:
        return ""
    try:
        record = read_record(checkpoints[-1])
    except CheckpointError:
        return f"{checkpoints[-1].name} cannot be read"
    position, num_steps = record.get("position") or {}, record.get("num_steps")
    step = position.get("validated_step", 0)
    return "" if num_steps is None or step >= num_steps else f"validated at step {step} of {num_steps}"


def _identity(path: Path) -> tuple[int, int] | None:
    """Changes when another file is put in a file's place; None where there is none, as reading will say."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _shape(tensor: torch.Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "()"


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED_TENSORS]) + (", ..." if len(names) > _NAMED_TENSORS else "")
