"""VarNet's inference, slices/s: mrikit against fastMRI with the same weights; and what bfloat16 does to SSIM.

Each variant runs in a process of its own and they take turns. With the weights of a training run, simulated knees and
brains are reconstructed with and without bfloat16 and scored; random weights would say nothing about images.

python benchmarks/varnet_inference.py [--size small] [--device cuda] [--weights RUN_OR_FILE]
"""

import json
import statistics
import tempfile
from pathlib import Path

import torch
from varnet_setting import Variant, build, clock, make_parser, median_seconds, peak_memory_gb, take_turns_in_processes

from mrikit.data import MaskPlan
from mrikit.evaluate import evaluate
from mrikit.reconstruct import ReconstructConfig, reconstruct_folder
from mrikit.simulate import StudyConfig, simulate_study

VARIANTS = {
    "fastmri": Variant(peer=True),
    "fastmri, bf16": Variant(peer=True, rounded=True),
    "mrikit": Variant(),
    "mrikit, bf16": Variant(rounded=True),
}


def main() -> None:
    """Print one or two tables, or one variant's numbers as JSON."""
    parser = make_parser(__doc__, VARIANTS)
    parser.add_argument("--weights", type=Path, help="trained weights, for the SSIM of bfloat16")
    arguments = parser.parse_args()
    if arguments.variant:
        problem = build(VARIANTS[arguments.variant], arguments.size, arguments.device, arguments.state)
        with torch.inference_mode():
            seconds = [clock(problem.reconstruct, arguments.device) for _ in range(1 + arguments.num_times)]
        print(json.dumps({"seconds": seconds[1:], "memory_gb": peak_memory_gb(arguments.device)}))
        return
    replies = take_turns_in_processes(arguments, VARIANTS)
    peer = median_seconds(replies["fastmri"])
    print("\n| inference | slices/s | faster | CPU s a slice | faster | peak memory, GB |\n|---|--:|--:|--:|--:|--:|")
    for name, turns in replies.items():
        wall, process = median_seconds(turns)
        memory = statistics.median(turn["memory_gb"] for turn in turns)
        print(
            f"| {name} | {1 / wall:.3f} | {peer[0] / wall:.2f} | {process:.3f} | {peer[1] / process:.2f} "
            f"| {memory:.2f} |"
        )
    if arguments.weights:
        print_ssim(arguments.weights, arguments.device)


def print_ssim(weights: Path, device: str) -> None:
    """What bfloat16 changes in the scores of simulated volumes that are undersampled 4 and 8 times."""
    print("\n| SSIM of simulated volumes | float32 | bfloat16 | mean change | largest of a volume |")
    print("|---|--:|--:|--:|--:|")
    for anatomy in ("knee", "brain"):
        for acceleration in (4, 8):
            with tempfile.TemporaryDirectory(prefix="mrikit-varnet-") as folder:
                data = Path(folder, "data")
                simulate_study(StudyConfig(anatomy=anatomy, folder=data, num_volumes=4, num_slices=4, seed=1000))
                plan = MaskPlan(kind="equispaced", acceleration=acceleration)
                plain, rounded = (
                    _ssims(data, Path(folder, precision), weights, precision, plan, device)
                    for precision in ("fp32", "bf16")
                )
            changes = [after - before for before, after in zip(plain, rounded, strict=True)]
            print(
                f"| {anatomy}, {acceleration}x | {statistics.mean(plain):.5f} | {statistics.mean(rounded):.5f} "
                f"| {statistics.mean(changes):+.1e} | {max(changes, key=abs):+.1e} |"
            )


def _ssims(data: Path, out: Path, weights: Path, precision: str, plan: MaskPlan, device: str) -> list[float]:
    config = ReconstructConfig(weights=weights, precision=precision, mask=plan)
    reconstruct_folder(data, out, config, device=device)
    return [row.ssim for row in evaluate(data, out).rows]


if __name__ == "__main__":
    main()
