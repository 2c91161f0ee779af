"""Sensitivity maps: mrikit against sigpy and BART's `ecalib`, with the same kernel, calibration block and thresholds.

python benchmarks/espirit.py [--num-times 5]
"""

import argparse

import numpy as np
import torch
from setting import NUM_CENTER_LINES, Bart, Scan, make_scan, print_setting, print_table, take_turns

from mrikit.physics.espirit import espirit_maps

try:
    import sigpy.mri
except ImportError:
    sigpy = None


def main() -> None:
    """Print one table per size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-times", type=int, default=5)
    num_times = parser.parse_args().num_times
    print_setting()
    for size in ((8, 230, 180), (15, 640, 368)):
        compare(make_scan(*size), num_times)


def compare(scan: Scan, num_times: int) -> None:
    """Time all who are here and say how well their maps agree with the true ones."""
    kspace, bart = scan.kspace.numpy(), Bart()
    found: dict[str, torch.Tensor] = {}

    def run_mrikit() -> None:
        found["mrikit"] = espirit_maps(scan.kspace, NUM_CENTER_LINES)

    def run_sigpy() -> None:
        app = sigpy.mri.app.EspiritCalib(kspace, calib_width=24, thresh=0.02, kernel_width=6, crop=0.8, show_pbar=False)
        found["sigpy"] = torch.from_numpy(app.run())

    def run_bart() -> None:
        bart.run("ecalib", "-m1", "-r24", "-k6", "-t0.0004", "-c0.8", "kspace", "maps")

    runs = {"mrikit": run_mrikit}
    if sigpy is not None:
        runs["sigpy"] = run_sigpy
    if bart.has_bart:
        bart.write("kspace", kspace)
        runs["bart ecalib"] = run_bart
    times = take_turns(runs, num_times)
    if bart.has_bart:
        found["bart ecalib"] = torch.from_numpy(bart.read("maps"))
    notes = {name: f"median overlap with the true maps {overlap(maps, scan):.5f}" for name, maps in found.items()}
    missing = [name for name, is_here in (("sigpy", sigpy), ("bart ecalib", bart.has_bart)) if not is_here]
    print_table(f"ESPIRiT {' x '.join(map(str, kspace.shape))}", times, missing, notes)


def overlap(maps: torch.Tensor, scan: Scan) -> float:
    """Median over the body of |<map vector, true one>|."""
    return float(np.median((maps.conj() * scan.sens_maps).sum(0).abs()[scan.body]))


if __name__ == "__main__":
    main()
