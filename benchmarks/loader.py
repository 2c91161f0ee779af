"""Read undersampled training examples: mrikit's loader against fastmri's SliceDataset with VarNetDataTransform.

    .venv-bench/bin/python benchmarks/loader.py

Both read the same contiguous files, draw a new equispaced mask (4x, 8 %) for every slice, and give masked k-space,
mask, centre, target and its maximum, one shuffled slice at a time, with two workers: threads that read here, the
processes of torch's DataLoader there. An epoch is timed from the start of its workers to the last example; the two take
turns on a warm page cache. First both draw the fixed masks of validation, and every number is compared.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from fastmri.data import SliceDataset as FastmriDataset
from fastmri.data.subsample import EquispacedMaskFractionFunc
from fastmri.data.transforms import VarNetDataTransform
from setting import print_setting
from torch.utils.data import DataLoader

from mrikit.data import (
    MaskPlan,
    SliceDataset,
    SliceKey,
    choose_mask,
    draw_masks,
    load_batches,
    load_training_volumes,
    plan_epoch,
    prepare,
    undersample,
)
from mrikit.training.objectives import Draw
from mrikit.volumes import ScanInfo, Volume, write_fastmri

NUM_VOLUMES, NUM_SLICES, NUM_COILS, MATRIX, WINDOW = 4, 12, 15, (640, 368), (320, 320)
NUM_TIMES = 5
PLAN = MaskPlan(kind="equispaced_fraction", acceleration=4, center_fraction=0.08)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    num_workers = parser.parse_args().workers
    print_setting()
    with tempfile.TemporaryDirectory(prefix="mrikit-loader-") as place:
        folder, data = Path(place, "multicoil_train"), Path(place, "data")
        _write_files(folder)
        # The index goes elsewhere, because fastMRI opens whatever lies in its folder.
        data.mkdir()
        for file in folder.iterdir():
            (data / file.name).hardlink_to(file)
        dataset = SliceDataset(load_training_volumes(data).volumes)
        difference = _compare(dataset, _fastmri_loader(folder, 0, is_validation=True))
        peer = _fastmri_loader(folder, num_workers)
        times: dict[str, list[float]] = {"mrikit": [], "mrikit, bytes alone": [], "fastmri": []}
        for epoch in range(NUM_TIMES + 1):
            times["mrikit"].append(_time(_run_mrikit, dataset, epoch, num_workers))
            times["mrikit, bytes alone"].append(_time(_read_mrikit, dataset, epoch, num_workers))
            times["fastmri"].append(_time(_run_fastmri, peer))
    num_slices = NUM_VOLUMES * NUM_SLICES
    medians = {name: statistics.median(seconds[1:]) for name, seconds in times.items()}
    shape = f"{NUM_COILS} x {MATRIX[0]} x {MATRIX[1]}"
    print(f"\n| {num_slices} slices of {shape}, {num_workers} workers | ms per slice | slices/s | times fastmri |")
    print("|---|--:|--:|--:|")
    for name, seconds in medians.items():
        speed, ratio = num_slices / seconds, medians["fastmri"] / seconds
        print(f"| {name} | {1e3 / speed:.1f} | {speed:.1f} | {ratio:.1f} |")
    print(f"\nlargest difference of masked k-space, mask, target and maximum: {difference:g}")


def _time(run: Callable[..., int], *arguments: object) -> float:
    start = time.perf_counter()
    count = run(*arguments)
    seconds = time.perf_counter() - start
    assert count == NUM_VOLUMES * NUM_SLICES
    return seconds


def _run_mrikit(dataset: SliceDataset, epoch: int, num_workers: int) -> int:
    plan = plan_epoch(dataset.shapes, micro_batch_size=1, batch_size=1, seed=0, epoch=epoch)
    count = 0
    for batch in load_batches(dataset, plan, num_workers):
        scan = prepare(batch, [dataset.volumes[key.volume] for key in batch.keys])
        masks = draw_masks([PLAN], scan, Draw(0, epoch).generators(scan, "mask"))
        count += len(undersample(scan, masks).masked_kspace)
    return count


def _read_mrikit(dataset: SliceDataset, epoch: int, num_workers: int) -> int:
    plan = plan_epoch(dataset.shapes, micro_batch_size=1, batch_size=1, seed=0, epoch=epoch)
    return sum(len(batch.kspace) for batch in load_batches(dataset, plan, num_workers))


def _fastmri_loader(folder: Path, num_workers: int, *, is_validation: bool = False) -> DataLoader:
    mask_func = EquispacedMaskFractionFunc([PLAN.center_fraction], [int(PLAN.acceleration)])
    transform = VarNetDataTransform(mask_func, use_seed=is_validation)
    dataset = FastmriDataset(folder, "multicoil", transform)
    return DataLoader(dataset, batch_size=1, num_workers=num_workers, shuffle=not is_validation)


def _run_fastmri(loader: DataLoader) -> int:
    return sum(len(sample.masked_kspace) for sample in loader)


def _compare(dataset: SliceDataset, loader: DataLoader) -> float:
    """Largest absolute difference of the two over all slices of the first volume, with the masks of validation."""
    volume = dataset.volumes[0]
    mask = choose_mask(volume, PLAN)
    largest = 0.0
    for index, sample in enumerate(loader):
        if index == NUM_SLICES:
            break
        example = undersample(prepare(dataset.read([SliceKey(0, index)]), [volume]), [mask])
        assert (*sample.fname, sample.slice_num.item()) == (f"{volume.info.volume_id}.h5", index)
        assert torch.equal(sample.mask[..., 0], example.mask)
        assert example.num_center_lines.item() == sample.num_low_frequencies.item()
        for ours, theirs in (
            (example.masked_kspace, torch.view_as_complex(sample.masked_kspace)),
            (example.reference, sample.target),
            (example.data_range, sample.max_value),
        ):
            largest = max(largest, float((ours - theirs).abs().max()))
    return largest


def _write_files(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(NUM_VOLUMES):
        kspace = rng.standard_normal((NUM_SLICES, NUM_COILS, *MATRIX, 2), np.float32).view(np.complex64)[..., 0]
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
        volume = Volume(kspace=kspace, reference=rng.random((NUM_SLICES, *WINDOW), np.float32), info=info)
        write_fastmri(folder / f"{info.volume_id}.h5", volume)


if __name__ == "__main__":
    main()
