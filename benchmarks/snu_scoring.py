"""Score a leaderboard that lies on disk: `mrikit evaluate --scorer snu-2025` against a loop over slices.

    .venv-bench/bin/pip install opencv-python-headless
    .venv-bench/bin/python benchmarks/snu_scoring.py

Brain and knee volumes of 16 slices of 384 x 384 at acc4 and acc8, reference and reconstruction in files, the page cache
warm. The loop does what the challenge's scorer does (one body mask by OpenCV and five window means by convolution for
each slice) and reads the same files, each at once; mrikit also computes PSNR and NMSE and keeps the SSIM of every
slice. The two take turns and the best of five counts, with one torch thread for each core; then scores are compared.
"""

import dataclasses
import tempfile
import time
from pathlib import Path

import cv2
import h5py
import numpy as np
import numpy.typing as npt
import torch
from setting import print_setting

from mrikit.evaluate import evaluate, leaderboard
from mrikit.masks import Mask
from mrikit.storage import write_json
from mrikit.volumes import ScanInfo, Volume, write_snu
from mrikit.volumes.reconstruction import Reconstruction, write_reconstruction

NUM_TIMES = 5
NUM_VOLUMES, NUM_SLICES, SIZE = 4, 16, 384
THRESHOLDS = {"brain": 5e-5, "knee": 2e-5}
Images = npt.NDArray[np.float32]


def main() -> None:
    """Print one table."""
    print_setting()
    with tempfile.TemporaryDirectory(prefix="mrikit-snu-") as place:
        data, recon = Path(place, "leaderboard"), Path(place, "recon")
        _write_study(data, recon)
        ours, theirs = float("inf"), float("inf")
        for _ in range(NUM_TIMES):
            start = time.perf_counter()
            scores = evaluate(data, recon, scorer="snu-2025")
            ours = min(ours, time.perf_counter() - start)
            start = time.perf_counter()
            expected = _score_by_slice(data, recon)
            theirs = min(theirs, time.perf_counter() - start)
    (found,) = leaderboard({"recon": scores.rows})
    num_slices = sum(row.num_slices for row in scores.rows)
    print(f"\n{'':36}{'mrikit':>12}{'slice loop':>12}{'ratio':>8}")
    print(f"{f'score {num_slices} slices, s':36}{ours:12.3f}{theirs:12.3f}{theirs / ours:8.2f}")
    print(f"{'one slice, ms':36}{ours / num_slices * 1e3:12.3f}{theirs / num_slices * 1e3:12.3f}")
    means = {f"acc{acceleration:g}": ssim for acceleration, ssim in found.accelerations} | {"mean": found.mean}
    for name, ssim in means.items():
        print(f"{f'SSIM {name}':36}{ssim:12.7f}{expected[name]:12.7f}{ssim - expected[name]:+10.1e}")
    largest = max(np.abs(np.subtract(row.slice_ssim, expected[row.reconstruction])).max() for row in scores.rows)
    print(f"{'largest difference of a slice':36}{largest:32.1e}")


def _write_study(data: Path, recon: Path) -> None:
    rng = np.random.default_rng(0)
    lines = np.arange(SIZE) % 4 == 0
    mask = Mask(samples=lines, kind="stored", acceleration=4.0, true_acceleration=4.0, num_center_lines=1)
    shape = (NUM_SLICES, SIZE, SIZE)
    y, x = np.meshgrid(*2 * [np.linspace(-1, 1, SIZE, dtype=np.float32)], indexing="ij")
    info = ScanInfo(volume_id="", matrix=(SIZE, SIZE), recon_matrix=(SIZE, SIZE), padding=(0, SIZE))
    # Sizes of the body as in the challenge: a head fills some 60 % of the width, a knee the whole height.
    for anatomy, (height, width) in {"brain": (0.75, 0.6), "knee": (1.1, 0.65)}.items():
        for number in range(NUM_VOLUMES):
            body = np.where((y / height) ** 2 + (x / width) ** 2 < 1, 1 + 0.5 * np.sin(9 * x * y + number), 0)
            texture = 0.8 + 0.2 * rng.random(shape, np.float32)
            reference = (1.5e-4 * body * texture + 1e-5 * rng.random(shape)).astype(np.float32)
            volume = Volume(kspace=np.zeros((NUM_SLICES, 1, SIZE, SIZE), np.complex64), reference=reference, info=info)
            volume = dataclasses.replace(volume, mask=lines)
            for acceleration, noise in (("acc4", 4e-6), ("acc8", 8e-6)):
                name = f"{anatomy}_test{number + 1}"
                image = np.abs(reference + noise * rng.standard_normal(shape, np.float32))
                write_snu(data / acceleration, name, volume, image_grappa=reference)
                result = Reconstruction(
                    image=image, zero_filled=image, volume_id=name, mask=mask, model="noise", config={}
                )
                write_reconstruction(recon / acceleration / f"{name}.h5", result)
    write_json(recon / "reconstruct.json", {"data": str(data), "model": "noise"})


def _score_by_slice(data: Path, recon: Path) -> dict[str, float | list[float]]:
    """Mean of each acceleration, their mean, and the SSIM of each slice of each volume, one slice at a time."""
    scores: dict[str, float | list[float]] = {}
    for folder in ("acc4", "acc8"):
        slices = []
        for anatomy, threshold in THRESHOLDS.items():
            for number in range(1, NUM_VOLUMES + 1):
                name = f"{folder}/{anatomy}_test{number}.h5"
                with h5py.File(data / folder / "image" / Path(name).name) as target, h5py.File(recon / name) as result:
                    references, images = target["image_label"][()], result["reconstruction"][()]
                    largest = float(target.attrs["max"])
                pairs = zip(images, references, strict=True)
                scores[name] = [_score_slice(image, one, threshold, largest) for image, one in pairs]
                slices += scores[name]
        scores[folder] = float(np.mean(slices))
    scores["mean"] = (scores["acc4"] + scores["acc8"]) / 2
    return scores


def _score_slice(image: Images, reference: Images, threshold: float, largest: float) -> float:
    square = np.ones((3, 3), np.uint8)
    body = (reference > threshold).astype(np.uint8)
    body = cv2.erode(cv2.dilate(cv2.erode(body, square, iterations=1), square, iterations=15), square, iterations=14)
    x, y = (torch.from_numpy(values * body)[None, None] for values in (image, reference))
    window = torch.full((1, 1, 7, 7), 1 / 49)
    floors = (0.01 * largest) ** 2, (0.03 * largest) ** 2
    mean_x, mean_y, square_x, square_y, product = (
        torch.nn.functional.conv2d(values, window) for values in (x, y, x * x, y * y, x * y)
    )
    var_x, var_y = (49 / 48 * (square - mean * mean) for square, mean in ((square_x, mean_x), (square_y, mean_y)))
    covariance = 49 / 48 * (product - mean_x * mean_y)
    numerator = (2 * mean_x * mean_y + floors[0]) * (2 * covariance + floors[1])
    return float((numerator / ((mean_x**2 + mean_y**2 + floors[0]) * (var_x + var_y + floors[1]))).mean())


if __name__ == "__main__":
    main()
