"""The most memory that a reconstruction took, and on what."""

import platform
import resource
import sys
from typing import Any

import torch


def begin_peak(device: torch.device | str) -> None:
    """Forget the peak of a GPU so far; that of a process on a CPU cannot be forgotten."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_facts(device: torch.device | str) -> dict[str, Any]:
    """What the device is, and the peak of its memory since `begin_peak`, or of this process, as JSON.

    On a CPU the peak counts everything that the process ever held, Python and libraries included.
    """
    if torch.device(device).type == "cuda":
        peak, of = torch.cuda.max_memory_allocated(device), "device"
    else:
        unit = 1 if sys.platform == "darwin" else 1024
        peak, of = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, "process"
    return {"device": device_name(device), "peak_memory_bytes": peak, "memory_of": of}


def device_name(device: torch.device | str) -> str:
    """What computes, for people: the name of the GPU, or the kind of processor and how many threads of it."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()}, {torch.get_num_threads()} at a time"
