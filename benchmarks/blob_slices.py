"""Read random slices of blobs: mrikit's exact ranged reads against h5py over adlfs at its best cache setting.

    MRIKIT_AZURITE=.../azurite-blob /root/bench-venv/bin/python benchmarks/blob_slices.py

Both read k-space and reference of the same slices, in the same random order, from multi-coil files in the fastMRI
format that lie in a real Azurite over HTTPS with OAuth on this machine; some are compared first. Both have as many
threads, and no local cache: mrikit's is off, and each slice is wanted once. mrikit has its index; for h5py the files
are opened before the clock starts, and stay open. Each cache setting of adlfs is tried, the best is the peer. They take
turns, and the best of their times counts. A storage account is not on one's own machine: `--far` puts a line of 10 ms
and 60 MB/s for each connection in between. The last line is what a second epoch costs with mrikit's cache on.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from blob_index import _write_files
from blobs import adlfs_files, azurite_here, upload

from mrikit.storage import BlobPath
from mrikit.volumes import Index, build_index

CACHES = {"none": None, "readahead": 5 * 2**20, "first": 2**20, "blockcache": 4 * 2**20, "bytes": 5 * 2**20}
"""Cache of adlfs, and its block size in bytes."""

Slice = tuple[int, int]
Read = Callable[[Slice], tuple[np.ndarray, np.ndarray]]


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-files", type=int, default=8)
    parser.add_argument("--num-slices", type=int, default=4, help="of each file")
    parser.add_argument("--num-times", type=int, default=3)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--far", action="store_true", help="behind a line of 10 ms and 60 MB/s for each connection")
    options = parser.parse_args()
    order = [(file, index) for file in range(options.num_files) for index in range(options.num_slices)]
    order = [order[position] for position in np.random.default_rng(0).permutation(len(order))]
    with (
        tempfile.TemporaryDirectory(prefix="mrikit-blob-slices-") as place,
        azurite_here(Path(place), is_far=options.far) as container,
    ):
        _write_files(Path(place, "data"), options.num_slices)
        data = upload(sorted(Path(place, "data").iterdir()), container / "data", options.num_files)
        index = build_index(data)
        ours = _reader_mrikit(index)
        peer = _reader_adlfs(data, index.names, "none")
        for one in order[:2]:
            assert all(np.array_equal(found, other) for found, other in zip(ours(one), peer(one), strict=True))
        times: dict[str, float] = {}
        for _ in range(options.num_times):
            times["mrikit"] = min(times.get("mrikit", np.inf), _time(ours, order, options.threads))
            for cache in CACHES:
                # Opened anew, because its cache would hold what the last round read.
                peer, name = _reader_adlfs(data, index.names, cache), f"h5py over adlfs, {cache}"
                times[name] = min(times.get(name, np.inf), _time(peer, order, options.threads))
        del os.environ["MRIKIT_CACHE_SIZE"]
        _time(ours, order, options.threads)
        times["mrikit, second epoch"] = _time(ours, order, options.threads)
    best = min(seconds for name, seconds in times.items() if "adlfs" in name)
    print(f"\n| {len(order)} random slices, {options.threads} threads | slices/s | times the best of adlfs |")
    print("|---|--:|--:|")
    for name, seconds in times.items():
        print(f"| {name} | {len(order) / seconds:.1f} | {best / seconds:.2f} |")


def _time(read: Read, order: Sequence[Slice], num_threads: int) -> float:
    start = time.perf_counter()
    with ThreadPoolExecutor(num_threads) as pool:
        count = sum(kspace.ndim == 3 for kspace, _ in pool.map(read, order))
    assert count == len(order)
    return time.perf_counter() - start


def _reader_mrikit(index: Index) -> Read:
    volumes = [index.open(volume_id) for volume_id in index.volume_ids]

    def read(place: Slice) -> tuple[np.ndarray, np.ndarray]:
        volume, slice_index = volumes[place[0]], place[1]
        assert volume.reference is not None
        return volume.kspace[slice_index], volume.reference[slice_index]

    return read


def _reader_adlfs(data: BlobPath, names: Sequence[str], cache: str) -> Read:
    import h5py

    settings = {"cache_type": cache} | ({"block_size": CACHES[cache]} if CACHES[cache] else {})
    blobs = [adlfs_files().open(f"{data.container}/{data.key}/{name}", "rb", **settings) for name in names]
    files = [h5py.File(blob, "r") for blob in blobs]

    def read(place: Slice) -> tuple[np.ndarray, np.ndarray]:
        file, slice_index = files[place[0]], place[1]
        return file["kspace"][slice_index], file["reconstruction_rss"][slice_index]

    return read


if __name__ == "__main__":
    main()
