"""How many processes a launcher has started, and which of them this is: torchrun, Azure ML, Slurm, MPI, or nobody."""

import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from mrikit.errors import ConfigError

_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
_MPI = ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK")
_SLURM = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
_MPI_PORT = 6105
"""Azure ML's own for PyTorch, free where it starts MPI."""
_FIRST_PORT, _NUM_PORTS = 20_000, 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """One process among those of a launch."""

    launcher: str
    """torchrun (Azure ML's PyTorch jobs look the same), mpi, slurm, or none."""
    rank: int
    """Number of this process, from 0."""
    local_rank: int
    """Its number on this machine, from 0."""
    world_size: int
    """Number of all processes, at least 1."""
    master_address: str
    """Host of the first process; empty for a process alone."""
    master_port: int
    """Port at which all meet there; 0 for a process alone."""


def read_launch(environ: Mapping[str, str]) -> Launch:
    """The launch that an environment tells of; a process alone where it tells of none.

    A shell in a Slurm allocation is no launch: only steps that `srun` starts are.

    Args:
        environ: The process's environment.

    Raises:
        ConfigError: The environment of a launcher lacks something, or holds something that is no number.
    """
    if "RANK" in environ or "WORLD_SIZE" in environ:
        return _torchrun(environ)
    if "OMPI_COMM_WORLD_SIZE" in environ:
        return _mpi(environ)
    # The batch script of a job has the other variables, too, although nobody started it more than once.
    if environ.get("SLURM_STEP_NUM_TASKS", "1") != "1":
        return _slurm(environ)
    return Launch(launcher="none", rank=0, local_rank=0, world_size=1, master_address="", master_port=0)


def adopt_launch(environ: MutableMapping[str, str]) -> None:
    """Write the launch of Slurm or MPI into an environment as torchrun does, which is what everything else reads.

    Raises:
        ConfigError: See `read_launch`.
    """
    if "RANK" in environ or "WORLD_SIZE" in environ:
        return
    launch = read_launch(environ)
    if launch.world_size > 1:
        values = (launch.rank, launch.world_size, launch.local_rank, launch.master_address, launch.master_port)
        environ.update({name: str(value) for name, value in zip(_TORCHRUN, values, strict=True)})


def _torchrun(environ: Mapping[str, str]) -> Launch:
    missing = [name for name in _TORCHRUN if name not in environ]
    if missing:
        found = [name for name in _TORCHRUN if name in environ]
        raise ConfigError(
            f"the environment sets {', '.join(found)} but not {', '.join(missing)}; start the processes with torchrun, "
            f"or unset RANK and WORLD_SIZE for one process"
        )
    rank, world_size, local_rank = _numbers(environ, _TORCHRUN[:3])
    (port,) = _numbers(environ, ("MASTER_PORT",))
    return _launch("torchrun", rank, world_size, local_rank, environ["MASTER_ADDR"], port)


def _mpi(environ: Mapping[str, str]) -> Launch:
    rank, world_size, local_rank = _numbers(environ, _MPI)
    port = _numbers(environ, ("MASTER_PORT",))[0] if "MASTER_PORT" in environ else _MPI_PORT
    (on_this,) = _numbers(environ, ("OMPI_COMM_WORLD_LOCAL_SIZE",), world_size)
    address = environ.get("MASTER_ADDR", "")
    if not address:
        # Azure Batch names its first node with a port of its own.
        batch = environ.get("AZ_BATCH_MASTER_NODE", environ.get("AZ_BATCHAI_MPI_MASTER_NODE", ""))
        address = batch.partition(":")[0] if on_this < world_size else "127.0.0.1"
    if not address:
        raise ConfigError(
            f"MPI started {world_size} processes on several machines and nobody says where they meet; set MASTER_ADDR "
            f"to the host of the first one"
        )
    return _launch("mpi", rank, world_size, local_rank, address, port)


def _slurm(environ: Mapping[str, str]) -> Launch:
    rank, world_size, local_rank = _numbers(environ, _SLURM)
    nodes = environ.get("SLURM_STEP_NODELIST", environ.get("SLURM_JOB_NODELIST", ""))
    address = environ.get("MASTER_ADDR") or first_host(nodes)
    if not address:
        raise ConfigError(
            f"srun started {world_size} processes and SLURM_STEP_NODELIST names no machine; set MASTER_ADDR"
        )
    # Two jobs on one machine meet at ports of their own; every process of one finds the same.
    (job,) = _numbers(environ, ("SLURM_JOB_ID",), 0)
    (port,) = _numbers(environ, ("MASTER_PORT",), _FIRST_PORT + job % _NUM_PORTS)
    return _launch("slurm", rank, world_size, local_rank, address, port)


def first_host(nodes: str) -> str:
    """The first machine of a list as Slurm writes it: `gpu07` of `gpu[07-09,12],big1`; empty for an empty list."""
    match = re.match(r"([^,\[]*)(?:\[([^\],-]+)[^\]]*\])?([^,]*)", nodes)
    return "" if match is None else "".join(part or "" for part in match.groups())


def _launch(launcher: str, rank: int, world_size: int, local_rank: int, address: str, port: int) -> Launch:
    if not 0 <= rank < world_size or local_rank < 0:
        raise ConfigError(
            f"{launcher} says that this is process {rank} of {world_size}, number {local_rank} on its machine; they "
            f"count from 0"
        )
    return Launch(
        launcher=launcher,
        rank=rank,
        local_rank=local_rank,
        world_size=world_size,
        master_address=address,
        master_port=port,
    )


def _numbers(environ: Mapping[str, str], names: tuple[str, ...], default: int | None = None) -> list[int]:
    missing = [name for name in names if name not in environ] if default is None else []
    if missing:
        raise ConfigError(f"the environment of a launcher lacks {', '.join(missing)}; was it changed by hand?")
    try:
        return [int(environ.get(name, str(default))) for name in names]
    except ValueError:
        found = ", ".join(f"{name}='{environ.get(name)}'" for name in names)
        raise ConfigError(f"{', '.join(names)} in the environment are whole numbers; found {found}") from None
