"""Index blobs: mrikit's two ranged reads per file against opening each file with h5py over adlfs.

    MRIKIT_AZURITE=.../azurite-blob /root/bench-venv/bin/python benchmarks/blob_index.py

Both look into the same multi-coil files in the fastMRI format, of full size but for their number of slices, which lie
in a real Azurite over HTTPS with OAuth on this machine, and find shape, place of the samples, protocol, patient,
maximum and header. adlfs has its default settings (50 MiB are read ahead), and once the kindest to this task (blocks of
64 KiB); its clients are made once. Requests and the bytes of all answers are counted in the clients of both.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from blobs import Traffic, adlfs_files, azurite_here, counted, upload

from mrikit.storage import BlobPath, remove
from mrikit.volumes import ScanInfo, Volume, build_index, write_fastmri
from mrikit.volumes.index import INDEX_NAME

NUM_COILS, MATRIX, WINDOW = 15, (640, 368), (320, 320)
NUM_DIFFERENT = 4
"""Files that are made; the others are copies of these under other names."""


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-files", type=int, default=500)
    parser.add_argument("--num-slices", type=int, default=1, help="of each file")
    parser.add_argument("--num-times", type=int, default=3)
    options = parser.parse_args()
    runs = {
        "mrikit": _index_mrikit,
        "h5py over adlfs": _index_adlfs,
        "h5py over adlfs, 64 KiB": partial(_index_adlfs, cache_type="blockcache", block_size=2**16),
    }
    results: dict[str, list[tuple[float, Traffic]]] = {name: [] for name in runs}
    with tempfile.TemporaryDirectory(prefix="mrikit-blob-index-") as place, azurite_here(Path(place)) as container:
        _write_files(Path(place, "data"), options.num_slices)
        data = upload(sorted(Path(place, "data").iterdir()), container / "data", options.num_files)
        for _ in range(options.num_times):
            for name, run in runs.items():
                results[name].append(_time(run, data, options.num_files))
    peer_seconds, peer_traffic = min(results["h5py over adlfs"], key=lambda result: result[0])
    print(f"\n| {options.num_files} files | s | requests | MB | times faster | times fewer bytes |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, measured in results.items():
        seconds, traffic = min(measured, key=lambda result: result[0])
        faster, fewer = peer_seconds / seconds, peer_traffic.num_bytes / traffic.num_bytes
        print(
            f"| {name} | {seconds:.2f} | {traffic.num_requests} | {traffic.num_bytes / 1e6:.1f} | {faster:.1f} | "
            f"{fewer:.1f} |"
        )


def _time(run: Callable[[BlobPath], int], data: BlobPath, num_files: int) -> tuple[float, Traffic]:
    remove(data / INDEX_NAME)
    with counted() as traffic:
        start = time.perf_counter()
        found = run(data)
        seconds = time.perf_counter() - start
    assert found == num_files
    return seconds, traffic


def _index_mrikit(data: BlobPath) -> int:
    return len(build_index(data))


def _index_adlfs(data: BlobPath, **settings: object) -> int:
    import h5py

    files, entries = adlfs_files(), {}
    for name in files.ls(f"{data.container}/{data.key}", detail=False):
        with files.open(name, "rb", **settings) as blob, h5py.File(blob, "r") as file:
            dataset = file["kspace"]
            facts = {key: file.attrs[key] for key in ("acquisition", "patient_id", "max")}
            place = (dataset.shape, dataset.dtype, dataset.id.get_offset(), file["reconstruction_rss"].shape)
            entries[name] = (place, facts, file["ismrmrd_header"][()])
    return len(entries)


def _write_files(folder: Path, num_slices: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(NUM_DIFFERENT):
        kspace = rng.standard_normal((num_slices, NUM_COILS, *MATRIX, 2), np.float32).view(np.complex64)[..., 0]
        info = ScanInfo(
            volume_id=f"file{1000000 + number}",
            patient_id=f"{number:064}",
            acquisition="CORPD_FBK",
            field_strength_t=2.89,
            matrix=MATRIX,
            recon_matrix=WINDOW,
            fov_mm=(280.0, 161.0),
            padding=(0, MATRIX[1]),
        )
        volume = Volume(kspace=kspace, reference=rng.random((num_slices, *WINDOW), np.float32), info=info)
        write_fastmri(folder / f"{info.volume_id}.h5", volume)


if __name__ == "__main__":
    main()
