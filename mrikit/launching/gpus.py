"""GPUs of this machine, and what computes on them."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mrikit.errors import ConfigError, JobError

VISIBLE = "CUDA_VISIBLE_DEVICES"
_PROGRAM = "nvidia-smi"
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU, or the part of one that CUDA_VISIBLE_DEVICES names."""

    index: str
    """As nvidia-smi counts."""
    uuid: str
    """Its name for ever."""


def visible_gpus() -> list[Gpu] | None:
    """The GPUs of this machine that CUDA_VISIBLE_DEVICES leaves, in its order; None without nvidia-smi.

    Raises:
        JobError: nvidia-smi fails.
    """
    rows = _ask("gpu=index,uuid")
    if rows is None:
        return None
    gpus = [Gpu(*row) for row in rows]
    if VISIBLE not in os.environ:
        return gpus
    chosen: list[Gpu] = []
    for entry in map(str.strip, os.environ[VISIBLE].split(",")):
        found = [gpu for gpu in gpus if entry == gpu.index or (entry.startswith("GPU-") and gpu.uuid.startswith(entry))]
        found = found or ([Gpu(entry, entry)] if entry.startswith("MIG-") else [])
        if len(found) != 1:  # CUDA too stops at the first that it does not know
            break
        chosen += found
    return list(dict.fromkeys(chosen))


def require_gpus(backend: str, num_needed: int, gpus: Sequence[Gpu] | None) -> None:
    """See that this machine has so many GPUs, free or not.

    Args:
        backend: Name of the back end.
        num_needed: How many.
        gpus: See `visible_gpus`; without nvidia-smi the devices of the system are counted.

    Raises:
        ConfigError: It has not.
    """
    if gpus is None:
        # Windows lends its GPUs to Linux by one device for all.
        devices = [path for path in Path("/dev").glob("nvidia[0-9]*") if path.name[6:].isdigit()]
        num_here, bound = num_needed if Path("/dev/dxg").exists() else len(devices), ""
    else:
        num_here = len(gpus)
        bound = f" with {VISIBLE}={os.environ[VISIBLE]}" if VISIBLE in os.environ else ""
    if num_needed > num_here:
        raise ConfigError(
            f"--on {backend} --gpus {num_needed}: this machine has {num_here}{bound}; take fewer, or --processes "
            f"without GPUs"
        )


def computing() -> dict[str, str]:
    """UUID of each GPU that somebody computes on now, and the id of a process that does.

    Raises:
        JobError: nvidia-smi fails.
    """
    return dict(_ask("compute-apps=gpu_uuid,pid") or [])


def _ask(query: str) -> list[tuple[str, str]] | None:
    """The pairs of an answer of nvidia-smi; None where there is no such program."""
    words = [_PROGRAM, f"--query-{query}", "--format=csv,noheader"]
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=_TIMEOUT_S
        )
    except FileNotFoundError:
        return None
    except subprocess.TimeoutExpired as error:
        raise JobError(f"`{_PROGRAM}` has not answered for {_TIMEOUT_S:g} s; are the GPUs well?") from error
    if done.returncode:
        said = " ".join((done.stdout + done.stderr).split())
        raise JobError(f"`{_PROGRAM}` fails, so nobody knows which GPUs are free: {said or done.returncode}")
    pairs = [line.partition(",") for line in done.stdout.splitlines() if "," in line]
    return [(first.strip(), second.strip()) for first, _, second in pairs]
