"""The dictionary that DeepSpeed wants, from ours."""

from typing import Any

from mrikit.errors import ConfigError
from mrikit.training.config import ExecutionConfig, TrainingConfig

_BUCKET = 50_000_000
"""Numbers that ZeRO 1 and 2 reduce together: all of the usual network. DeepSpeed's 5e8 take 2 GB of a small GPU."""


def deepspeed_config(
    training: TrainingConfig, execution: ExecutionConfig, *, world_size: int, has_cpu_adam: bool, is_pinned: bool
) -> dict[str, Any]:
    """DeepSpeed's configuration of a run.

    Precision is not in it: bfloat16 is torch's autocast inside the network. Nor are optimizer and schedule, which are
    ours.

    Args:
        training: Batch sizes and clipping.
        execution: ZeRO stage and offloading.
        world_size: Number of processes.
        has_cpu_adam: Whether the optimizer is DeepSpeed's CPU-Adam.
        is_pinned: Whether offloaded moments lie in pinned memory, for a GPU.

    Raises:
        ConfigError: The batch cannot be shared equally by the processes.
    """
    zero: dict[str, Any] = {"stage": execution.zero_stage}
    if execution.zero_stage == 3:
        # Else torch's linear is replaced for the whole process, for good, by one that rounds differently.
        zero["memory_efficient_linear"] = False
    elif execution.zero_stage:
        zero["reduce_bucket_size"] = zero["allgather_bucket_size"] = _BUCKET
    if execution.offload_optimizer:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": is_pinned}
    return {
        "train_batch_size": training.batch_size,
        "train_micro_batch_size_per_gpu": training.micro_batch_size,
        "gradient_accumulation_steps": accumulation_steps(training, world_size),
        "gradient_clipping": training.max_grad_norm,
        "zero_optimization": zero,
        # torch's AdamW is one that DeepSpeed has not tested with ZeRO; our tests compare all stages with it alone.
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": has_cpu_adam,
        "steps_per_print": 10**9,
    }


def accumulation_steps(training: TrainingConfig, world_size: int) -> int:
    """Micro-batches that each process computes for one optimizer step.

    Raises:
        ConfigError: The batch cannot be shared equally by the processes.
    """
    at_once = training.micro_batch_size * world_size
    if training.batch_size % at_once:
        raise ConfigError(
            f"{training.batch_size} slices of an optimizer step cannot be shared by {world_size} processes that take "
            f"{training.micro_batch_size} at a time; set training.batch_size to a multiple of {at_once}"
        )
    return training.batch_size // at_once
