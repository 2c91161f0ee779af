"""Simulate a study into a folder: planned volumes to files in their layout, in parallel, resumed where it stopped."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import mrikit
from mrikit.errors import ConfigError
from mrikit.masks import Mask, MaskPlan, challenge_center_fraction, sample_mask, volume_rng, within
from mrikit.physics.grappa import grappa
from mrikit.simulate.scan import SimulatedScan, root_sum_of_squares, simulate_scan
from mrikit.simulate.study import PlannedVolume, StudyConfig, plan_study
from mrikit.storage import read_json, write_json
from mrikit.volumes import Volume, write_fastmri, write_snu
from mrikit.volumes.index_workers import num_processors

FASTMRI_TEST_MASK = {"knee": "random", "brain": "equispaced_fraction"}
SNU_MASK = "fixed"
SNU_CENTER_FRACTION = 0.08
FEWEST_CENTER_LINES = 16
"""GRAPPA cannot be calibrated on fewer at acceleration 8; 8 % of a small matrix would be fewer."""


def simulate_study(
    config: StudyConfig,
    *,
    num_workers: int | None = None,
    present: Collection[str] = (),
    on_volume: Callable[[Path], None] | None = None,
) -> list[Path]:
    """Write every volume of a study that its folder does not hold yet.

    The bytes of a file depend on the configuration alone, not on workers, threads, order, or earlier interruptions. A
    file that exists is whole and stays; `simulation-ANATOMY.json` beside the files says what they were made from.

    Args:
        config: The study.
        num_workers: Volumes to simulate at a time; as many as there are processors for this process if None. Each
            holds one volume in memory.
        present: Names, relative to the folder, of files that are done and kept elsewhere.
        on_volume: Called with the path of each volume when it is there.

    Returns:
        The k-space files of all volumes, in order, whether written now or before.

    Raises:
        ConfigError: The folder holds a study of this anatomy made from other settings, or `num_workers` is below 1.
        StorageError: The folder cannot be written or the disk is full.
    """
    if num_workers is not None and num_workers < 1:
        raise ConfigError(f"at least 1 worker is needed, found {num_workers}")
    _claim(config)
    plan = plan_study(config)
    # Threads, because nearly all time is spent in numpy and HDF5, which let others run meanwhile. In each, torch has
    # one thread of its own: the sums of GRAPPA depend in their last bits on how many share them.
    num_torch_threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(num_workers or num_processors(), initializer=torch.set_num_threads, initargs=(1,))
    try:
        for future in as_completed([pool.submit(_complete, config, planned, present) for planned in plan]):
            path = future.result()
            if on_volume is not None:
                on_volume(path)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(num_torch_threads)
    return [planned.path for planned in plan]


def missing_volumes(config: StudyConfig, present: Collection[str] = ()) -> list[PlannedVolume]:
    """The volumes of a study that its folder does not hold yet, and that are not present elsewhere."""
    return [planned for planned in plan_study(config) if not _is_done(config, planned, present)]


def _claim(config: StudyConfig) -> None:
    """Note what the files of this folder are made from; refuse to mix two studies."""
    path = config.folder / f"simulation-{config.anatomy}.json"
    # The number of volumes may grow, and the folder may move.
    settings: dict[str, Any] = {
        "mrikit": mrikit.__version__,
        "anatomy": config.anatomy,
        "num_coils": list(config.num_coils),
        "num_slices": config.num_slices,
        "layout": config.layout,
        "seed": config.seed,
        "size": config.size,
        "matrix": None if config.matrix is None else list(config.matrix),
    }
    if not path.exists():
        write_json(path, settings)
        return
    found = read_json(path)
    if found != settings:
        names = [name for name in settings if not isinstance(found, dict) or found.get(name) != settings[name]]
        raise ConfigError(
            f"{config.folder}: holds a {config.anatomy} study with other settings ({', '.join(names)} differ; see "
            f"{path.name}); choose another folder, or delete the old study"
        )


def _is_done(config: StudyConfig, planned: PlannedVolume, present: Collection[str]) -> bool:
    """Whether a volume is in its folder, or all of its files elsewhere."""
    if planned.path.exists():
        return True
    files = [planned.path]
    if config.layout == "snu":
        files.append(planned.path.parent.parent / "image" / planned.path.name)
    return all(file.relative_to(config.folder).as_posix() in present for file in files)


def _complete(config: StudyConfig, planned: PlannedVolume, present: Collection[str]) -> Path:
    if not _is_done(config, planned, present):
        scan = simulate_scan(planned.scan)
        write = _write_snu if config.layout == "snu" else _write_fastmri
        write(planned, scan)
    return planned.path


def _write_fastmri(planned: PlannedVolume, scan: SimulatedScan) -> None:
    attributes: dict[str, Any] = {"noise_covariance": scan.noise_covariance.astype(np.complex64)}
    volume = scan.volume
    if planned.split == "test":
        drawn = _mask(planned, FASTMRI_TEST_MASK[planned.scan.anatomy], challenge_center_fraction(planned.acceleration))
        mask = within(drawn, volume.acquired)
        volume = replace(
            volume,
            kspace=_masked(volume, mask),
            mask=mask.samples,
            reference=None,
            info=replace(
                volume.info,
                reference_max=None,
                acceleration=planned.acceleration,
                num_center_lines=mask.num_center_lines or None,
            ),
        )
    write_fastmri(planned.path, volume, attributes=attributes, is_only_coil=planned.scan.num_coils == 1)


def _write_snu(planned: PlannedVolume, scan: SimulatedScan) -> None:
    fraction = max(SNU_CENTER_FRACTION, FEWEST_CENTER_LINES / planned.scan.matrix[1])
    mask = _mask(planned, SNU_MASK, fraction)
    masked = _masked(scan.volume, mask)
    window = planned.scan.recon_matrix
    volume = replace(scan.volume, mask=mask.samples, kspace=masked if planned.split == "test" else scan.volume.kspace)
    image = np.stack([root_sum_of_squares(_grappa(kspace, mask), window) for kspace in masked])
    write_snu(planned.path.parent.parent, planned.path.stem, volume, image_grappa=image)


def _mask(planned: PlannedVolume, kind: str, center_fraction: float) -> Mask:
    plan = MaskPlan(kind=kind, acceleration=planned.acceleration, center_fraction=center_fraction)
    return sample_mask(plan, planned.scan.matrix, volume_rng(planned.path.stem))


def _masked(volume: Volume, mask: Mask) -> np.ndarray[Any, np.dtype[np.complex64]]:
    """(slice, coil, readout, phase) complex64 with exactly +0.0 where nothing is sampled."""
    return np.where(mask.samples, np.asarray(volume.kspace), np.complex64(0))


def _grappa(kspace: np.ndarray[Any, np.dtype[np.complex64]], mask: Mask) -> np.ndarray[Any, np.dtype[np.complex64]]:
    filled = grappa(torch.from_numpy(kspace), torch.from_numpy(mask.samples), mask.num_center_lines)
    return filled.numpy()
