"""CG-SENSE, 15 x 640 x 368, R 4, 20 iterations: mrikit against sigpy and BART with the same maps.

All solve the unregularised normal equations: sigpy with `SenseRecon`, BART with `pics -l2 -r0`.

python benchmarks/cg_sense.py [--num-times 5]
"""

import argparse

import numpy as np
import torch
from setting import Bart, make_scan, print_setting, print_table, take_turns

from mrikit.physics.cg import conjugate_gradient
from mrikit.physics.sense import SenseOp

try:
    import sigpy.mri
except ImportError:
    sigpy = None

NUM_ITERATIONS = 20


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-times", type=int, default=5)
    num_times = parser.parse_args().num_times
    print_setting()
    scan, bart = make_scan(15, 640, 368), Bart()
    kspace = torch.where(scan.mask, scan.kspace, 0.0)
    found: dict[str, torch.Tensor] = {}

    def run_mrikit() -> None:
        op = SenseOp(scan.sens_maps, scan.mask)
        found["mrikit"] = conjugate_gradient(op.normal, op.adjoint(kspace), NUM_ITERATIONS, tolerance=0.0)

    def run_sigpy() -> None:
        app = sigpy.mri.app.SenseRecon(kspace.numpy(), scan.sens_maps.numpy(), max_iter=NUM_ITERATIONS, show_pbar=False)
        found["sigpy SenseRecon"] = torch.from_numpy(app.run())

    def run_bart() -> None:
        bart.run("pics", "-l2", "-r0", f"-i{NUM_ITERATIONS}", "kspace", "maps", "image")

    runs = {"mrikit": run_mrikit}
    if sigpy is not None:
        runs["sigpy SenseRecon"] = run_sigpy
    if bart.has_bart:
        bart.write("kspace", kspace.numpy())
        bart.write("maps", scan.sens_maps.numpy())
        runs["bart pics"] = run_bart
    times = take_turns(runs, num_times)
    if bart.has_bart:
        found["bart pics"] = torch.from_numpy(bart.read("image"))
    ours = found.pop("mrikit").abs()
    notes = {name: f"NRMSE to mrikit's image {nrmse(image.abs(), ours):.1e}" for name, image in found.items()}
    missing = [name for name, is_here in (("sigpy", sigpy), ("bart pics", bart.has_bart)) if not is_here]
    print_table("CG-SENSE 15 x 640 x 368, R 4, 20 iterations", times, missing, notes)


def nrmse(image: torch.Tensor, reference: torch.Tensor) -> float:
    """Relative to the reference's norm, after the best scale: BART may rescale its data."""
    scale = float((image * reference).sum() / (image * image).sum())
    return float(np.linalg.norm(scale * image - reference) / np.linalg.norm(reference))


if __name__ == "__main__":
    main()
