"""Checks of the container that this runs in: user, driver, GPUs, and how machines would talk."""

import os

from mrikit.estate.diagnosis import MISSING, OK, WARNING, Diagnosis
from mrikit.runs.driver import driver_problem, driver_version
from mrikit.runs.transport import find_fabric


def container_diagnoses() -> tuple[Diagnosis, ...]:
    """What a job would find where this runs; loads torch."""
    import torch

    cuda = torch.version.cuda
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())] if cuda else []
    return (
        user_diagnosis(os.environ.get("MRIKIT_IMAGE", ""), os.getuid()),
        gpu_diagnosis(driver_version(), cuda, gpus),
        fabric_diagnosis(),
    )


def user_diagnosis(image: str, user: int) -> Diagnosis:
    """In what it runs, and as whom."""
    return Diagnosis("container", OK, f"{image or 'none of mrikit'}, user {user}{' (root)' if user == 0 else ''}")


def gpu_diagnosis(driver: str, cuda: str | None, gpus: list[str]) -> Diagnosis:
    """Whether torch computes on the GPUs of the machine.

    Args:
        driver: Version of NVIDIA's driver; empty if there is none.
        cuda: What torch was built for; None for CPUs.
        gpus: Names of the GPUs that torch sees.
    """
    if gpus:
        return Diagnosis("GPU", OK, f"{len(gpus)} x {gpus[0]}, driver {driver or 'unknown'}, torch for CUDA {cuda}")
    if driver and cuda is None:
        return Diagnosis("GPU", WARNING, f"driver {driver}, but torch is for CPUs only", "take the image mrikit")
    if driver:
        problem, _, remedy = driver_problem(driver, cuda).partition("; ")
        what = problem or f"driver {driver}, torch for CUDA {cuda}, but torch sees no GPU"
        return Diagnosis("GPU", MISSING, what, remedy or "give the container the GPUs: docker run --gpus all")
    return Diagnosis("GPU", OK if cuda is None else WARNING, "no NVIDIA driver; it computes on the CPU")


def fabric_diagnosis() -> Diagnosis:
    """Whether NCCL could use InfiniBand between machines."""
    fabric = find_fabric(os.environ)
    if not fabric.lacks:
        return Diagnosis("InfiniBand", OK, f"{len(fabric.adapters)} adapters: {', '.join(fabric.adapters)}")
    # Most machines have none, and need none.
    state = WARNING if fabric.adapters else OK
    return Diagnosis("InfiniBand", state, f"between machines NCCL takes TCP: {fabric.lacks}")
