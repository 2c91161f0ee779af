"""How training scales: one process and two on this machine, and a model of 1 to 64 GPUs beside what InnerEye published.

Weak scaling is measured: the same command for one process and, by torchrun, for two, each with one thread and one slice
a step; the ratio is slices per second of both over twice those of the one. The model has three numbers: the seconds of
one slice on one GPU, the bytes of the gradients, and the bandwidth between nodes. An epoch on N GPUs takes slices / N
steps, each of them the seconds of a slice and a ring reduction, 2 (N - 1) / N times the bytes over the bandwidth, with
nothing overlapped. The seconds are InnerEye's own for 4 GPUs, so the row of 4 agrees by construction.

python benchmarks/scaling.py [--seconds 1.76] [--gigabytes-per-second 3.0] [--no-run]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from setting import print_setting

from mrikit.recipes import recipe
from mrikit.training import count_weights

_SLICES = 34_742
"""Of fastMRI's knee_multicoil_train."""
_PUBLISHED_MINUTES = {4: 255, 8: 133, 16: 66, 32: 34}
"""InnerEye, ND24s nodes of 4 P40, one epoch of KneeMulticoil, by GPUs."""


def main() -> None:
    """Measure, model, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=_PUBLISHED_MINUTES[4] * 60 * 4 / _SLICES, help="of a slice")
    parser.add_argument("--gigabytes-per-second", type=float, default=3.0, help="between two nodes")
    parser.add_argument("--no-run", action="store_true", help="print the model only")
    options = parser.parse_args()
    print_setting()
    if not options.no_run:
        print(measured())
    gradients = count_weights(recipe("knee_multicoil", "full")) * 4
    print(modelled(options.seconds, gradients, options.gigabytes_per_second))


def measured() -> str:
    """Slices per second of one process and of two."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        command = [sys.executable, "-m", "mrikit"]
        study = ["simulate", "knee", "--volumes", "10", "--coils", "4", "--slices", "8", "--out", str(folder / "DATA")]
        subprocess.run([*command, *study], check=True, capture_output=True)
        one = slices_per_second(folder / "one", [sys.executable, "-m"], folder / "DATA", 1)
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
        two = slices_per_second(folder / "two", launcher, folder / "DATA", 2)
    rows = ["| processes | slices/s | of twice one |", "|--:|--:|--:|", f"| 1 | {one:.2f} | |"]
    return "\n".join([*rows, f"| 2 | {two:.2f} | {two / (2 * one):.2f} |", ""])


def slices_per_second(out: Path, launcher: list[str], data: Path, num_processes: int) -> float:
    """The median of a short training's own rows, all processes together."""
    words = ["train", "--task", "knee_multicoil", "--data", str(data), "--out", str(out)]
    words += ["--set", "training.num_epochs=3", "--set", f"training.batch_size={num_processes}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launcher, "mrikit", *words], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    speeds = [row["slices_per_second"] for row in rows if row["kind"] == "train"]
    return statistics.median(speeds[len(speeds) // 4 :])


def modelled(seconds: float, gradient_bytes: float, gigabytes_per_second: float) -> str:
    """Minutes of an epoch by GPUs, beside those published."""
    rows = [
        f"{seconds:.2f} s a slice, {gradient_bytes / 1e6:.0f} MB of gradients, {gigabytes_per_second:g} GB/s",
        "| GPUs | model, min | InnerEye, min | efficiency, model | efficiency, InnerEye |",
        "|--:|--:|--:|--:|--:|",
    ]
    base = epoch_minutes(4, seconds, gradient_bytes, gigabytes_per_second)
    for gpus in (1, 2, 4, 8, 16, 32, 64):
        minutes = epoch_minutes(gpus, seconds, gradient_bytes, gigabytes_per_second)
        published = _PUBLISHED_MINUTES.get(gpus)
        theirs = f"{_PUBLISHED_MINUTES[4] * 4 / published / gpus:.2f}" if published else ""
        rows.append(f"| {gpus} | {minutes:.1f} | {published or ''} | {base * 4 / minutes / gpus:.2f} | {theirs} |")
    return "\n".join(rows)


def epoch_minutes(gpus: int, seconds: float, gradient_bytes: float, gigabytes_per_second: float) -> float:
    """The model; within a node of 4 GPUs nothing is counted for the reduction."""
    reduction = 2 * (gpus - 1) / gpus * gradient_bytes / (gigabytes_per_second * 1e9) if gpus > 4 else 0.0
    return _SLICES / gpus * (seconds + reduction) / 60


if __name__ == "__main__":
    main()
