"""What networks of one size learn in as many epochs, on simulated knees at 8x: PromptMR, VarNet, U-Net, zero-filled.

Usage: python benchmarks/learning.py [OUT] [--epochs N] [--seeds N]

Every network sees the same slices under the same masks and the same loss, with the learning rate of its recipe; the
best epoch by held-out patients of its study is scored on patients of another study. A seed decides weights, order and
the choice of patients. Two processes of one thread each train side by side.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path

NETWORKS = ("promptmr", "varnet", "unet")
NUM_TRAINING, NUM_TEST = (30, 2), (12, 3)  # volumes, slices
T_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}
"""Student's 97.5 % quantile by degrees of freedom."""


def main() -> None:
    """Train every network with every seed, and print the table."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("out", type=Path, nargs="?", default=Path("runs/learning"))
    arguments.add_argument("--epochs", type=int, default=8)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--one", nargs=2)
    given = arguments.parse_args()
    if given.one:
        train_one(given.out, given.one[0], int(given.one[1]), given.epochs)
        return
    simulate(given.out)
    jobs = list(product(NETWORKS, range(given.seeds)))
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda job: run_one(given.out, *job, given.epochs), jobs))
    scores = {
        name: [row for (network, _), row in zip(jobs, found, strict=True) if network == name] for name in NETWORKS
    }
    show(scores, zero_filled(given.out), given.epochs)


def simulate(out: Path) -> None:
    """Two studies of different patients."""
    from mrikit.simulate import StudyConfig, simulate_study

    for side, seed, (num_volumes, num_slices) in (("train", 1, NUM_TRAINING), ("test", 7, NUM_TEST)):
        simulate_study(
            StudyConfig(
                anatomy="knee",
                folder=out / side,
                num_volumes=num_volumes,
                num_coils=(8,),
                num_slices=num_slices,
                seed=seed,
                size="half",
            )
        )


def run_one(out: Path, network: str, seed: int, epochs: int) -> dict[str, float]:
    """Train in a process of one thread; its score and size."""
    words = [str(out), "--epochs", str(epochs), "--one", network, str(seed)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__, *words], env=environment, stdout=subprocess.PIPE, check=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def train_one(out: Path, network: str, seed: int, epochs: int) -> None:
    """Train a network and print its score on the other study as JSON."""
    from mrikit.checkpoint import build_trained_model, load_weights
    from mrikit.recipes import recipe
    from mrikit.training import count_weights, train

    first = recipe("knee_acc8", "tiny", 1)
    base = {
        "promptmr": first,
        "varnet": recipe("knee_multicoil", "tiny"),
        "unet": recipe("knee_singlecoil", "tiny"),
    }[network]
    training = replace(
        base.training,
        loss="ssim",
        num_epochs=epochs,
        schedule_epochs=0,
        batch_size=1,
        warmup_epochs=0.5,
        weight_decay=0.0,
        beta1=0.9,
        beta2=0.999,
        seed=seed,
    )
    config = replace(base, stage=0, data=first.data, training=training)
    folder = out / f"{network}-{seed}-{epochs}"
    train(config, out / "train", folder)
    found = score(build_trained_model(load_weights(folder)), out, config)
    print(json.dumps({**found, "num_weights": count_weights(config)}))


def score(network, out: Path, config) -> dict[str, float]:
    """Means over the volumes of the other study."""
    from mrikit.data import SliceDataset, load_training_volumes
    from mrikit.runs.interrupts import StopRequest
    from mrikit.runs.process import joined
    from mrikit.training.objectives.image import validate

    dataset = SliceDataset(load_training_volumes(out / "test").volumes, config.num_adjacent)
    with joined("cpu") as process:
        found = validate(network, dataset, config.data, process, StopRequest())
    return {"ssim": found.ssim, "psnr": found.psnr}


def zero_filled(out: Path) -> dict[str, float]:
    """The score without any reconstruction."""
    from mrikit.models.classical import ZeroFilled, ZeroFilledConfig
    from mrikit.recipes import recipe

    config = replace(recipe("knee_multicoil", "tiny"), data=recipe("knee_acc8", "tiny", 1).data)
    return {**score(ZeroFilled(ZeroFilledConfig()), out, config), "num_weights": 0}


def show(scores: dict[str, list[dict[str, float]]], lowest: dict[str, float], epochs: int) -> None:
    """Means and 95 % intervals over seeds, of the scores and of the differences to the next network."""
    print(f"{'network':12} {'weights':>9} {'SSIM [95 %]':>26} {'PSNR dB':>8} {'SSIM above the next [95 %]':>30}")
    names = [*scores, "zero_filled"]
    num_seeds = len(next(iter(scores.values())))
    rows = {**scores, "zero_filled": [lowest] * num_seeds}
    for name, following in zip(names, [*names[1:], None], strict=True):
        values = [row["ssim"] for row in rows[name]]
        gap = (
            "" if following is None else interval([a - b["ssim"] for a, b in zip(values, rows[following], strict=True)])
        )
        psnr = statistics.fmean(row["psnr"] for row in rows[name])
        print(f"{name:12} {rows[name][0]['num_weights']:9,} {interval(values):>26} {psnr:8.2f} {gap:>30}")
    print(f"{epochs} epochs, {num_seeds} seeds; intervals by Student's t over seeds")


def interval(values: list[float]) -> str:
    """Mean and 95 % interval."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return f"{mean:.4f}"
    half = T_95[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:.4f} [{mean - half:.4f}, {mean + half:.4f}]"


if __name__ == "__main__":
    main()
