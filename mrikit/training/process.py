"""The processes of a run: this one's rank among them, its device, and DeepSpeed made ready."""

import contextlib
import hashlib
import logging
import os
import platform
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist

from mrikit.errors import ConfigError

_LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """One process of a run."""

    rank: int
    """Number of this process, from 0."""
    world_size: int
    """Number of processes."""
    device: torch.device
    """Where it computes."""

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes files and talks."""
        return self.rank == 0


@contextlib.contextmanager
def joined(device: str) -> Iterator[Process]:
    """This process as one of a run: those that torchrun started, or the only one.

    Args:
        device: `cpu` or `cuda`; of several GPUs each process takes its own.

    Raises:
        ConfigError: The environment names a launcher but not everything that it sets.
    """
    kind = torch.device(device).type
    os.environ.setdefault("DS_ACCELERATOR", kind)  # read when deepspeed is imported
    os.environ.setdefault("TORCH_EXTENSIONS_DIR", str(_extensions_folder()))
    rank, world_size, local_rank = _place()
    target = torch.device(device)
    if kind == "cuda":
        target = torch.device("cuda", local_rank if world_size > 1 else target.index or 0)
        torch.cuda.set_device(target)
    backend = "nccl" if kind == "cuda" else "gloo"
    if world_size > 1:
        dist.init_process_group(backend)
    else:
        # A store in memory needs neither port nor host name.
        store = dist.HashStore()  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=store, rank=0, world_size=1)
    try:
        with _local_rank_set(local_rank), _quiet_deepspeed():
            _prepare_deepspeed(backend)
            yield Process(rank=rank, world_size=world_size, device=target)
    finally:
        dist.destroy_process_group()
        _forget_deepspeed()


def _place() -> tuple[int, int, int]:
    """Rank, number of processes and rank on this machine."""
    found = [name for name in _LAUNCHED if name in os.environ]
    if "RANK" not in found and "WORLD_SIZE" not in found:
        return 0, 1, 0
    missing = [name for name in _LAUNCHED if name not in os.environ]
    if missing:
        raise ConfigError(
            f"the environment sets {', '.join(found)} but not {', '.join(missing)}; start the processes with torchrun, "
            f"or unset RANK and WORLD_SIZE for one process"
        )
    try:
        rank, world_size, local_rank = (int(os.environ[name]) for name in _LAUNCHED[:3])
    except ValueError as error:
        raise ConfigError(f"RANK, WORLD_SIZE and LOCAL_RANK in the environment are whole numbers: {error}") from error
    return rank, world_size, local_rank


def _prepare_deepspeed(backend: str) -> None:
    import deepspeed
    from deepspeed.utils import logger

    logger.setLevel(logging.ERROR)
    # Its shared-memory reduction for CPUs is compiled at every first use, for 40 s, and refuses to start without a
    # compiler; gloo does the same work.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend=backend, verbose=False)


def _forget_deepspeed() -> None:
    """DeepSpeed keeps the group of its first run for ever; another run in this process has a group of its own."""
    import deepspeed.comm
    from deepspeed.utils import groups

    deepspeed.comm.comm.cdb = None
    for name in ("_WORLD_GROUP", "_ZERO_PARAM_INTRA_PARALLEL_GROUP"):
        setattr(groups, name, None)


@contextlib.contextmanager
def _local_rank_set(local_rank: int) -> Iterator[None]:
    """DeepSpeed asks the environment even for one process."""
    before = os.environ.get("LOCAL_RANK")
    os.environ["LOCAL_RANK"] = str(local_rank)
    try:
        yield
    finally:
        if before is None:
            del os.environ["LOCAL_RANK"]


@contextlib.contextmanager
def _quiet_deepspeed() -> Iterator[None]:
    """Without the warnings that DeepSpeed raises about its own calls into torch."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*(all_gather_into|reduce_scatter)_tensor.*")
        warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*torch.jit.script")
        yield


def _extensions_folder() -> Path:
    """Where compiled operators are kept: they use every instruction of the CPU, so each kind of CPU has its own."""
    with contextlib.suppress(OSError):
        flags = [
            line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith(("flags", "Features"))
        ]
        digest = hashlib.sha256((flags or [platform.processor()])[0].encode()).hexdigest()[:8]
        return Path.home() / ".cache" / "mrikit" / f"torch-{torch.__version__}-{platform.machine()}-{digest}"
    return Path.home() / ".cache" / "mrikit" / f"torch-{torch.__version__}-{platform.machine()}"
