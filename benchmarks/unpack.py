"""Unpacking a multi-block .tar.xz: mrikit against Python's tarfile and against `xz -T2 -dc | tar x`.

    python benchmarks/unpack.py [--size-mb 400] [--times 3] [--folder DIR]

The archive holds volumes of complex64 noise in HDF5, made by `xz -1 -T2` in blocks of 3 MiB; like k-space, it
compresses to about 0.7 of its size. All write the same files into the same folder. mrikit also hashes each member and
the archive, checks the archive's end, and flushes each file to disk before it gets its name; `tarfile` and `tar` do
not. The three take turns and the median counts; seconds of processor time are those of this process and its children.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from mrikit.transfer.source import FileSource
from mrikit.transfer.unpacking.unpack import UnpackSettings, unpack


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size-mb", type=int, default=400)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to measure")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mrikit-unpack-", dir=options.folder) as place:
        archive, size = _make_archive(Path(place), options.size_mb)
        out = Path(place) / "out"
        ratio = archive.stat().st_size / size
        print(
            f"{size / 1e6:.0f} MB in {archive.stat().st_size / 1e6:.0f} MB ({ratio:.2f}), {os.cpu_count()} processors, "
            f"load {os.getloadavg()[0]:.1f}"
        )
        runs: dict[str, Callable[[], object]] = {
            "mrikit": lambda: unpack(FileSource(archive), out, settings=UnpackSettings()),
            "tarfile r|xz": lambda: _unpack_by_tarfile(archive, out),
            "xz -T2 -dc | tar x": lambda: _unpack_by_programs(archive, out),
        }
        rows = _take_turns(runs, out, options.times)
    ours = rows["mrikit"][0]
    print("\n| unpack | s | MB/s | processor s | times mrikit |\n|---|--:|--:|--:|--:|")
    for name, (wall, processor) in rows.items():
        print(f"| {name} | {wall:.2f} | {size / 1e6 / wall:.1f} | {processor:.2f} | {wall / ours:.2f} |")
    print(f"\nlargest memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def _take_turns(runs: dict[str, Callable[[], object]], out: Path, times: int) -> dict[str, tuple[float, float]]:
    """Median wall and processor seconds of each."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(times):
        for name, run in runs.items():
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            os.sync()
            start, processor = time.perf_counter(), _processor_s()
            run()
            found[name].append((time.perf_counter() - start, _processor_s() - processor))
    return {
        name: (statistics.median(wall for wall, _ in rows), statistics.median(cpu for _, cpu in rows))
        for name, rows in found.items()
    }


def _processor_s() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def _make_archive(folder: Path, size_mb: int) -> tuple[Path, int]:
    """A .tar.xz of volumes of 40 MB."""
    rng = np.random.default_rng(0)
    source = folder / "in"
    source.mkdir()
    for number in range(max(1, size_mb // 40)):
        kspace = rng.standard_normal((5, 8, 320, 390, 2), np.float32)
        kspace.view(np.uint32)[...] &= 0xFFFFFF00  # what a receiver does not resolve
        with h5py.File(source / f"file{number:04}.h5", "w") as file:
            file["kspace"] = kspace.view(np.complex64)[..., 0]
    size = sum(path.stat().st_size for path in source.iterdir())
    archive = folder / "archive.tar.xz"
    command = f"tar -cC {source} . | xz -1 -T2 --block-size={3 * 2**20} > {archive}"
    subprocess.run(command, shell=True, check=True)
    shutil.rmtree(source)
    return archive, size


def _unpack_by_tarfile(archive: Path, out: Path) -> None:
    with tarfile.open(archive, "r|xz") as tar:
        tar.extractall(out, filter="data")


def _unpack_by_programs(archive: Path, out: Path) -> None:
    subprocess.run(f"xz -T2 -dc {archive} | tar -xC {out}", shell=True, check=True)


if __name__ == "__main__":
    main()
