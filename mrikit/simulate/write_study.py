"""Simulate a study into a folder: planned volumes to files in their layout, in parallel, resumed where it stopped."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mrikit.errors import ConfigError
from mrikit.masks import Mask, MaskPlan, challenge_center_fraction, sample_mask, volume_rng, within
from mrikit.physics.grappa import grappa
from mrikit.simulate.digits import read_digits
from mrikit.simulate.digits_study import DigitsPlan, DigitsStudy, plan_digits, scan_digits
from mrikit.simulate.mixed_scan import Sources, scan_mixed
from mrikit.simulate.mixed_study import MixedPlan, MixedStudy, plan_mixed
from mrikit.simulate.photographs import read_photographs
from mrikit.simulate.planned import PlannedVolume
from mrikit.simulate.scan import ScanPlan, SimulatedScan, root_sum_of_squares, simulate_scan
from mrikit.simulate.settings import settings_of
from mrikit.simulate.shapes import FloatArray
from mrikit.simulate.study import StudyConfig, plan_phantoms
from mrikit.simulate.template import read_template
from mrikit.simulate.template_scan import scan_template
from mrikit.simulate.template_study import TemplatePlan, TemplateStudy, plan_template
from mrikit.storage import read_json, write_json
from mrikit.volumes import Volume, write_fastmri, write_snu
from mrikit.volumes.index_workers import num_processors

FASTMRI_TEST_MASK = {"knee": "random", "brain": "equispaced_fraction"}
SNU_MASK = "fixed"
SNU_CENTER_FRACTION = 0.08
FEWEST_CENTER_LINES = 16
"""GRAPPA cannot be calibrated on fewer at acceleration 8; 8 % of a small matrix would be fewer."""


Study = StudyConfig | TemplateStudy | DigitsStudy | MixedStudy
"""What to simulate: phantoms, a template, digits, or a mixture."""
Planned = PlannedVolume[Any]


def simulate_study(
    config: Study,
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
        ConfigError: The folder holds a study of this anatomy made from other settings, or `num_workers` is below 1, or
            the package that a template or photographs are in is missing.
        DataError: The file of a template, of digits or of a photograph cannot be used.
        StorageError: The folder cannot be written or the disk is full.
    """
    if num_workers is not None and num_workers < 1:
        raise ConfigError(f"at least 1 worker is needed, found {num_workers}")
    plan, write = plan_study(config), _writer(config)
    _claim(config)
    # Threads, because nearly all time is spent in numpy and HDF5, which let others run meanwhile. In each, torch has
    # one thread of its own: the sums of GRAPPA depend in their last bits on how many share them.
    num_torch_threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(num_workers or num_processors(), initializer=torch.set_num_threads, initargs=(1,))
    try:
        for future in as_completed([pool.submit(_complete, config, planned, present, write) for planned in plan]):
            path = future.result()
            if on_volume is not None:
                on_volume(path)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(num_torch_threads)
    return [planned.path for planned in plan]


def plan_study(config: Study) -> list[Planned]:
    """Every volume of a study, in order. Volume n is the same in every study that has it.

    Raises:
        DataError: The file of digits cannot be read, or does not fill the volumes.
    """
    if isinstance(config, StudyConfig):
        return plan_phantoms(config)
    if isinstance(config, MixedStudy):
        return list(plan_mixed(config))
    return (
        plan_template(config) if isinstance(config, TemplateStudy) else plan_digits(config, read_digits(config.source))
    )


def missing_volumes(config: Study, present: Collection[str] = ()) -> list[Planned]:
    """The volumes of a study that its folder does not hold yet, and that are not present elsewhere."""
    return [planned for planned in plan_study(config) if not _is_done(config, planned, present)]


def _claim(config: Study) -> None:
    """Note what the files of this folder are made from; refuse to mix two studies."""
    path = config.folder / f"simulation-{config.anatomy}.json"
    settings = settings_of(config)
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


