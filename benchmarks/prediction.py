"""Predicted against measured: the peak memory and the step time of training.

Each case trains a network for a few steps in a process of its own, on volumes of noise: the whole of `mrikit train`,
with reading, DeepSpeed's engine, running mean and a checkpoint. On a CPU memory is the peak of that process, Python and
torch included; on a GPU what torch reserved and the context. The prediction is made in a process of its own too.

OMP_NUM_THREADS=1 python benchmarks/prediction.py [--device cuda] [--case NAME]
"""

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from setting import print_setting

from mrikit.config import change_config
from mrikit.data import BatchShape
from mrikit.forecast.memory import predict_memory
from mrikit.forecast.throughput import predict_time
from mrikit.recipes import recipe
from mrikit.training import RunConfig, train
from mrikit.volumes import ScanInfo, Volume, write_fastmri

_NUM_SLICES, _NUM_STEPS, _CONTEXT_BYTES = 5, 5, 500_000_000


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network and the size of its slices."""

    model: str
    kspace: tuple[int, int, int]
    """(coil, readout, phase)."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the model, and of the run where the name has a dot."""

    def config(self) -> RunConfig:
        """The run: one epoch of as many steps as there are slices."""
        base = recipe("knee_multicoil", "tiny")
        base = dataclasses.replace(base, model=self.model, model_config={}, size="tiny")
        common = {"training.num_epochs": 1, "data.num_validation": 0, "training.warmup_epochs": 0}
        settings = {name if "." in name else f"model_config.{name}": value for name, value in self.settings.items()}
        return change_config(base, common | settings, "benchmark")

    def shape(self) -> BatchShape:
        """Of its slices."""
        window = (min(320, self.kspace[1]), min(320, self.kspace[2]))
        return BatchShape(num_slices=_NUM_SLICES, kspace=self.kspace, window=window, reference=window)


_TINY = {"num_cascades": 4, "num_channels": 8, "num_pools": 3, "num_sens_channels": 0}
_SMALL = {"num_cascades": 4, "num_channels": 18}
_PROMPT = {"num_cascades": 3, "stem_width": 16, "feature_widths": (20, 24, 28), "sens_stem_width": 4}
_PROMPT |= {"sens_feature_widths": (6, 8, 10), "prompt_widths": (4, 8, 12)}
CASES = {
    "varnet tiny": Case(model="varnet", kspace=(8, 320, 320), settings=_TINY),
    "varnet, 4 cascades": Case(model="varnet", kspace=(8, 320, 184), settings=_SMALL),
    "its checkpoints": Case(model="varnet", kspace=(8, 320, 184), settings=_SMALL | {"use_checkpoint": True}),
    "its bf16": Case(model="varnet", kspace=(8, 320, 184), settings=_SMALL | {"training.precision": "bf16"}),
    "unet, 32 channels": Case(model="unet", kspace=(8, 320, 320), settings={"training.micro_batch_size": 1}),
    "promptmr": Case(model="promptmr", kspace=(6, 256, 184), settings=_PROMPT),
    "promptmr, checkpoints": Case(model="promptmr", kspace=(6, 256, 184), settings=_PROMPT | {"use_checkpoint": True}),
}


def main() -> None:
    """Print one table, or one case's numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--case", choices=list(CASES), action="append", help="repeatable; all by default")
    parser.add_argument("--child", choices=["predict", "measure"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        case = CASES[arguments.case[0]]
        reply = (predict if arguments.child == "predict" else measure)(case, arguments.device)
        print(json.dumps(reply))
        return
    print_setting()
    print("\n| case | memory predicted, GB | measured | off | step predicted, s | measured | off | to predict, s |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for name in arguments.case or CASES:
        found = {child: run_child(name, child, arguments.device) for child in ("measure", "predict")}
        row = [name]
        for number, scale in (("memory", 1e-9), ("seconds", 1)):
            predicted, measured = (found[child][number] * scale for child in ("predict", "measure"))
            row += [f"{predicted:.2f}", f"{measured:.2f}", f"{predicted / measured - 1:+.0%}"]
        row.append(" + ".join(f"{seconds:.1f}" for seconds in found["predict"]["needed"]))
        print(f"| {' | '.join(row)} |", flush=True)


def run_child(name: str, child: str, device: str) -> dict[str, Any]:
    """What a process of its own found."""
    command = [sys.executable, __file__, "--case", name, "--child", child, "--device", device]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def predict(case: Case, device: str) -> dict[str, Any]:
    """Bytes, seconds, and how long it took to predict each."""
    start = time.perf_counter()
    memory = predict_memory(case.config(), case.shape(), device=device)
    middle = time.perf_counter()
    seconds = predict_time(case.config(), case.shape(), device=device).step
    needed = [middle - start, time.perf_counter() - middle]
    return {"memory": memory.total_bytes, "seconds": seconds, "needed": needed, "parts": dataclasses.asdict(memory)}


def measure(case: Case, device: str) -> dict[str, Any]:
    """Train for some steps."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="mrikit-prediction-") as folder:
        write_noise(Path(folder, "data"), case.shape())
        train(
            case.config(),
            Path(folder, "data"),
            Path(folder, "run"),
            validation_data=None,
            device=device,
            trackers=[],
            say=lambda _line: None,
            on_row=lambda row, _num_steps: rows.append(dict(row)),
        )
    slices = case.config().training.batch_size
    seconds = [slices / row["slices_per_second"] for row in rows if row["kind"] == "train"]
    return {"memory": peak_bytes(device), "seconds": statistics.median(seconds[1:])}


def peak_bytes(device: str) -> int:
    """Most memory so far."""
    if device == "cuda":
        return torch.cuda.max_memory_reserved() + _CONTEXT_BYTES
    # getrusage would count what the parent process held when it started this one.
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024


def write_noise(folder: Path, shape: BatchShape) -> None:
    """One volume."""
    rng = np.random.default_rng(0)
    sizes = (shape.num_slices, *shape.kspace)
    kspace = rng.standard_normal((*sizes, 2), np.float32).view(np.complex64)[..., 0]
    reference = rng.random((shape.num_slices, *shape.window), np.float32)
    info = ScanInfo(
        volume_id="noise",
        anatomy="knee",
        acquisition="CORPD_FBK",
        matrix=shape.kspace[1:],
        recon_matrix=shape.window,
        padding=(0, shape.kspace[2]),
        reference_max=float(reference.max()),
    )
    folder.mkdir()
    write_fastmri(folder / "noise.h5", Volume(kspace=kspace, reference=reference, info=info))


if __name__ == "__main__":
    main()
