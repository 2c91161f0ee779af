"""Weights and moments of a run, out of its processes and into files."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import nn

from mrikit.checkpoint import (
    EMA_PARTS_PREFIX,
    EMA_PREFIX,
    PARTS_PREFIX,
    WEIGHTS_PREFIX,
    save_weights,
    write_tensors,
)
from mrikit.run_files import MASKS, PARTS, WEIGHTS_FILE
from mrikit.storage import atomic_path
from mrikit.training.config import RunConfig
from mrikit.training.parts import (
    KEPT,
    RunningMean,
    is_of_other_part,
    named_buffers_of,
    named_modules_of,
    named_parameters_of,
)
from mrikit.training.zero_moments import gather_moments, whole_parameters

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine


def share_buffers(parts: nn.ModuleDict) -> None:
    """Give all processes what the first one keeps untrained, such as the statistics of its batch norms.

    Each counts its own; a checkpoint has one of them, from which all resume.
    """
    if dist.get_world_size() > 1:
        for value in named_buffers_of(parts).values():
            dist.broadcast(value, 0)


def gather_state(
    engine: "DeepSpeedEngine", parts: nn.ModuleDict, mean: RunningMean | None, *, is_first: bool
) -> dict[str, torch.Tensor]:
    """Everything that a run needs to resume, by its names in a checkpoint; all processes take part.

    Args:
        engine: Of the parts.
        parts: What is trained.
        mean: Their running mean; None where the run keeps none.
        is_first: Whether this process wants them; the others get nothing.
    """
    tensors: dict[str, torch.Tensor] = {}

    def keep(of_network: str, of_parts: str, named: Iterable[tuple[str, torch.Tensor]]) -> None:
        for name, value in named:
            if is_first:
                prefix = of_parts if is_of_other_part(name) else of_network
                tensors[prefix + name] = value.detach().to("cpu", copy=True)

    share_buffers(parts)
    with whole_parameters(parts) as parameters:
        keep(WEIGHTS_PREFIX, PARTS_PREFIX, (parameters | named_buffers_of(parts)).items())
    keep("", "", gather_moments(engine, parts))
    if mean is not None:
        keep(EMA_PREFIX, EMA_PARTS_PREFIX, (named_parameters_of(mean.parts) | named_buffers_of(mean.parts)).items())
    return tensors


def write_patterns(folder: Path, epoch: int, patterns: Mapping[str, npt.NDArray[np.float32]]) -> None:
    """Write what is measured by now: `masks/epoch-0003.npz`, the arrays by name.

    Raises:
        StorageError: The folder cannot be written.
    """
    with atomic_path(folder / MASKS / f"epoch-{epoch:04d}.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **patterns)  # type: ignore[arg-type]


def write_weights(
    folder: Path,
    config: RunConfig,
    parts: nn.ModuleDict,
    mean: RunningMean,
    record: Mapping[str, Any],
    *,
    is_first: bool,
) -> None:
    """What `reconstruct` loads; what else was trained lies beside it. All processes take part.

    Args:
        folder: Of the run.
        config: Of the run.
        parts: What is trained.
        mean: The weights that are kept.
        record: What the files say of the run.
        is_first: Whether this process writes.

    Raises:
        StorageError: The folder cannot be written.
    """
    for name in [name for name in parts if name not in KEPT]:
        part = nn.ModuleDict({name: parts[name]})
        # Gathered by all: ZeRO 3 has a share of each weight on every process.
        with whole_parameters(part):
            if is_first:
                write_tensors(folder / PARTS / f"{name}.safetensors", parts[name].state_dict(), record)
    if is_first:
        tensors = {
            prefix + name: value
            for prefix, module in named_modules_of(mean.parts)
            for name, value in module.state_dict().items()
        }
        save_weights(folder / WEIGHTS_FILE, config.model, config.model_config, tensors, record)
