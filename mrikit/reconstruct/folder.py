"""A folder of volumes to a folder of reconstructions, one file for each volume, resumable."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mrikit.errors import ConfigError, DataError
from mrikit.reconstruct.method import ReconstructConfig, build_method, describe_method
from mrikit.reconstruct.volume import OnSlice, reconstruct_volume
from mrikit.storage import create_json, read_json, write_json
from mrikit.volumes import find_volumes, open_volume
from mrikit.volumes.reconstruction import (
    RUN_FILE,
    file_signature,
    find_reconstructions,
    is_made_from,
    reconstruction_path,
    write_reconstruction,
)

OnStart = Callable[[str, int], None]
"""Called before the first volume with the name of the model and the number of volumes."""

_FREE = ("version", "weights")  # may differ within one folder: the weights' digest counts, not where they lie


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconstructSummary:
    """What one call did."""

    num_volumes: int
    """Volumes reconstructed by this call."""
    num_skipped: int
    """Volumes that were done before."""
    num_slices: int
    """Slices reconstructed by this call."""
    seconds: float
    """Time they took, reading and writing included."""
    num_own_mask: int
    """Volumes that kept the mask they were acquired with although a plan was given."""
    num_full: int
    """Volumes that stayed fully sampled although the network was trained on undersampled ones."""


def reconstruct_folder(
    data: Path,
    out: Path,
    config: ReconstructConfig,
    *,
    device: torch.device | str = "cpu",
    on_start: OnStart = lambda _model, _num_volumes: None,
    on_slice: OnSlice = lambda _volume_id, _num_slices: None,
) -> ReconstructSummary:
    """Reconstruct every volume below `data` that is not in `out` yet.

    A volume that cannot be read is passed over and named at the end; everything else is finished first.

    Args:
        data: Folder of volumes, or one file.
        out: Folder for one `.h5` for each volume, in the tree of `data`, and `reconstruct.json`.
        config: Model and mask.
        device: Where to compute.
        on_start: Called before the first volume with the name of the model and the number of volumes.
        on_slice: Called after every slice with the volume and its number of slices.

    Raises:
        CheckpointError: The weights are missing or damaged, or fit no model.
        ConfigError: `out` holds reconstructions made in another way, or model and weights contradict each other.
        DataError: No volume was found, or some could not be reconstructed.
        StorageError: `out` cannot be written.
    """
    paths = find_volumes(data)
    targets = _targets(out, data, paths)
    method = build_method(config, device)
    record = {**describe_method(method, config.mask), "data": str(data.resolve())}
    on_start(method.name, len(paths))
    failures: list[tuple[Path, str]] = []
    num_volumes = num_slices = num_own_mask = num_full = 0
    start = time.perf_counter()
    with _claimed(out, record):
        for path, target in zip(paths, targets, strict=True):
            signature = file_signature(path)
            if is_made_from(target, signature):
                continue
            try:
                volume = open_volume(path)
                result = reconstruct_volume(volume, method, config.mask, device=device, on_slice=on_slice)
            except DataError as error:
                failures.append((path, str(error)))
                continue
            write_reconstruction(target, replace(result, source_signature=signature))
            num_volumes += 1
            num_slices += len(result.image)
            num_own_mask += config.mask is not None and result.mask.kind == "stored"
            num_full += result.mask.kind == "full"
        seconds = time.perf_counter() - start
        if num_slices:
            speed = {"seconds": round(seconds, 3), "slices_per_second": round(num_slices / seconds, 3)}
            write_json(out / RUN_FILE, record | speed)
    if failures:
        first, *others = failures
        more = f"; also {', '.join(str(path) for path, _ in others)}" if others else ""
        raise DataError(f"{len(failures)} of {len(paths)} volumes could not be reconstructed: {first[1]}{more}")
    return ReconstructSummary(
        num_volumes=num_volumes,
        num_skipped=len(paths) - num_volumes,
        num_slices=num_slices,
        seconds=seconds,
        num_own_mask=num_own_mask,
        num_full=num_full if method.weights and method.weights.record.get("masks") else 0,
    )


def _targets(out: Path, data: Path, paths: list[Path]) -> list[Path]:
    """Where each volume's reconstruction goes; two volumes must not share one place."""
    if out.resolve() == (data if data.is_dir() else data.parent).resolve():
        raise ConfigError(f"{out} holds the volumes; choose another --out for their reconstructions")
    targets = [reconstruction_path(out, data, path) for path in paths]
    volume_of: dict[Path, Path] = {}
    for path, target in zip(paths, targets, strict=True):
        other = volume_of.setdefault(target, path)
        if other != path:
            raise DataError(f"{other} and {path} would both become {target}; rename one, or reconstruct them apart")
    return targets


@contextlib.contextmanager
def _claimed(out: Path, record: dict[str, Any]) -> Iterator[None]:
    """Hold the folder for this configuration: its run file is ours, or says the same; without results it goes again."""
    path = out / RUN_FILE
    if not create_json(path, record):
        found = read_json(path)
        for key, value in record.items():
            if key not in _FREE and found.get(key) != value:
                raise ConfigError(
                    f"{out} is for reconstructions with {key} {found.get(key)}, asked for {value}; choose another --out"
                )
    try:
        yield
    finally:
        if not find_reconstructions(out):
            path.unlink(missing_ok=True)
