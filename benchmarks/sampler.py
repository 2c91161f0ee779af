"""What learning a mask adds to a training step, against the same step under a fixed mask of the same budget.

A step is mask, undersampling, network, loss, gradients and AdamW, as in training without its data loader. Between them
stands a step whose mask is given, but has a gradient: every sampler needs that one, which the network computes; what is
left is the sampler's own. A tile with 4 draws sees each slice four times, and needs no such gradient. The steps take
turns on the same slices, so that a busy machine is busy for all; overheads are medians over these turns.

python benchmarks/sampler.py [--num-times 30] [--num-threads 1]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from setting import print_setting

from mrikit.data import ScanBatch, undersample_by
from mrikit.data.scan_batch import SliceFacts
from mrikit.masks import AcquiredRegion
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c
from mrikit.recipes.choose import chosen_configs
from mrikit.training.losses import composed_loss
from mrikit.training.network import new_network
from mrikit.training.objectives import Draw, objective_of
from mrikit.training.objectives.image import output_of

CASES = {
    "brain_sampling tiny, 8 slices of 8 x 72 x 60": ("brain_sampling", "tiny", (8, 8, 72, 60)),
    "digits_sampling tiny, 32 digits of 28 x 28": ("digits_sampling", "tiny", (32, 1, 28, 28)),
    "brain_sampling full, 2 slices of 8 x 145 x 121": ("brain_sampling", "full", (2, 8, 145, 121)),
}
FIXED = ["sampler.kind=", "objective=image", "data.mask_kind=uniform_2d", "data.center_fractions=0"]
SAMPLERS = {
    "global": [],
    "lines": ["sampler.kind=lines", "sampler.directions=1"],
    "tile": ["sampler.kind=tile"],
    "tile, 4 draws": ["sampler.kind=tile", "sampler.gradient=score"],
}


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-times", type=int, default=30)
    parser.add_argument("--num-threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.num_threads)
    print_setting()
    print("\n| training step, CPU time | ms | over the fixed mask (quartiles) | over a mask with a gradient |")
    print("|---|--:|--:|--:|")
    for name, (task, size, sizes) in CASES.items():
        scan, shape = make_scan(sizes), f"sampler.shape={sizes[2]},{sizes[3]}"
        steps = {
            "fixed mask": make_step(task, size, FIXED, scan),
            "mask with a gradient": make_given_step(task, size, scan),
            **{kind: make_step(task, size, [shape, *settings], scan) for kind, settings in SAMPLERS.items()},
        }
        times = take_turns(steps, arguments.num_times)
        for kind, seconds in times.items():
            ms = 1e3 * statistics.median(seconds)
            whole, own = (overhead(seconds, times[base]) for base in ("fixed mask", "mask with a gradient"))
            print(
                f"| {name}: {kind} | {ms:.1f} | {whole} | {own if kind in ('global', 'lines', 'tile') else '-'} |",
                flush=True,
            )


def overhead(seconds: list[float], others: list[float]) -> str:
    """Median and quartiles over turns, percent."""
    low, middle, high = statistics.quantiles(
        [100 * (one / other - 1) for one, other in zip(seconds, others, strict=True)], n=4
    )
    return f"{middle:+.1f} % ({low:+.1f} to {high:+.1f})"


def make_scan(sizes: tuple[int, int, int, int]) -> ScanBatch:
    """Smooth random k-space of (batch, coil, readout, phase)."""
    batch, _, rows, columns = sizes
    kspace = torch.randn(sizes, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    y, x = torch.linspace(-1, 1, rows)[:, None], torch.linspace(-1, 1, columns)
    kspace = kspace * torch.exp(-8 * (y**2 + x**2))
    region = AcquiredRegion.whole((rows, columns))
    return ScanBatch(
        kspace=kspace[:, None],
        reference=rss(ifft2c(kspace)),
        data_range=torch.ones(batch),
        crop=(rows, columns),
        facts=tuple(SliceFacts(volume_id="v", slice_index=number, acquired=region) for number in range(batch)),
    )


def make_step(task: str, size: str, settings: list[str], scan: ScanBatch) -> Callable[[int], None]:
    """A whole training step as a function of the epoch, which decides the masks."""
    (config,) = chosen_configs(task, size, None, settings, {})
    objective = objective_of(config)
    parts = objective.parts().train()
    optimizer = torch.optim.AdamW(parts.parameters(), lr=config.training.max_lr)

    def step(epoch: int) -> None:
        optimizer.zero_grad()
        objective.losses(parts, scan, Draw(0, epoch)).total.mean().backward()
        optimizer.step()

    return step


def make_given_step(task: str, size: str, scan: ScanBatch) -> Callable[[int], None]:
    """The same with a mask that nobody draws, and whose gradient nobody uses."""
    (config,) = chosen_configs(task, size, None, [], {})
    network, loss = new_network(config).train(), composed_loss(config.training.loss)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.training.max_lr)
    batch, grid = len(scan.facts), scan.kspace.shape[-2:]
    mask = (torch.rand(batch, 1, *grid, generator=torch.Generator().manual_seed(0)) < 0.25).float().requires_grad_()
    center = torch.zeros(batch, dtype=torch.int64)

    def step(_epoch: int) -> None:
        optimizer.zero_grad()
        example = undersample_by(scan, mask, center, keeps_full=True)
        loss(output_of(network, example), example).total.mean().backward()
        optimizer.step()
        mask.grad = None

    return step


def take_turns(steps: dict[str, Callable[[int], None]], num_times: int) -> dict[str, list[float]]:
    """CPU seconds of each step in each turn; CPU time, because others may hold the cores meanwhile."""
    found: dict[str, list[float]] = {name: [] for name in steps}
    for epoch in range(-2, num_times):
        names = list(steps) if epoch % 2 else list(steps)[::-1]
        for name in names:
            start = time.process_time()
            steps[name](max(epoch, 0))
            if epoch >= 0:
                found[name].append(time.process_time() - start)
    return found


if __name__ == "__main__":
    main()
