"""Save and resume the training of the full VarNet: what a checkpoint costs, against torch.save.

    .venv-bench/bin/python benchmarks/checkpoint.py

The state is that of the published size: 29.9 million weights and Adam's two moments, 359 MB. Both writers flush to
disk; mrikit's also takes the digest of what it writes. Resuming is the whole command `mrikit train`, given again for a
run that is finished: Python and its imports, the volumes, the checkpoint, DeepSpeed's engine, the moments. The median
of five counts; the first of each is left out.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from setting import print_setting

from mrikit.checkpoint import read_tensors, write_tensors
from mrikit.models import build_model

NUM_TIMES = 5
TRAIN = ("-m", "mrikit", "train", "--task", "knee_multicoil", "--size", "full", "--device", "cpu")


def main() -> None:
    """Print one table."""
    network = build_model("varnet").state_dict()
    state = {
        f"{part}/{name}": value for part in ("weights", "exp_avg", "exp_avg_sq") for name, value in network.items()
    }
    with tempfile.TemporaryDirectory(prefix="mrikit-checkpoint-") as place:
        ours, theirs = Path(place) / "state.safetensors", Path(place) / "state.pt"
        write = _take_turns(lambda: write_tensors(ours, state, {}), lambda: _save(state, theirs))
        read = _take_turns(lambda: _touch(read_tensors(ours)), lambda: _touch(torch.load(theirs)))
        size = ours.stat().st_size
        resume = _time_resume(Path(place))
    print_setting()
    print(f"{'':36}{'mrikit':>10}{'torch.save':>12}{'ratio':>8}")
    print(f"{f'write {size / 1e6:.0f} MB, s':36}{write[0]:10.2f}{write[1]:12.2f}{write[1] / write[0]:8.2f}")
    print(f"{'read it, s':36}{read[0]:10.2f}{read[1]:12.2f}{read[1] / read[0]:8.2f}")
    print(f"{'resume, the whole command, s':36}{resume:10.2f}")


def _take_turns(*calls: Callable[[], object]) -> list[float]:
    """The median time of each call in seconds."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(NUM_TIMES + 1):
        for call, found in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            found.append(time.perf_counter() - start)
    return [statistics.median(found[1:]) for found in times]


def _save(state: dict[str, torch.Tensor], path: Path) -> None:
    with path.open("wb") as file:
        torch.save(state, file)
        os.fsync(file.fileno())


def _touch(state: dict[str, torch.Tensor]) -> float:
    """Read every number; tensors may be mapped from the file and not be there yet."""
    return sum(float(value.sum()) for value in state.values())


def _time_resume(place: Path) -> float:
    """Seconds of `mrikit train` for a run that is finished, on volumes so small that they do not count."""
    commands = [
        ("-m", "mrikit", "simulate", "knee", "--volumes", "4", "--coils", "2", "--slices", "1", "--out", "data"),
        (*TRAIN, "--data", "data", "--out", "run", "--set", "training.num_epochs=1", "--set", "data.num_validation=0"),
    ]
    times = []
    for command in [*commands, *[commands[-1]] * (NUM_TIMES + 1)]:
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], cwd=place, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times[-NUM_TIMES:])


if __name__ == "__main__":
    main()
