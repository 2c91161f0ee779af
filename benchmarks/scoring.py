"""Score reconstructions that lie on disk: mrikit against fastmri.evaluate.

    /root/bench-venv/bin/python benchmarks/scoring.py

500 slices of 320 x 320 in 25 volumes, reference and reconstruction in files, the page cache warm. Both read the same
files and compute MSE, NMSE, PSNR and SSIM of every volume; mrikit also keeps the SSIM of every slice. The two take
turns and the best of five counts. Then the numbers of every volume are compared. Banding has no peer.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import fastmri.evaluate
import h5py
import numpy as np
import torch
from fastmri.data.transforms import center_crop

from mrikit.evaluate import Scores, evaluate
from mrikit.masks import Mask
from mrikit.metrics import directional_excess
from mrikit.storage import write_json
from mrikit.volumes import ScanInfo, Volume, write_fastmri
from mrikit.volumes.reconstruction import Reconstruction, write_reconstruction

NUM_TIMES = 5
NUM_VOLUMES, NUM_SLICES, SIZE = 25, 20, 320
REFERENCE = "reconstruction_esc"


def main() -> None:
    """Print one table."""
    with tempfile.TemporaryDirectory(prefix="mrikit-scoring-") as place:
        data, recon, plain = Path(place, "data"), Path(place, "recon"), Path(place, "plain")
        _write_study(data, recon)
        # fastMRI opens whatever lies in the folder of references.
        plain.mkdir()
        for file in data.glob("*.h5"):
            (plain / file.name).hardlink_to(file)
        ours, theirs = float("inf"), float("inf")
        for _ in range(NUM_TIMES):
            start = time.perf_counter()
            scores = evaluate(data, recon)
            ours = min(ours, time.perf_counter() - start)
            start = time.perf_counter()
            _score_fastmri(plain, recon)
            theirs = min(theirs, time.perf_counter() - start)
        differences = _compare(scores, data, recon)
        banding = _time_banding(data, recon)
    num_slices = NUM_VOLUMES * NUM_SLICES
    print(f"{'':44}{'mrikit':>10}{'fastmri':>10}{'ratio':>8}")
    print(f"{f'score {num_slices} slices, s':44}{ours:10.3f}{theirs:10.3f}{theirs / ours:8.2f}")
    print(f"{'one slice, ms':44}{ours / num_slices * 1e3:10.3f}{theirs / num_slices * 1e3:10.3f}")
    print(f"{'banding of one slice, one thread, ms':44}{banding * 1e3:10.3f}")
    print(f"{'largest difference of a volume, relative':44}{'to fastmri':>20}{'to it in float64':>20}")
    for name, (as_it_is, in_double) in differences.items():
        print(f"{name:44}{as_it_is:20.1e}{in_double:20.1e}")
    print(f"{os.cpu_count()} processors")


def _write_study(data: Path, recon: Path) -> None:
    rng = np.random.default_rng(0)
    mask = Mask(
        samples=np.ones(SIZE, np.bool_), kind="full", acceleration=1.0, true_acceleration=1.0, num_center_lines=SIZE
    )
    shape = (NUM_SLICES, SIZE, SIZE)
    kspace = np.zeros((NUM_SLICES, 1, SIZE, SIZE), np.complex64)
    y, x = np.meshgrid(*2 * [np.linspace(-1, 1, SIZE, dtype=np.float32)], indexing="ij")
    for number in range(NUM_VOLUMES):
        body = np.where(y**2 + (x / 0.8) ** 2 < 0.8, 1 + 0.5 * np.sin(9 * x * y + number), 0).astype(np.float32)
        texture = 0.2 * rng.random(shape, np.float32)
        reference = 1e-4 * body * (0.8 + texture) + 1e-6 * rng.random(shape, np.float32)
        image = np.abs(reference + 5e-6 * rng.standard_normal(shape, np.float32))
        info = ScanInfo(
            volume_id=f"file{number:07}",
            acquisition="CORPD_FBK",
            matrix=(SIZE, SIZE),
            recon_matrix=(SIZE, SIZE),
            padding=(0, SIZE),
        )
        write_fastmri(data / f"{info.volume_id}.h5", Volume(kspace=kspace, reference=reference, info=info))
        result = Reconstruction(
            image=image, zero_filled=image, volume_id=info.volume_id, mask=mask, model="noise", config={}
        )
        write_reconstruction(recon / f"{info.volume_id}.h5", result)
    write_json(recon / "reconstruct.json", {"data": str(data), "model": "noise"})


def _score_fastmri(data: Path, recon: Path) -> None:
    arguments = argparse.Namespace(target_path=data, predictions_path=recon, acquisition=None, acceleration=None)
    fastmri.evaluate.evaluate(arguments, REFERENCE)


def _time_banding(data: Path, recon: Path) -> float:
    """Seconds of the directional excess of a slice, which nobody else has; best of five, files read before."""
    with h5py.File(data / "file0000000.h5") as target, h5py.File(recon / "file0000000.h5") as result:
        reference, image = (torch.from_numpy(file[()]) for file in (target[REFERENCE], result["reconstruction"]))
    num_threads, best = torch.get_num_threads(), float("inf")
    torch.set_num_threads(1)
    for _ in range(NUM_TIMES):
        start = time.perf_counter()
        directional_excess(image, reference)
        best = min(best, time.perf_counter() - start)
    torch.set_num_threads(num_threads)
    return best / len(image)


def _compare(scores: Scores, data: Path, recon: Path) -> dict[str, list[float]]:
    """Largest relative difference of a volume, to fastMRI's functions as they are and in double precision."""
    largest = {name: [0.0, 0.0] for name in fastmri.evaluate.METRIC_FUNCS}
    for row in scores.rows:
        with h5py.File(data / f"{row.volume_id}.h5") as target, h5py.File(recon / f"{row.volume_id}.h5") as result:
            reference, image = (center_crop(a[()], (SIZE, SIZE)) for a in (target[REFERENCE], result["reconstruction"]))
        for name, metric in fastmri.evaluate.METRIC_FUNCS.items():
            for column, dtype in enumerate((np.float32, np.float64)):
                expected = float(np.squeeze(metric(reference.astype(dtype), image.astype(dtype))))
                difference = abs(getattr(row, name.lower()) / expected - 1)
                largest[name][column] = max(largest[name][column], difference)
    return largest


if __name__ == "__main__":
    main()
