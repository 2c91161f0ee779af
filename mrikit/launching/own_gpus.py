"""Choice of free GPUs for each local job."""

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import replace

from mrikit.errors import JobError
from mrikit.launching.backends import BACKENDS, open_backend, traits_of
from mrikit.launching.gpus import Gpu, computing, require_gpus, visible_gpus
from mrikit.launching.job import GOING_ON, JobSpec
from mrikit.words import counted


class GpusTakenError(JobError):
    """Too few GPUs are free now; later there may be more."""


def with_gpus(backend: str, chain: Sequence[JobSpec]) -> list[JobSpec]:
    """Jobs with GPUs of this machine of their own; those of a chain share, for they run one after the other.

    A job holds its GPUs until it is over, whatever its processes do. Nobody else may choose between this and
    submitting: see `records.submitting`.

    Args:
        backend: Name of the back end. Elsewhere than on this machine nothing is chosen.
        chain: Jobs to submit.

    Raises:
        ConfigError: This machine has too few.
        GpusTakenError: Too few are free; the message says who holds them.
        JobError: nvidia-smi fails, or a file of a job is damaged.
    """
    chain = [replace(spec, gpu_ids=()) for spec in chain]
    num_needed = max((spec.nodes * spec.gpus_per_node for spec in chain), default=0)
    if not num_needed or not traits_of(backend).uses_this_machine():
        return chain
    gpus = visible_gpus()
    if gpus is None:
        return chain
    require_gpus(backend, num_needed, gpus)
    holders = _holders(gpus, besides={spec.name for spec in chain})
    free = tuple(gpu.index for gpu in gpus if gpu.index not in holders)
    if len(free) < num_needed:
        held = ", ".join(f"{index} by {holder}" for index, holder in holders.items())
        raise GpusTakenError(
            f"--gpus {num_needed}: {len(free)} of the {counted(len(gpus), 'GPU')} here can be had; held are {held}; "
            f"wait for one of them, or take fewer"
        )
    return [replace(spec, gpu_ids=free[: spec.nodes * spec.gpus_per_node]) for spec in chain]


def _holders(gpus: Sequence[Gpu], besides: Collection[str]) -> dict[str, str]:
    """Index of each GPU that is taken, and by whom: a job that goes on, or a process that nobody knows."""
    jobs: dict[str, str] = {}
    for traits in (one for one in BACKENDS.values() if one.uses_this_machine()):
        backend = open_backend(traits.name)
        with contextlib.suppress(*[JobError] if traits.has_engine else []):
            for spec, handle in backend.find():
                is_other = spec.gpu_ids and spec.name not in besides
                if is_other and backend.status(spec, handle).state in GOING_ON:
                    jobs |= dict.fromkeys(spec.gpu_ids, f"job {spec.name}")
    processes = {uuid: f"process {number}" for uuid, number in computing().items()}
    found = {gpu.index: jobs.get(gpu.index) or processes.get(gpu.uuid) for gpu in gpus}
    return {index: holder for index, holder in found.items() if holder is not None}
