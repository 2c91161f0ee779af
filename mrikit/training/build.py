"""What a run trains with, built from its settings."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from mrikit.models import convolutional_parts
from mrikit.runs.position import State
from mrikit.runs.process import Process
from mrikit.training.config import RunConfig
from mrikit.training.deepspeed_config import deepspeed_config
from mrikit.training.objectives import Group, Objective
from mrikit.training.optimizer import build_optimizer, is_cpu_adam
from mrikit.training.parts import RunningMean, checked_groups, initial_parts, load_parts, named_modules_of
from mrikit.training.zero_moments import create_moments, restore_moments

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine


class Machinery(NamedTuple):
    """Everything that holds numbers of a run."""

    parts: nn.ModuleDict
    """What is trained."""
    mean: RunningMean
    """Weights that are validated and kept."""
    groups: Sequence[Group]
    """Parameters that learn alike, in the order of the optimizer's groups."""
    optimizer: torch.optim.Optimizer
    engine: "DeepSpeedEngine"
    """Of `Parts`: called with a ScanBatch and a Draw it gives the losses."""
    num_weights: int
    """Trained numbers."""


def build(
    config: RunConfig, objective: Objective, process: Process, state: State | None, say: Callable[[str], None]
) -> Machinery:
    """Build it all; every process takes part.

    Args:
        config: What to train.
        objective: Of the run.
        process: This one among those that compute together.
        state: Checkpoint to resume from, or weights to begin with; None for random ones.
        say: Called with one line where something takes long or goes another way.

    Raises:
        ConfigError: The objective's groups are not what its parts train.
    """
    import deepspeed

    module = initial_parts(config, objective)
    parts = module.parts
    groups = checked_groups(objective, parts)
    if state:
        load_parts(parts, state.weights)
    module.to(process.device)
    mean = RunningMean(parts, config.training.ema_decay)
    if state and state.mean and config.training.ema_decay:
        load_parts(mean.parts, state.mean)
    if config.execution.compile:
        _compile(parts, config.model, say)
    optimizer = build_optimizer(groups, config.training, config.execution, say)
    ds_config = deepspeed_config(
        config.training,
        config.execution,
        world_size=process.world_size,
        has_cpu_adam=is_cpu_adam(optimizer),
        is_pinned=process.device.type == "cuda",
    )
    num_weights = sum(parameter.numel() for group in groups for parameter in group.parameters)
    engine, *_ = deepspeed.initialize(model=module, optimizer=optimizer, config=ds_config, dist_init_required=False)
    if state and state.moments:
        restore_moments(engine, parts, state.moments, state.position.step + state.position.carried_steps)
    else:
        create_moments(engine)
    return Machinery(parts, mean, groups, optimizer, engine, num_weights)


def _compile(parts: nn.ModuleDict, model: str, say: Callable[[str], None]) -> None:
    found = [part for _, module in named_modules_of(parts) for part in convolutional_parts(module)]
    for part in found:
        part.compile()
    if found:
        say(f"torch.compile works on {len(found)} parts of the network at the first step, which may take minutes")
    else:
        say(f"execution.compile has no effect on {model}, which has no part to compile")
