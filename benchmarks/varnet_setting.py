"""What the VarNet benchmarks share: two networks with the same weights, each variant in a process of its own."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastmri.models
import torch
from setting import NUM_CENTER_LINES, make_scan, print_setting

from mrikit.models.published_fastmri import fastmri_varnet_state
from mrikit.models.varnet import VarNet, VarNetConfig
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c

SIZES = {"small": (4, (8, 320, 184)), "full": (12, (15, 640, 368))}
"""Cascades and (coil, readout, phase)."""
_ENVIRONMENT = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD", "THP_MEM_ALLOC", "PYTORCH_", "OMP_", "KMP_")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One row of a table."""

    peer: bool = False
    """Whether fastMRI's network."""
    rounded: bool = False
    """Whether under bfloat16 autocast."""
    use_checkpoint: bool = False
    """Whether cascades are computed twice instead of kept."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A network and what it needs, on the device."""

    reconstruct: Callable[[], torch.Tensor]
    """The network's (1, y, x) magnitude."""
    network: torch.nn.Module
    reference: torch.Tensor
    """(1, y, x) float32."""
    device: str


def build(variant: Variant, size: str, device: str, weights: Path) -> Problem:
    """Load fastMRI's weights into one of the two and put it with its data on the device."""
    num_cascades, matrix = SIZES[size]
    scan = make_scan(*matrix)
    kspace = torch.where(scan.mask, scan.kspace, 0.0)[None].to(device)
    reference = rss(ifft2c(scan.kspace))[None].to(device)
    mask = scan.mask.view(1, 1, 1, -1).to(device)
    state = torch.load(weights, weights_only=True, mmap=True)
    if variant.peer:
        network: torch.nn.Module = fastmri.models.VarNet(num_cascades=num_cascades)
        inputs: tuple[Any, ...] = (torch.view_as_real(kspace), mask.unsqueeze(-1), NUM_CENTER_LINES)
    else:
        network = VarNet(VarNetConfig(num_cascades=num_cascades, use_checkpoint=variant.use_checkpoint))
        state = fastmri_varnet_state(state)
        inputs = (kspace, mask, torch.tensor([NUM_CENTER_LINES], device=device))
    network.load_state_dict(state)
    network.to(device)

    def reconstruct() -> torch.Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=variant.rounded):
            return network(*inputs)

    return Problem(reconstruct=reconstruct, network=network, reference=reference, device=device)


def clock(work: Callable[[], object], device: str) -> tuple[float, float]:
    """Seconds, the device's work included; and seconds of all of this process's threads, whoever else is busy."""
    start, start_of_process = time.perf_counter(), time.process_time()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, time.process_time() - start_of_process


def peak_memory_gb(device: str) -> float:
    """Most memory so far: torch's on a GPU, all of the process on a CPU; 10^9 bytes."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    # getrusage would count what the parent process held when it started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e9


def make_parser(description: str | None, variants: dict[str, Variant]) -> argparse.ArgumentParser:
    """The options of both scripts; `--variant` and `--state` are for the processes they start."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--size", choices=list(SIZES), default="full")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--num-rounds", type=int, default=3, help="how often the variants take turns")
    parser.add_argument("--num-times", type=int, default=2, help="what is timed in each turn")
    parser.add_argument("--variant", choices=list(variants), help=argparse.SUPPRESS)
    parser.add_argument("--state", type=Path, help=argparse.SUPPRESS)
    return parser


def take_turns_in_processes(arguments: argparse.Namespace, variants: dict[str, Variant]) -> dict[str, list[Any]]:
    """What the process of each variant printed in each turn."""
    num_cascades, matrix = SIZES[arguments.size]
    print_setting()
    settings = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith(_ENVIRONMENT)]
    print(f"{num_cascades} cascades, {' x '.join(map(str, matrix))}; {describe_device(arguments.device)}")
    print(f"environment of both: {', '.join(settings) or 'as it comes, glibc malloc'}")
    replies: dict[str, list[Any]] = {name: [] for name in variants}
    with tempfile.TemporaryDirectory(prefix="mrikit-varnet-") as folder:
        state = Path(folder, "fastmri.pt")
        torch.manual_seed(0)
        torch.save(fastmri.models.VarNet(num_cascades=num_cascades).state_dict(), state)
        for _ in range(arguments.num_rounds):
            for name in variants:
                command = [sys.executable, *sys.argv, "--variant", name, "--state", str(state)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                replies[name].append(json.loads(done.stdout))
    return replies


def describe_device(device: str) -> str:
    """The GPU, or what of the CPU matters to bfloat16."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    flags = set(Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split())
    return f"CPU, bfloat16 in {' and '.join(sorted(flags & {'avx512_bf16', 'amx_bf16'})) or 'no instruction'}"


def median_seconds(turns: list[Any]) -> tuple[float, float]:
    """What `clock` gave, over all turns of a variant."""
    wall, process = zip(*(times for turn in turns for times in turn["seconds"]), strict=True)
    return statistics.median(wall), statistics.median(process)
