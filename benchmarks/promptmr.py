"""PromptMR's training step and its peak memory: each way to spend less, against the same network's plain fp32 step.

A step is the forward pass, the SSIM loss, the backward pass and AdamW, for one sample. Each variant runs in a process
of its own: one step to warm up, which compiles where asked, then the timed ones. Memory is the peak of the whole
process, Python and torch included; on a GPU what torch allocated. The plain step already has its convolutions channels
last and goes through the coils of the sensitivity network a few at a time. To compile takes a CPU minutes.

python benchmarks/promptmr.py [--full] [--device cuda] [--num-times 2] [--variant NAME ...] [--cascades 2]
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from setting import NUM_CENTER_LINES, make_scan, print_setting

from mrikit.metrics import ssim_loss
from mrikit.models import build_model, convolutional_parts
from mrikit.models.precision import autocast, real_float32
from mrikit.models.promptmr_config import CHALLENGE_SETTINGS
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c

_REDUCED = {"num_cascades": 3, "stem_width": 24, "feature_widths": (32, 40, 48), "prompt_widths": (8, 16, 24)}
_REDUCED |= {"sens_stem_width": 6, "sens_feature_widths": (8, 10, 12), "sens_prompt_widths": (2, 4, 6)}
_MATRICES = {False: (4, 192, 160), True: (15, 416, 368)}
"""(coil, readout, phase), reduced and full."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One row of the table."""

    rounded: bool = False
    """Whether convolutions run in bfloat16."""
    compiled: bool = False
    """Whether `convolutional_parts` are compiled."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the network."""


_CASCADES = {"use_checkpoint": True}
_LEVELS = {"use_checkpoint": True, "checkpoint_every": 0}
VARIANTS = {
    "fp32": Variant(),
    "fp32, checkpoints": Variant(settings=_CASCADES),
    "fp32, checkpoints of levels": Variant(settings=_LEVELS),
    "bf16": Variant(rounded=True),
    "bf16, checkpoints": Variant(rounded=True, settings=_CASCADES),
    "bf16, checkpoints of levels": Variant(rounded=True, settings=_LEVELS),
    "bf16, compiled": Variant(rounded=True, compiled=True),
    "bf16, compiled, checkpoints": Variant(rounded=True, compiled=True, settings=_CASCADES),
}


def main() -> None:
    """Print one table, or one variant's numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the challenge's size: 15 coils, 3 slices, 416 x 368")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--num-times", type=int, default=2, help="timed steps")
    parser.add_argument("--variant", choices=list(VARIANTS), action="append", help="repeatable; all by default")
    parser.add_argument("--cascades", type=int, default=0, help="cascades; 0 for those of the size")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    settings = CHALLENGE_SETTINGS | ({} if arguments.full else _REDUCED)
    if arguments.cascades:
        settings["num_cascades"] = arguments.cascades
    if arguments.child:
        print(json.dumps(measure(VARIANTS[arguments.variant[0]], settings, arguments)))
        return
    print_setting()
    matrix = " x ".join(map(str, _MATRICES[arguments.full]))
    size = f"{settings['num_cascades']} cascades, {settings['num_adjacent']} slices of {matrix}"
    print(f"{size}; {torch.cuda.get_device_name() if arguments.device == 'cuda' else 'CPU'}")
    print("\n| training step | s | times faster | CPU s | peak memory, GB | of fp32's | first step, s | first loss |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    plain: dict[str, Any] = {}
    for name in arguments.variant or VARIANTS:
        options = ["--device", arguments.device, "--num-times", str(arguments.num_times)]
        options += ["--cascades", str(arguments.cascades), *(["--full"] if arguments.full else [])]
        command = [sys.executable, __file__, "--child", "--variant", name, *options]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        plain = plain or found
        print(
            f"| {name} | {found['seconds']:.3f} | {plain['seconds'] / found['seconds']:.2f} "
            f"| {found['cpu_seconds']:.3f} | {found['memory_gb']:.2f} | {found['memory_gb'] / plain['memory_gb']:.2f} "
            f"| {found['first_seconds']:.1f} | {found['loss']:.5f} |",
            flush=True,
        )


def measure(variant: Variant, settings: dict[str, Any], arguments: argparse.Namespace) -> dict[str, float]:
    """Seconds of the first step and the median of the others, peak memory, first loss."""
    device = arguments.device
    with real_float32() if not variant.rounded else contextlib.nullcontext():
        step = make_step(variant, settings, _MATRICES[arguments.full], device)
        losses: list[torch.Tensor] = []
        times = [clock(lambda: losses.append(step()), device) for _ in range(1 + arguments.num_times)]
    seconds, cpu_seconds = (statistics.median(one) for one in zip(*times[1:], strict=True))
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "first_seconds": times[0][0],
        "memory_gb": peak_memory_gb(device),
        "loss": losses[0].item(),
    }


def make_step(
    variant: Variant, settings: dict[str, Any], matrix: tuple[int, int, int], device: str
) -> Callable[[], torch.Tensor]:
    """One optimizer step, which returns its loss."""
    scan = make_scan(*matrix)
    slices = torch.stack([scan.kspace * (1 + 0.1 * index) for index in range(settings["num_adjacent"])])[None]
    masked = torch.where(scan.mask, slices, 0.0).to(device)
    mask = scan.mask.view(1, 1, 1, 1, -1).to(device)
    num_center_lines = torch.tensor([NUM_CENTER_LINES], device=device)
    reference = rss(ifft2c(slices[:, settings["num_adjacent"] // 2])).to(device)
    torch.manual_seed(0)
    network = build_model("promptmr", {**settings, **variant.settings}).to(device)
    if variant.compiled:
        for part in convolutional_parts(network):
            part.compile()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)

    def step() -> torch.Tensor:
        with autocast(device, "bf16" if variant.rounded else "fp32"):
            image = network(masked, mask, num_center_lines)
        loss = ssim_loss(image, reference, reference.amax().view(1))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return step


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
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e9


if __name__ == "__main__":
    main()
