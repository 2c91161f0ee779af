"""What the physics benchmarks share: a synthetic scan, the clock, BART's files and the table."""

import datetime as dt
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from mrikit.physics.fft import fft2c

NUM_CENTER_LINES = 29
Array = npt.NDArray[np.complex64]


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A smooth body seen by a ring of coils, with noise."""

    kspace: torch.Tensor
    """(coil, readout, phase) complex64, fully sampled."""
    sens_maps: torch.Tensor
    """(coil, y, x) complex64, RSS 1."""
    body: torch.Tensor
    """(y, x) bool."""
    mask: torch.Tensor
    """(phase,) bool, every fourth line and the middle."""


def make_scan(num_coils: int, num_rows: int, num_columns: int) -> Scan:
    """Overlapping soft ellipses with a slow phase; the same at every call."""
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(np.linspace(-1, 1, num_rows), np.linspace(-1, 1, num_columns), indexing="ij")
    body = (x / 0.75) ** 2 + (y / 0.85) ** 2 < 1
    image = 0.4 * np.ones_like(x)
    for _ in range(12):
        (cy, cx), (a, b), turn = rng.uniform(-0.4, 0.4, 2), rng.uniform(0.05, 0.4, 2), rng.uniform(0, 3)
        u = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        v = -(x - cx) * np.sin(turn) + (y - cy) * np.cos(turn)
        image += rng.uniform(0.2, 1) / (1 + np.exp(np.clip(((u / a) ** 2 + (v / b) ** 2 - 1) * 20, -50, 50)))
    angle = 2 * np.pi * np.arange(num_coils)[:, None, None] / num_coils
    distance = np.hypot(x - 1.3 * np.cos(angle), y - 1.3 * np.sin(angle))
    maps = np.exp(-(distance**2) / 1.2 + 1j * (angle + distance))
    maps = torch.from_numpy(maps / np.linalg.norm(maps, axis=0)).to(torch.complex64)
    kspace = fft2c(maps * torch.from_numpy(image * body * np.exp(1j * (x + 0.5 * y))))
    noise = rng.standard_normal((2, *kspace.shape), dtype=np.float32) * 1e-3
    start = (num_columns - NUM_CENTER_LINES + 1) // 2
    mask = torch.zeros(num_columns, dtype=torch.bool)
    mask[1::4] = True
    mask[start : start + NUM_CENTER_LINES] = True
    return Scan(
        kspace=kspace + torch.complex(*torch.from_numpy(noise)),
        sens_maps=maps,
        body=torch.from_numpy(body),
        mask=mask,
    )


def take_turns(runs: dict[str, Callable[[], object]], num_times: int) -> dict[str, float]:
    """Median seconds of each run after one to warm up; they take turns, so that a busy machine is busy for all."""
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(num_times):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


class Bart:
    """BART's command line on files in memory; its times hold the start of a process and the files."""

    def __init__(self) -> None:
        self.has_bart = shutil.which("bart") is not None
        self._folder = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)

    def write(self, name: str, array: Array) -> None:
        """(coil, y, x) or (y, x) to BART's (1, y, x, coil)."""
        last = np.moveaxis(array, 0, -1) if array.ndim == 3 else array
        shape = (1, *last.shape)
        self._path(name, "hdr").write_text(f"# Dimensions\n{' '.join(map(str, shape))}\n")
        last.astype(np.complex64).ravel(order="F").tofile(self._path(name, "cfl"))

    def read(self, name: str) -> Array:
        """The inverse of `write`."""
        shape = [int(n) for n in self._path(name, "hdr").read_text().splitlines()[1].split()]
        array = np.fromfile(self._path(name, "cfl"), np.complex64).reshape(shape, order="F")
        array = array.reshape(shape[1:4] if len(shape) > 3 else shape[1:3])
        return np.ascontiguousarray(np.moveaxis(array, -1, 0)).squeeze() if array.ndim == 3 else array

    def run(self, *arguments: str) -> None:
        """One command."""
        subprocess.run(["bart", *arguments], cwd=self._folder.name, check=True, capture_output=True)

    def _path(self, name: str, suffix: str) -> Path:
        return Path(self._folder.name) / f"{name}.{suffix}"


def print_setting() -> None:
    """Commit, date, processor and how busy it is."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    print(
        f"commit {commit.stdout.strip() or 'none'}, {dt.datetime.now(dt.UTC).date()}, "
        f"{models[0].split(': ')[1] if models else platform.processor()}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} torch threads, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}"
    )


def print_table(title: str, times: dict[str, float], missing: list[str], notes: dict[str, str]) -> None:
    """Seconds and how many times mrikit's, which is the first row."""
    ours = next(iter(times.values()))
    print(f"\n| {title} | s | times mrikit | |\n|---|--:|--:|---|")
    for name, seconds in times.items():
        print(f"| {name} | {seconds:.3f} | {seconds / ours:.1f} | {notes.get(name, '')} |")
    for name in missing:
        print(f"| {name} | - | - | not installed |")