def _is_done(config: Study, planned: Planned, present: Collection[str]) -> bool:
    """Whether a volume is in its folder, or all of its files elsewhere."""
    if planned.path.exists():
        return True
    files = [planned.path]
    if config.layout == "snu":
        files.append(planned.path.parent.parent / "image" / planned.path.name)
    return all(file.relative_to(config.folder).as_posix() in present for file in files)


def _complete(config: Study, planned: Planned, present: Collection[str], write: Callable[[Planned], None]) -> Path:
    if not _is_done(config, planned, present):
        write(planned)
    return planned.path


def _writer(config: Study) -> Callable[[Planned], None]:
    """What simulates a volume of the study and writes it; what all of them are made of is read once."""
    if isinstance(config, TemplateStudy):
        return partial(_write_template, template=read_template(config.template))
    if isinstance(config, DigitsStudy):
        return partial(_write_digits, digits=read_digits(config.source))
    if isinstance(config, MixedStudy):
        sources = Sources(photographs=read_photographs(), template=read_template(config.template))
        return partial(_write_mixed, sources=sources)
    write = _write_snu if config.layout == "snu" else _write_fastmri
    return lambda planned: write(planned, simulate_scan(planned.scan))


def _write_template(planned: PlannedVolume[TemplatePlan], template: FloatArray) -> None:
    """Full k-space with its reference in every split: what a learned mask measures is decided later."""
    scan = scan_template(planned.scan, template)
    attributes: dict[str, Any] = {"noise_covariance": scan.noise_covariance.astype(np.complex64)}
    write_fastmri(planned.path, scan.volume, attributes=attributes, is_only_coil=planned.scan.num_coils == 1)


def _write_digits(planned: PlannedVolume[DigitsPlan], digits: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    write_fastmri(planned.path, scan_digits(planned.scan, digits), is_only_coil=True)


def _write_mixed(planned: PlannedVolume[MixedPlan], sources: Sources) -> None:
    """Full k-space with its reference in every split, and what the volume is made of."""
    plan, scan = planned.scan, scan_mixed(planned.scan, sources)
    attributes: dict[str, Any] = {
        "noise_covariance": scan.noise_covariance.astype(np.complex64),
        "made_of": scan.made_of,
        "noise_level": plan.noise_level,
        "intensity": plan.intensity,
        "coil_reach": plan.coil_reach,
    }
    write_fastmri(planned.path, scan.volume, attributes=attributes, is_only_coil=plan.num_coils == 1)


def _write_fastmri(planned: PlannedVolume[ScanPlan], scan: SimulatedScan) -> None:
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


def _write_snu(planned: PlannedVolume[ScanPlan], scan: SimulatedScan) -> None:
    fraction = max(SNU_CENTER_FRACTION, FEWEST_CENTER_LINES / planned.scan.matrix[1])
    mask = _mask(planned, SNU_MASK, fraction)
    masked = _masked(scan.volume, mask)
    window = planned.scan.recon_matrix
    volume = replace(scan.volume, mask=mask.samples, kspace=masked if planned.split == "test" else scan.volume.kspace)
    image = np.stack([root_sum_of_squares(_grappa(kspace, mask), window) for kspace in masked])
    write_snu(planned.path.parent.parent, planned.path.stem, volume, image_grappa=image)


def _mask(planned: PlannedVolume[ScanPlan], kind: str, center_fraction: float) -> Mask:
    plan = MaskPlan(kind=kind, acceleration=planned.acceleration, center_fraction=center_fraction)
    return sample_mask(plan, planned.scan.matrix, volume_rng(planned.path.stem))


def _masked(volume: Volume, mask: Mask) -> np.ndarray[Any, np.dtype[np.complex64]]:
    """(slice, coil, readout, phase) complex64 with exactly +0.0 where nothing is sampled."""
    return np.where(mask.samples, np.asarray(volume.kspace), np.complex64(0))


def _grappa(kspace: np.ndarray[Any, np.dtype[np.complex64]], mask: Mask) -> np.ndarray[Any, np.dtype[np.complex64]]:
    filled = grappa(torch.from_numpy(kspace), torch.from_numpy(mask.samples), mask.num_center_lines)
    return filled.numpy()
