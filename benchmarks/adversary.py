"""What an adversary adds to a training step, and what the banding score costs.

A step is mask, undersampling, network, losses, gradients and AdamW, as in training without its data loader. Each kind
of step runs in a process of its own, for its peak memory, one step to warm up and then the timed ones; CPU time counts,
because others may hold the cores. The banding score is that of 320 x 320 slices, as fastMRI's knees are scored.

python benchmarks/adversary.py [--num-times 3] [--num-threads 1] [--case NAME ...]
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import torch
from setting import print_setting

from mrikit.data import ScanBatch
from mrikit.data.scan_batch import SliceFacts
from mrikit.masks import AcquiredRegion
from mrikit.metrics import directional_excess
from mrikit.physics.coils import rss
from mrikit.physics.crop import center_crop
from mrikit.physics.fft import ifft2c
from mrikit.recipes.choose import chosen_configs
from mrikit.training.objectives import Draw, objective_of

CASES = {
    "tiny, 4 x 192 x 96": ("tiny", (4, 192, 96), 96),
    "full, 15 x 320 x 184": ("full", (15, 320, 184), 160),
    "full, 15 x 640 x 368": ("full", (15, 640, 368), 320),
}
"""Size of knee_banding, (coil, readout, phase), and the side of the scored window."""
KINDS = {
    "plain": ["objective=image"],
    "narrow": ["adversary.kind=narrow"],
    "shallow": ["adversary.kind=shallow"],
    "shallow, no regulariser": ["adversary.kind=shallow", "adversary.regulariser=0"],
}


def main() -> None:
    """Print one table, and a line about the score; or one kind's numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-times", type=int, default=3, help="timed steps")
    parser.add_argument("--num-threads", type=int, default=1)
    parser.add_argument("--case", choices=list(CASES), action="append", help="repeatable; all by default")
    parser.add_argument("--kind", choices=list(KINDS), action="append", help="repeatable; all by default")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.num_threads)
    if arguments.child:
        print(json.dumps(measure(arguments.case[0], arguments.kind[0], arguments.num_times)))
        return
    print_setting()
    print("\n| training step of knee_banding | CPU s | over the plain step | peak memory, GB | over the plain one |")
    print("|---|--:|--:|--:|--:|")
    for case in arguments.case or CASES:
        plain: dict[str, float] = {}
        for kind in arguments.kind or KINDS:
            found = in_child(case, kind, arguments)
            plain = plain or found
            times, more = (found[key] / plain[key] for key in ("seconds", "memory_gb"))
            numbers = f"{found['seconds']:.3f} | {times:.2f}x | {found['memory_gb']:.2f} | {more:.2f}x"
            print(f"| {case}: {kind} | {numbers} |", flush=True)
    print(f"\nbanding score: {time_score():.1f} CPU ms a slice of 320 x 320")


def in_child(case: str, kind: str, arguments: argparse.Namespace) -> dict[str, float]:
    """What a process of its own measures."""
    options = ["--num-times", str(arguments.num_times), "--num-threads", str(arguments.num_threads)]
    command = [sys.executable, __file__, "--child", "--case", case, "--kind", kind, *options]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(case: str, kind: str, num_times: int) -> dict[str, float]:
    """Median CPU seconds of a step, and the peak memory of the process."""
    size, matrix, side = CASES[case]
    settings = ["training.num_epochs=2", *KINDS[kind]]
    (config,) = chosen_configs("knee_banding", size, 2, settings, {})
    objective: Any = objective_of(config)
    parts = objective.parts().train()
    optimizer = torch.optim.AdamW(parts.parameters(), lr=config.training.max_lr)
    scan, seconds = make_scan(matrix, side), []
    for epoch in range(num_times + 1):
        start = time.process_time()
        optimizer.zero_grad()
        late = config.training.first_epoch + 10 + epoch  # the network hears of its adversary
        objective.losses(parts, scan, Draw(0, late)).total.mean().backward()
        optimizer.step()
        seconds.append(time.process_time() - start)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {"seconds": statistics.median(seconds[1:]), "memory_gb": memory}


def make_scan(matrix: tuple[int, int, int], side: int) -> ScanBatch:
    """Smooth random k-space of one slice."""
    _, rows, columns = matrix
    kspace = torch.randn(1, *matrix, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    y, x = torch.linspace(-1, 1, rows)[:, None], torch.linspace(-1, 1, columns)
    kspace = kspace * torch.exp(-8 * (y**2 + x**2))
    reference = center_crop(rss(ifft2c(kspace)), (side, side))
    region = AcquiredRegion.whole((rows, columns))
    return ScanBatch(
        kspace=kspace[:, None],
        reference=reference,
        data_range=reference.amax().reshape(1),
        crop=(side, side),
        facts=(SliceFacts(volume_id="v", slice_index=0, anatomy="knee", acquired=region),),
    )


def time_score(num_slices: int = 20, num_times: int = 5) -> float:
    """Milliseconds of CPU time a slice: a disc in noise, as much of the image is."""
    torch.set_num_threads(1)
    y, x = torch.linspace(-1, 1, 320)[:, None], torch.linspace(-1, 1, 320)
    noise = torch.randn(2, num_slices, 320, 320, generator=torch.Generator().manual_seed(0))
    image, reference = ((y**2 + x**2 < 0.4).float() + 0.01 * noise).abs()
    times = []
    for _ in range(num_times):
        start = time.process_time()
        directional_excess(image, reference)
        times.append(time.process_time() - start)
    return 1e3 * min(times) / num_slices


if __name__ == "__main__":
    main()
