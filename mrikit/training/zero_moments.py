"""Weights and moments of a DeepSpeed engine as whole tensors, however ZeRO has sharded them.

DeepSpeed's own checkpoints are pickles that only load with the same number of processes and the same ZeRO stage, and
that restore the gradient clipping of the old run. Whole tensors by name have none of this, and are the same bits.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mrikit.checkpoint import MOMENTS
from mrikit.training.optimizer import is_cpu_adam
from mrikit.training.parts import named_parameters_of

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine


@contextlib.contextmanager
def whole_parameters(parts: nn.ModuleDict) -> Iterator[dict[str, nn.Parameter]]:
    """The parameters of all parts by their names in files, gathered from all processes for the time of the block."""
    from deepspeed import zero

    named = named_parameters_of(parts)
    with zero.GatheredParameters(list(named.values())):
        yield named


def trained_parameters(parts: nn.ModuleDict) -> Iterator[tuple[str, nn.Parameter]]:
    """Name and parameter of all that are trained: some networks have frozen ones."""
    return ((name, parameter) for name, parameter in named_parameters_of(parts).items() if parameter.requires_grad)


def gather_moments(engine: "DeepSpeedEngine", parts: nn.ModuleDict) -> Iterator[tuple[str, torch.Tensor]]:
    """Adam's moments after at least one step, whole, on the device; all processes take part to the end.

    Args:
        engine: Of the parts.
        parts: Whose parameters it trains.

    Yields:
        `exp_avg/NAME` or `exp_avg_sq/NAME` and the tensor, which the next step may change.
    """
    from deepspeed.utils import safe_get_full_optimizer_state

    for name, parameter in trained_parameters(parts):
        for moment in MOMENTS:
            if engine.zero_optimization_stage() == 0:
                found = engine.optimizer.state[parameter][moment]
            else:
                found = safe_get_full_optimizer_state(parameter, moment).view(_whole_shape(parameter))
            yield f"{moment}/{name}", found.detach()


def restore_moments(
    engine: "DeepSpeedEngine", parts: nn.ModuleDict, moments: Mapping[str, torch.Tensor], num_steps: int
) -> None:
    """Put back what `gather_moments` gave, with any number of processes and any ZeRO stage.

    Args:
        engine: A new engine whose weights are already those of the checkpoint.
        parts: Whose parameters it trains.
        moments: Whole tensors by `exp_avg/NAME` and `exp_avg_sq/NAME`.
        num_steps: Optimizer steps that they are of.
    """
    from deepspeed.utils import safe_set_full_optimizer_state, safe_set_local_optimizer_state

    stage = engine.zero_optimization_stage()
    create_moments(engine, num_steps)
    for name, parameter in trained_parameters(parts):
        for moment in MOMENTS:
            if f"{moment}/{name}" not in moments:  # of a part that the run before did not have
                continue
            value = moments[f"{moment}/{name}"].to(parameter.device)
            if stage == 0:
                engine.optimizer.state[parameter][moment].copy_(value)
            elif stage < 3:
                safe_set_full_optimizer_state(parameter, value, moment)
            else:
                safe_set_local_optimizer_state(parameter, _own_shard(parameter, value), moment)


def _whole_shape(parameter: nn.Parameter) -> torch.Size:
    """The shape of the whole parameter, which ZeRO 3 hides."""
    return getattr(parameter, "ds_shape", parameter.shape)


def create_moments(engine: "DeepSpeedEngine", num_steps: int = 0) -> None:
    """Zero moments where Adam would make them at its first step.

    A new run needs them too: ZeRO 1 and 2 look for them when their first group has made its step, and never find those
    of a second one.

    Args:
        engine: A new engine.
        num_steps: Optimizer steps that they are of.
    """
    stage = engine.zero_optimization_stage()
    optimizer = engine.optimizer if stage == 0 else engine.optimizer.optimizer
    # ZeRO 3 hands the optimizer its flat shards one by one at each step.
    flat = (
        engine.optimizer.fp32_partitioned_groups_flat
        if stage == 3
        else [parameter for group in optimizer.param_groups for parameter in group["params"]]
    )
    for shard in flat:
        state: dict[str, Any] = {moment: torch.zeros_like(shard.data) for moment in MOMENTS}
        # CPU-Adam counts in Python, torch's AdamW in a tensor.
        state["step"] = num_steps if is_cpu_adam(optimizer) else torch.tensor(float(num_steps))
        optimizer.state[shard] = state
    if stage in (1, 2):
        engine.optimizer._lazy_init_hp_params_optimizer_state()  # noqa: SLF001 - what its first step calls


def _own_shard(parameter: nn.Parameter, value: torch.Tensor) -> torch.Tensor:
    """This process's part of a whole tensor, padded with zeros at the end."""
    size = parameter.ds_tensor.numel()  # type: ignore[attr-defined]
    rank, world_size = torch.distributed.get_rank(), torch.distributed.get_world_size()
    padded = value.new_zeros(size * world_size)
    padded[: value.numel()] = value.flatten()
    return padded[size * rank : size * (rank + 1)]
