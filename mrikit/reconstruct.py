"""A folder of volumes to a folder of reconstructions, one file for each volume, resumable."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mrikit import __version__
from mrikit.data import Example, MaskPlan, center_crop, choose_mask, is_fully_sampled, make_example
from mrikit.errors import ConfigError, DataError
from mrikit.models import CLASSICAL, LEARNED, build_model, model_settings
from mrikit.models.classical import ZeroFilled, ZeroFilledConfig
from mrikit.parallel import map_on_cores
from mrikit.storage import create_json, read_json, write_json
from mrikit.volumes import Volume, find_volumes, open_volume
from mrikit.volumes.reconstruction import (
    RUN_FILE,
    Reconstruction,
    file_signature,
    find_reconstructions,
    is_made_from,
    reconstruction_path,
    write_reconstruction,
)

OnSlice = Callable[[str, int], None]
"""Called after every slice with the volume and its number of slices."""

_ZERO_FILLED = ZeroFilled(ZeroFilledConfig())


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconstructConfig:
    """Everything that decides what a reconstruction looks like."""

    model: str
    """A name of `mrikit.models.CLASSICAL`."""
    model_config: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the model's configuration that differ from its defaults."""
    mask: MaskPlan | None = None
    """How fully sampled volumes are undersampled; None keeps them full."""


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


def reconstruct_folder(
    data: Path,
    out: Path,
    config: ReconstructConfig,
    *,
    device: torch.device | str = "cpu",
    on_slice: OnSlice = lambda _volume_id, _num_slices: None,
) -> ReconstructSummary:
    """Reconstruct every volume below `data` that is not in `out` yet.

    A volume that cannot be read is passed over and named at the end; everything else is finished first.

    Args:
        data: Folder of volumes, or one file.
        out: Folder for one `.h5` for each volume, in the tree of `data`, and `reconstruct.json`.
        config: Model and mask.
        device: Where to compute.
        on_slice: Called after every slice with the volume and its number of slices.

    Raises:
        ConfigError: `out` holds reconstructions made in another way, or the model needs weights.
        DataError: No volume was found, or some could not be reconstructed.
        StorageError: `out` cannot be written.
    """
    if config.model in LEARNED:
        known = ", ".join(CLASSICAL)
        raise ConfigError(f"{config.model} needs trained weights, and training is not built yet; without: {known}")
    paths = find_volumes(data)
    targets = _targets(out, data, paths)
    model = build_model(config.model, config.model_config).to(device).eval()
    record = {**_describe(config, model), "data": str(data.resolve())}
    failures: list[tuple[Path, str]] = []
    num_volumes = num_slices = num_own_mask = 0
    start = time.perf_counter()
    with _claimed(out, record):
        for path, target in zip(paths, targets, strict=True):
            signature = file_signature(path)
            if is_made_from(target, signature):
                continue
            try:
                result = reconstruct_volume(open_volume(path), model, config, device=device, on_slice=on_slice)
            except DataError as error:
                failures.append((path, str(error)))
                continue
            write_reconstruction(target, replace(result, source_signature=signature))
            num_volumes += 1
            num_slices += len(result.image)
            num_own_mask += config.mask is not None and result.mask.kind == "stored"
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
    )


def reconstruct_volume(
    volume: Volume,
    model: nn.Module,
    config: ReconstructConfig,
    *,
    device: torch.device | str = "cpu",
    on_slice: OnSlice = lambda _volume_id, _num_slices: None,
) -> Reconstruction:
    """Undersample and reconstruct every slice of a volume.

    Args:
        volume: The scan, read slice by slice.
        model: A module with the signature of `mrikit.models`.
        config: What the model is, for the record, and how to undersample.
        device: Where to compute.
        on_slice: Called after every slice with the volume and its number of slices.

    Raises:
        DataError: A slice is damaged, or the mask does not suit the model.
    """
    volume_id = volume.info.volume_id
    mask = choose_mask(volume, config.mask)
    has_reference = volume.reference is None and is_fully_sampled(volume)
    num_slices = len(volume.kspace)

    def one(index: int) -> _Slice:
        try:
            example = make_example(volume, (index,), mask, device, has_reference=has_reference)
            return _reconstruct_slice(example, model)
        except (DataError, torch.linalg.LinAlgError) as error:  # type: ignore[attr-defined]
            raise DataError(f"{volume_id}, slice {index}: {error}") from error

    is_on_cpu = torch.device(device).type == "cpu"
    slices = []
    for done in (map_on_cores if is_on_cpu else map)(one, range(num_slices)):
        slices.append(done)
        on_slice(volume_id, num_slices)
    return Reconstruction(
        image=np.stack([done.image for done in slices]),
        zero_filled=np.stack([done.zero_filled for done in slices]),
        reference=np.stack([done.reference for done in slices]) if has_reference else None,
        volume_id=volume_id,
        mask=mask,
        model=config.model,
        config=_describe(config, model),
    )


class _Slice(NamedTuple):
    """(y, x) float32 of one slice in the scored window."""

    image: npt.NDArray[np.float32]
    zero_filled: npt.NDArray[np.float32]
    reference: npt.NDArray[np.float32]
    """Empty unless it was asked for."""


@torch.inference_mode()
def _reconstruct_slice(example: Example, model: nn.Module) -> _Slice:
    inputs = (example.masked_kspace, example.mask, example.num_center_lines)
    image, zero_filled = (center_crop(one(*inputs)[0], example.crop) for one in (model, _ZERO_FILLED))
    return _Slice(
        image=image.cpu().numpy(),
        zero_filled=zero_filled.cpu().numpy(),
        reference=np.empty(0, np.float32) if example.reference is None else example.reference[0].cpu().numpy(),
    )


def _describe(config: ReconstructConfig, model: nn.Module) -> dict[str, Any]:
    """The resolved configuration as JSON: what every output carries."""
    return {
        "version": __version__,
        "model": config.model,
        "model_config": model_settings(model),
        "mask": asdict(config.mask) if config.mask else None,
    }


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
            if key != "version" and found.get(key) != value:
                raise ConfigError(
                    f"{out} is for reconstructions with {key} {found.get(key)}, asked for {value}; choose another --out"
                )
    try:
        yield
    finally:
        if not find_reconstructions(out):
            path.unlink(missing_ok=True)
