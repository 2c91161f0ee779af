"""The processes of a run: this one's rank among them, its device, and DeepSpeed made ready."""

import contextlib
import hashlib
import itertools
import logging
import os
import platform
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist

from mrikit.errors import ConfigError, JobError, MrikitError
from mrikit.launch import read_launch
from mrikit.runs.driver import driver_problem, driver_version

_MEETINGS = itertools.count()
"""Of this process with the others, one for each run; all count alike, because all do the same runs."""


T = TypeVar("T")


class ToldElsewhereError(JobError):
    """Another process of the run tells what went wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """One process of a run."""

    rank: int
    """Number of this process, from 0."""
    world_size: int
    """Number of processes."""
    device: torch.device
    """Where it computes."""
    store: dist.Store  # type: ignore[name-defined]
    """Words that all processes share; it is there also after some of them died."""

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes files and talks."""
        return self.rank == 0

    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank; all of them take part. They are small and can be pickled."""
        values = [value] * self.world_size
        if self.world_size > 1:
            dist.all_gather_object(values, value)
        return values


@contextlib.contextmanager
def joined(device: str) -> Iterator[Process]:
    """This process as one of a run: those that torchrun started, or the only one.

    Args:
        device: `cpu` or `cuda`; of several GPUs each process takes its own.

    Raises:
        ConfigError: The environment names a launcher but not everything that it sets, or GPUs are lacking.
        JobError: The processes cannot reach each other.
    """
    kind = torch.device(device).type
    os.environ["DS_ACCELERATOR"] = kind  # read when deepspeed is imported
    os.environ.setdefault("TORCH_EXTENSIONS_DIR", str(_extensions_folder()))
    launch = read_launch(os.environ)
    rank, world_size, local_rank = launch.rank, launch.world_size, launch.local_rank
    target = torch.device(device)
    if kind == "cuda":
        target = torch.device("cuda", local_rank if world_size > 1 else target.index or 0)
        if local_rank >= torch.cuda.device_count():
            problem = driver_problem(driver_version(), torch.version.cuda) if not torch.cuda.device_count() else ""
            raise ConfigError(
                problem
                or f"process {rank} has no GPU of its own: it is number {local_rank} of this machine, which has "
                f"{torch.cuda.device_count()}; start as many processes as there are GPUs"
            )
        torch.cuda.set_device(target)
    backend = "nccl" if kind == "cuda" else "gloo"
    store = _meet(backend, rank, world_size)
    try:
        with _local_rank_set(local_rank), _quiet_deepspeed():
            _prepare_deepspeed(kind, backend)
            yield Process(rank=rank, world_size=world_size, device=target, store=store)
    finally:
        dist.destroy_process_group()
        _forget_deepspeed()


@contextlib.contextmanager
def told_once(process: Process) -> Iterator[None]:
    """Let the process that an error meets first tell it, and the others end with `ToldElsewhereError`.

    What the first one died of is the reason; what the others say is the same, or that somebody is gone.
    """
    try:
        yield
    except MrikitError as error:
        teller = process.rank
        with contextlib.suppress(RuntimeError):  # the store died with its process
            teller = int(process.store.compare_set("teller", "", str(process.rank)))
        if teller != process.rank:
            raise ToldElsewhereError(f"process {teller} of the run tells what went wrong") from error
        raise


def _meet(backend: str, rank: int, world_size: int) -> dist.Store:  # type: ignore[name-defined]
    """Join the other processes; the store that they share."""
    try:
        if world_size > 1:
            shared, _, _ = next(dist.rendezvous("env://", rank, world_size))  # type: ignore[attr-defined]
            # torchrun's store outlives a run: the next one must not find the words and addresses of this one.
            store = dist.PrefixStore(f"meeting {next(_MEETINGS)}", shared)  # type: ignore[attr-defined]
        else:
            # A store in memory needs neither port nor host name.
            store = dist.PrefixStore("", dist.HashStore())  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=store, rank=rank, world_size=world_size)
    except dist.DistError as error:
        place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        reason = str(error).splitlines()[0]
        raise JobError(f"the processes of the run do not meet at {place}: {reason}; choose another port") from error
    return store


def _prepare_deepspeed(kind: str, backend: str) -> None:
    import deepspeed
    from deepspeed.accelerator import get_accelerator, set_accelerator
    from deepspeed.utils import logger

    logger.setLevel(logging.ERROR)
    # DeepSpeed chooses a kind of device once for the process, and a run before this one may have had another.
    if get_accelerator().device_name() != kind:
        from deepspeed.accelerator.cpu_accelerator import CPU_Accelerator
        from deepspeed.accelerator.cuda_accelerator import CUDA_Accelerator

        set_accelerator(CUDA_Accelerator() if kind == "cuda" else CPU_Accelerator())
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
