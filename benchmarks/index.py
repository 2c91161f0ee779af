"""Index a data folder: mrikit's sidecar index against the pickle cache of fastMRI's SliceDataset.

    /root/bench-venv/bin/python benchmarks/index.py

Both build from 500 small multi-coil files in the fastMRI format, then open what they built for 10,000 (hard links, so
that this fits any disk). mrikit compares size and time of every file with its index; fastMRI compares nothing. The two
take turns, the page cache is warm, and the best of fifteen counts. The index lies outside the data folder, because
SliceDataset opens whatever lies in it.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fastmri.data import SliceDataset

from mrikit.volumes import ScanInfo, Volume, build_index, load_index, write_fastmri

NUM_TIMES = 15
NUM_FILES_TO_BUILD = 500
NUM_FILES_TO_OPEN = 10_000


def main() -> None:
    """Print one table."""
    with tempfile.TemporaryDirectory(prefix="mrikit-index-") as place:
        root = Path(place)
        _write_files(root / "build", NUM_FILES_TO_BUILD)
        _write_links(root / "open", root / "build", NUM_FILES_TO_OPEN)
        build = _take_turns(
            lambda: _build_mrikit(root / "build", root / "index.jsonl"),
            lambda: _build_fastmri(root / "build", root / "cache.pkl"),
        )
        _build_mrikit(root / "open", root / "index.jsonl")
        _build_fastmri(root / "open", root / "cache.pkl")
        reopen = _take_turns(
            lambda: load_index(root / "open", path=root / "index.jsonl"),
            lambda: _open_fastmri(root / "open", root / "cache.pkl"),
        )
        index = load_index(root / "open", path=root / "index.jsonl")
        first = _take_turns(lambda: index.open(index.volume_ids[-1]).kspace[0], lambda: _open_slice(root / "open"))
    print(f"{'':44}{'mrikit':>10}{'fastmri':>10}{'ratio':>8}")
    for name, (ours, theirs) in {
        f"first index of {NUM_FILES_TO_BUILD} files, ms": build,
        f"open a fresh index of {NUM_FILES_TO_OPEN:,} files, ms": reopen,
        "read one slice of an indexed file, ms": first,
    }.items():
        print(f"{name:44}{ours * 1e3:10.2f}{theirs * 1e3:10.2f}{theirs / ours:8.2f}")
    print(f"{os.cpu_count()} processors")


def _take_turns(*calls: Callable[[], object]) -> list[float]:
    """The best time of each call in seconds."""
    best = [float("inf")] * len(calls)
    for _ in range(NUM_TIMES):
        for number, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[number] = min(best[number], time.perf_counter() - start)
    return best


def _write_files(folder: Path, num_files: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(num_files):
        kspace = rng.standard_normal((4, 4, 64, 36, 2), np.float32).view(np.complex64)[..., 0]
        info = ScanInfo(
            volume_id=f"file{number:07}",
            patient_id=f"{number:064}",
            acquisition="CORPD_FBK",
            field_strength_t=2.89,
            matrix=(64, 36),
            recon_matrix=(32, 32),
            fov_mm=(280.0, 157.5),
            padding=(2, 34),
        )
        volume = Volume(kspace=kspace, reference=np.abs(kspace[:, 0, :32, :32]), info=info)
        write_fastmri(folder / f"{info.volume_id}.h5", volume)


def _write_links(folder: Path, source: Path, num_files: int) -> None:
    folder.mkdir()
    files = sorted(source.iterdir())
    for number in range(num_files):
        (folder / f"file{number:07}.h5").hardlink_to(files[number % len(files)])


def _build_mrikit(folder: Path, index: Path) -> None:
    index.unlink(missing_ok=True)
    build_index(folder, path=index)


def _build_fastmri(folder: Path, cache: Path) -> None:
    cache.unlink(missing_ok=True)
    _open_fastmri(folder, cache)


def _open_fastmri(folder: Path, cache: Path) -> SliceDataset:
    return SliceDataset(folder, "multicoil", use_dataset_cache=True, dataset_cache_file=cache)


def _open_slice(folder: Path) -> object:
    import h5py

    with h5py.File(folder / f"file{NUM_FILES_TO_OPEN - 1:07}.h5", "r") as file:
        return file["kspace"][0]


if __name__ == "__main__":
    main()
