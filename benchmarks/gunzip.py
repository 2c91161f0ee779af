"""Unpacking a .tar.gz: mrikit with and without rapidgzip, Python's tarfile, and `pigz -dc | tar x`.

    python benchmarks/gunzip.py [--size-mb 400] [--times 3] [--folder DIR]

The archive holds complex64 noise and is made by `gzip -1`. All write the same files; mrikit also hashes each member and
the archive, and flushes each file before it gets its name. The ways take turns and the median counts.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mrikit.transfer.source import FileSource
from mrikit.transfer.unpacking import decode
from mrikit.transfer.unpacking.unpack import UnpackSettings, unpack

_VOLUME_BYTES = 40_000_000


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size-mb", type=int, default=400)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to measure")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mrikit-gunzip-", dir=options.folder) as place:
        archive, size = _make_archive(Path(place), options.size_mb)
        out = Path(place) / "out"
        print(f"{size / 1e6:.0f} MB, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
        ways: dict[str, Callable[[], object]] = {
            "mrikit with rapidgzip": lambda: _by_mrikit(archive, out, is_parallel=True),
            "mrikit without": lambda: _by_mrikit(archive, out, is_parallel=False),
            "tarfile r|gz": lambda: _by_tarfile(archive, out),
            "pigz -dc, tar x": lambda: _by_programs(archive, out),
        }
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.times):
            for name, way in ways.items():
                shutil.rmtree(out, ignore_errors=True)
                out.mkdir()
                start = time.perf_counter()
                way()
                found[name].append(time.perf_counter() - start)
    print("\n| unpack | s | MB/s |\n|---|--:|--:|")
    for name, seconds in found.items():
        median = statistics.median(seconds)
        print(f"| {name} | {median:.2f} | {size / 1e6 / median:.1f} |")


def _make_archive(folder: Path, size_mb: int) -> tuple[Path, int]:
    """A .tar.gz of volumes of noise, and how many bytes these have."""
    rng, volumes = np.random.default_rng(0), folder / "volumes"
    volumes.mkdir()
    count = max(1, size_mb * 10**6 // _VOLUME_BYTES)
    for number in range(count):
        noise = rng.standard_normal(_VOLUME_BYTES // 4).astype(np.float32)
        (volumes / f"volume{number}.h5").write_bytes(np.round(noise * 64).astype(np.float32).tobytes())
    archive = folder / "volumes.tar.gz"
    subprocess.run(["tar", "-C", folder, "-I", "gzip -1", "-cf", archive, "volumes"], check=True)
    return archive, count * _VOLUME_BYTES


def _by_mrikit(archive: Path, out: Path, *, is_parallel: bool) -> None:
    known = decode.can_decode
    if not is_parallel:
        decode.can_decode = lambda _source: False
    try:
        assert unpack(FileSource(archive), out, settings=UnpackSettings()).is_ok
    finally:
        decode.can_decode = known


def _by_tarfile(archive: Path, out: Path) -> None:
    with tarfile.open(archive, "r|gz") as tar:
        tar.extractall(out, filter="data")


def _by_programs(archive: Path, out: Path) -> None:
    with subprocess.Popen(["pigz", "-dc", archive], stdout=subprocess.PIPE) as pigz:
        subprocess.run(["tar", "-C", out, "-x"], stdin=pigz.stdout, check=True)


if __name__ == "__main__":
    main()
