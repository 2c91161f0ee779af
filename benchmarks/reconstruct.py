"""Slices/s of four networks over a leaderboard, routed: mrikit against one slice at a time, as the SNU entry does it.

    python benchmarks/reconstruct.py [--full] [--size full] [--device cuda] [--precision bf16]

Brains and knees at 4x and 8x are written as the SNU challenge has them, and each volume is reconstructed by the
PromptMR of its anatomy and acceleration; random weights take as long as trained ones. The baseline is the same networks
by the same routes, one slice at a time in eager float32, with each slice's neighbours read anew. Both load the
networks, read and write files, and take turns; the best of each counts. Few scans are simulated; all other volumes are
links to them. On a busy CPU the baseline's threads wait for each other: see OMP_NUM_THREADS=1 beside the default.
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mrikit.checkpoint import save_weights
from mrikit.data import center_crop, choose_mask, make_example
from mrikit.errors import DataError
from mrikit.masks import MaskPlan, sample_mask
from mrikit.models import build_model, model_settings
from mrikit.models.precision import real_float32
from mrikit.reconstruct import ReconstructConfig, build_routing, choose_method, reconstruct_folder
from mrikit.simulate.scan import ScanPlan, simulate_scan
from mrikit.storage import atomic_path
from mrikit.volumes import find_volumes, open_volume, write_snu
from mrikit.volumes.reconstruction import read_reconstruction, reconstruction_path

SLIM = {"feature_widths": (12, 16, 20), "prompt_widths": (4, 8, 12), "stem_width": 8, "sens_stem_width": 4}
SLIM_SENS = {"sens_feature_widths": (6, 8, 10), "sens_prompt_widths": (2, 4, 6)}
SIZES = {
    "tiny": ({"num_cascades": 2, **SLIM, **SLIM_SENS}, (192, 96), 4, 4),
    "small": ({"num_cascades": 4}, (384, 196), 8, 8),
    "full": ({}, (768, 396), 15, 16),
}
"""Settings of the network, (readout, phase), coils, slices of a volume."""
READOUT = {"brain": 384, "knee": 416}
"""Rows that the entry keeps of 768."""
PROTOCOL = {"brain": "AXT2", "knee": "CORPD_FBK"}
ACCELERATIONS = (4, 8)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--full", action="store_true", help="the 116 volumes of the leaderboard, not 4")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32", help="of mrikit; the baseline has fp32")
    parser.add_argument("--num-times", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mrikit-reconstruct-") as place:
        data, runs = Path(place, "leaderboard"), Path(place, "runs")
        num_slices = write_leaderboard(data, arguments.size, 29 if arguments.full else 1)
        write_runs(runs, arguments.size)
        config = ReconstructConfig(weights=(runs,), task="auto", precision=arguments.precision)
        eager = replace(config, precision="fp32")
        ours, theirs = [], []
        for turn in range(arguments.num_times):
            out, plain = Path(place, f"out-{turn}"), Path(place, f"plain-{turn}")
            theirs.append(clock(lambda plain=plain: one_by_one(data, plain, eager, arguments.device)))
            ours.append(clock(lambda out=out: reconstruct_folder(data, out, config, device=arguments.device)))
        error = largest_error(data, out, plain)
    print(f"\nPromptMR {arguments.size}, {num_slices} slices, {arguments.device}, {torch.get_num_threads()} threads")
    print("\n| reconstruction of a leaderboard | slices/s | faster |\n|---|--:|--:|")
    print(f"| one slice at a time, fp32 | {num_slices / min(theirs):.3f} | 1.00 |")
    print(f"| mrikit, {arguments.precision} | {num_slices / min(ours):.3f} | {min(theirs) / min(ours):.2f} |")
    print(f"\nlargest difference of an image, relative to its maximum: {error:.1e}")


def write_leaderboard(data: Path, size: str, num_volumes: int) -> int:
    """`acc4/kspace/brain_test1.h5` and so on; the number of slices of all."""
    _, matrix, num_coils, num_slices = SIZES[size]
    for anatomy, acceleration in itertools.product(READOUT, ACCELERATIONS):
        window = (matrix[0] // 2, min(matrix[0] // 2, matrix[1]))
        plan = ScanPlan(
            seed=0,
            anatomy=anatomy,
            patient=0,
            acquisition=PROTOCOL[anatomy],
            num_coils=num_coils,
            num_slices=num_slices,
            matrix=matrix,
            recon_matrix=window,
            num_acquired=matrix[1],
            volume_id=anatomy,
            patient_id=anatomy,
        )
        volume = simulate_scan(plan).volume
        mask_plan = MaskPlan(kind="fixed", acceleration=acceleration, center_fraction=0.08)
        lines = sample_mask(mask_plan, matrix, np.random.RandomState(0)).samples
        kspace = np.stack([np.where(lines, one, np.complex64(0)) for one in volume.kspace])
        root, names = data / f"acc{acceleration}", [f"{anatomy}_test{number + 1}" for number in range(num_volumes)]
        reference = np.stack(list(volume.reference))
        write_snu(root, names[0], replace(volume, kspace=kspace, mask=lines), image_grappa=reference)
        for name, kind in itertools.product(names[1:], ("kspace", "image")):
            (root / kind / f"{name}.h5").hardlink_to(root / kind / f"{names[0]}.h5")
    return len(READOUT) * len(ACCELERATIONS) * num_volumes * num_slices


def write_runs(runs: Path, size: str) -> None:
    """One weights file for each anatomy and acceleration."""
    settings, (readout, _), *_ = SIZES[size]
    for number, (anatomy, acceleration) in enumerate(itertools.product(READOUT, ACCELERATIONS)):
        torch.manual_seed(number)
        model = build_model("promptmr", settings)
        record = {
            "task": f"{anatomy}_acc{acceleration}",
            "anatomy": anatomy,
            "masks": [{"kind": "fixed", "acceleration": float(acceleration), "center_fraction": 0.08}],
            "max_readout": READOUT[anatomy] * readout // 768,
        }
        path = runs / record["task"] / "weights.safetensors"
        save_weights(path, "promptmr", model_settings(model), model.state_dict(), record)


@torch.inference_mode()
def one_by_one(data: Path, out: Path, config: ReconstructConfig, device: str) -> None:
    """The baseline: nothing is kept from one slice to the next."""
    routing = build_routing(config, device)
    for path in find_volumes(data):
        volume = open_volume(path)
        method, mask = choose_method(routing, volume, device), choose_mask(volume, None)
        images = []
        for index in range(len(volume.kspace)):
            example = make_example(
                volume,
                (index,),
                mask,
                device,
                has_reference=False,
                num_adjacent=method.num_adjacent,
                max_readout=method.max_readout,
            )
            with real_float32():
                image = method.model(example.masked_kspace, example.mask, example.num_center_lines)
            images.append(center_crop(image, example.crop)[0].cpu().numpy())
        with atomic_path(reconstruction_path(out, data, path).with_suffix(".npy")) as temporary:
            np.save(temporary, np.stack(images))


def largest_error(data: Path, out: Path, plain: Path) -> float:
    """Between both, over all volumes."""
    errors = []
    for path in find_volumes(data):
        found = read_reconstruction(reconstruction_path(out, data, path)).image
        expected = np.load(reconstruction_path(plain, data, path).with_suffix(".npy"))
        if not expected.max() > 0:
            raise DataError(f"{path}: the network makes no image")
        errors.append(float(np.abs(found - expected).max() / expected.max()))
    return max(errors)


def clock(work: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
