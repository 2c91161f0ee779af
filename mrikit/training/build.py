"""What a run trains with: network, running mean, optimizer and DeepSpeed engine, in the state to go on from."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch

from mrikit.models import convolutional_parts
from mrikit.runs.position import State
from mrikit.runs.process import Process
from mrikit.training.config import RunConfig
from mrikit.training.deepspeed_config import deepspeed_config
from mrikit.training.network import InPrecision, RunningMean, initial_network
from mrikit.training.optimizer import build_optimizer, is_cpu_adam
from mrikit.training.zero_moments import create_moments, restore_moments

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine


class Machinery(NamedTuple):
    """Everything that holds numbers of a run."""

    network: InPrecision
    mean: RunningMean
    """Weights that are validated and kept."""
    optimizer: torch.optim.Optimizer
    engine: "DeepSpeedEngine"
    num_weights: int
    """Trained numbers."""


def begin(config: RunConfig, process: Process, state: State | None, say: Callable[[str], None]) -> Machinery:
    """Build it all; every process takes part.

    Args:
        config: What to train.
        process: This one among those that compute together.
        state: Checkpoint to go on from, or weights to begin with; None for random ones.
        say: Called with one line where something takes long or goes another way.
    """
    import deepspeed

    network = initial_network(config)
    if state:
        network.network.load_state_dict(state.weights)
    network.to(process.device)
    mean = RunningMean(network, config.training.ema_decay)
    if state and state.mean and config.training.ema_decay:
        mean.network.network.load_state_dict(state.mean)
    if config.execution.compile:
        parts = convolutional_parts(network.network)
        for part in parts:
            part.compile()
        if parts:
            say(f"torch.compile works on {len(parts)} parts of the network at the first step, which may take minutes")
        else:
            say(f"execution.compile has no effect on {config.model}, which has no part to compile")
    optimizer = build_optimizer(network.parameters(), config.training, config.execution, say)
    ds_config = deepspeed_config(
        config.training,
        config.execution,
        world_size=process.world_size,
        has_cpu_adam=is_cpu_adam(optimizer),
        is_pinned=process.device.type == "cuda",
    )
    num_weights = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    engine, *_ = deepspeed.initialize(model=network, optimizer=optimizer, config=ds_config, dist_init_required=False)
    if state and state.moments:
        num_updates = state.position.step + state.position.carried_steps
        restore_moments(engine, network.network, state.moments, num_updates)
    else:
        create_moments(engine)
    return Machinery(network, mean, optimizer, engine, num_weights)
