"""The optimizer: torch's AdamW, or DeepSpeed's CPU-Adam where moments are offloaded."""

import contextlib
import logging
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from mrikit.checkpoint import MOMENTS
from mrikit.errors import StorageError
from mrikit.storage.lock import alone
from mrikit.training.config import ExecutionConfig, TrainingConfig
from mrikit.training.objectives import Group


def build_optimizer(
    declared: Sequence[Group],
    training: TrainingConfig,
    execution: ExecutionConfig,
    say: Callable[[str], None],
) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay, a group of parameters for each that an objective declares.

    Offloaded moments are updated by CPU-Adam, which is compiled once for this machine, for about a minute; where that
    fails on any process, all use torch's AdamW and say so.

    Args:
        declared: The groups, in the order of the optimizer's own.
        training: Rate and moments.
        execution: Whether moments are offloaded.
        say: Called with one line where something takes long or goes another way.
    """
    groups: list[dict[str, Any]] = [
        {"params": list(group.parameters), "weight_decay": group.weight_decay} for group in declared
    ]
    betas = (training.beta1, training.beta2)
    if execution.offload_optimizer and _can_use_cpu_adam(say):
        from deepspeed.ops.adam import DeepSpeedCPUAdam

        optimizer: torch.optim.Optimizer = DeepSpeedCPUAdam(groups, lr=training.max_lr, betas=betas, adamw_mode=True)
        return optimizer
    return torch.optim.AdamW(groups, lr=training.max_lr, betas=betas)


def is_cpu_adam(optimizer: torch.optim.Optimizer) -> bool:
    """Whether it is DeepSpeed's."""
    return type(optimizer).__name__ == "DeepSpeedCPUAdam"


def forget_last_step(optimizer: torch.optim.Optimizer) -> None:
    """Let CPU-Adam compute the bias correction of its next step from the number of that step.

    It multiplies it up from one step to the next, which in float32 is not the same: a run that was resumed would differ
    in the last bit. After a step 0, of a number that nobody needs, it computes it anew.
    """
    if not is_cpu_adam(optimizer):
        return
    number = [torch.zeros(1) for _ in ("weight", "gradient", *MOMENTS)]
    group = optimizer.param_groups[0]
    operator: Any = optimizer
    operator.ds_opt_adam.adam_update(operator.opt_id, 0, 0.0, *group["betas"], group["eps"], 0.0, False, *number)


def _can_use_cpu_adam(say: Callable[[str], None]) -> bool:
    """Whether the operator is there or can be compiled on every process."""
    problem = _load_cpu_adam(say)
    is_ready = torch.tensor(float(problem is None))
    if dist.get_backend() == "nccl":
        is_ready = is_ready.cuda()
    dist.all_reduce(is_ready, dist.ReduceOp.MIN)
    if not is_ready:
        say(f"CPU-Adam cannot be used ({problem or 'another process lacks it'}); torch's AdamW does the same, slower")
    return bool(is_ready)


def _load_cpu_adam(say: Callable[[str], None]) -> str | None:
    """Compile and load the operator; None, or why it cannot be."""
    from deepspeed.ops.op_builder import CPUAdamBuilder

    say("loading DeepSpeed's CPU-Adam; where it is not compiled yet this takes about a minute, once for this machine")
    try:
        # stdout is for results
        with contextlib.redirect_stdout(sys.stderr), _ninja_on_path(), _quiet_torch(), _alone(CPUAdamBuilder.NAME):
            CPUAdamBuilder().load(verbose=False)
    except (RuntimeError, ImportError, OSError, subprocess.SubprocessError) as error:
        if shutil.which("c++") is None and shutil.which("g++") is None:
            return "there is no C++ compiler"
        return textwrap.shorten(str(error), 120)
    return None


@contextlib.contextmanager
def _ninja_on_path() -> Iterator[None]:
    """Ninja lies beside Python, where a command that was called by its whole path does not look.

    It comes first, because one of another version would compile everything again.
    """
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join(filter(None, [str(Path(sys.executable).parent), before]))
    try:
        yield
    finally:
        os.environ["PATH"] = before


@contextlib.contextmanager
def _quiet_torch() -> Iterator[None]:
    """Without ten lines of torch on a compiler that is not there."""
    logger = logging.getLogger("torch.utils.cpp_extension")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    """Compile an operator while no other process does.

    torch has a lock of its own, but one that outlives a killed process: everybody after it would wait for ever.
    """
    folder = Path(os.environ["TORCH_EXTENSIONS_DIR"])
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(StorageError):  # an operator that was installed needs no folder
            stack.enter_context(alone(folder / f"{name}.lock", "set TORCH_EXTENSIONS_DIR", is_needed=True))
            (folder / name / "lock").unlink(missing_ok=True)
        yield
