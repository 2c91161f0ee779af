"""GRAPPA 15 x 640 x 368, R 4: mrikit against pygrappa, once with the same reach and once with pygrappa's quickest.

pygrappa's kernel is counted in lines, measured or not: 15 of them reach the four measured lines of mrikit's 5 x 4 at
R 4, and its usual 5 reach one or two. `cgrappa` takes square kernels only, so the wide one runs in `grappa`.

    python benchmarks/grappa.py [--num-times 3]
"""

import argparse

import numpy as np
import torch
from setting import NUM_CENTER_LINES, make_scan, print_setting, print_table, take_turns

from mrikit.physics.fft import ifft2c
from mrikit.physics.grappa import grappa

try:
    import pygrappa
except ImportError:
    pygrappa = None


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-times", type=int, default=3)
    num_times = parser.parse_args().num_times
    print_setting()
    compare("wide kernel", (5, 4), "grappa", (5, 15), num_times)
    compare("narrow kernel", (5, 2), "cgrappa", (5, 5), num_times)


def compare(title: str, ours: tuple[int, int], peer: str, theirs: tuple[int, int], num_times: int) -> None:
    """Time both and say how far their coil images are from the fully sampled ones."""
    scan = make_scan(15, 640, 368)
    masked = torch.where(scan.mask, scan.kspace, 0.0)
    start = (scan.kspace.shape[-1] - NUM_CENTER_LINES + 1) // 2
    double = masked.numpy().astype(np.complex128)
    center = np.ascontiguousarray(double[..., start : start + NUM_CENTER_LINES])
    found: dict[str, torch.Tensor] = {}
    mrikit_name, peer_name = f"mrikit {ours}", f"pygrappa.{peer} {theirs}"

    def run_mrikit() -> None:
        found[mrikit_name] = grappa(masked, scan.mask, NUM_CENTER_LINES, ours)

    def run_pygrappa() -> None:
        filled = getattr(pygrappa, peer)(double.copy(), center, kernel_size=theirs, coil_axis=0)
        found[peer_name] = torch.from_numpy(filled).to(torch.complex64)

    runs = {mrikit_name: run_mrikit}
    if pygrappa is not None:
        runs[peer_name] = run_pygrappa
    times = take_turns(runs, num_times)
    expected = ifft2c(scan.kspace)
    notes = {
        name: f"NRMSE of the coil images {float((ifft2c(kspace) - expected).norm() / expected.norm()):.4f}"
        for name, kspace in found.items()
    }
    print_table(f"GRAPPA 15 x 640 x 368, R 4, {title}", times, [] if pygrappa else [peer_name], notes)


if __name__ == "__main__":
    main()
