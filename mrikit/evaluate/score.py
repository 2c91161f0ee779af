"""Score a folder of reconstructions against the references of their volumes."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mrikit.errors import ConfigError, DataError
from mrikit.evaluate.pairs import Pair, find_reconstructions, read_pair
from mrikit.evaluate.runs import label_runs, run_settings
from mrikit.evaluate.scores import Scores, Unscored
from mrikit.evaluate.summary import VolumeScore
from mrikit.metrics import measure_volume
from mrikit.parallel import map_on_cores
from mrikit.storage import read_json
from mrikit.volumes import find_volumes
from mrikit.volumes.reconstruction import RUN_FILE, reconstruction_path

SCORERS = ("fastmri",)
"""Definitions of what is compared and how; `fastmri` is the window and the volume metrics of `fastmri.evaluate`."""


def evaluate(
    data: Path,
    recon: Path,
    *,
    scorer: str = "fastmri",
    on_volume: Callable[[int, int], None] = lambda _done, _total: None,
) -> Scores:
    """Score every reconstruction of a folder whose volume has a reference.

    A volume that cannot be scored is named with the reason, also where a file of it is damaged; the others go on.

    Args:
        data: Folder of volumes, or one file.
        recon: Folder that `mrikit reconstruct` wrote.
        scorer: A name of `SCORERS`.
        on_volume: Called after every volume with how many are done, and of how many.

    Returns:
        Scores, with every volume that could not be scored and the reason.

    Raises:
        ConfigError: Unknown scorer.
        DataError: There are no reconstructions, or no volumes.
        StorageError: `reconstruct.json` cannot be read.
    """
    if scorer not in SCORERS:
        raise ConfigError(f"unknown scorer {scorer!r}; known: {', '.join(SCORERS)}")
    run = _read_run(recon)
    pairs, unscored = _match(data, recon, str(run.get("model")))
    rows = []
    results = map_on_cores(lambda pair: _score_pair(*pair, recon), pairs)
    for done, result in enumerate(results, 1):
        if isinstance(result, VolumeScore):
            rows.append(result)
        else:
            unscored.append(result)
        on_volume(done, len(pairs))
    scores = Scores(
        rows=tuple(rows),
        scorer=scorer,
        unscored=tuple(sorted(unscored, key=lambda volume: volume.path)),
        data=str(data.resolve()),
        run=run,
    )
    return label_runs([scores])[0]


def data_of(recon: Path) -> Path:
    """The folder of volumes that a folder of reconstructions was made from.

    Raises:
        StorageError: There is no readable `reconstruct.json`.
        DataError: The folder is gone, or was never named.
    """
    data = _read_run(recon).get("data")
    if data is None or not Path(data).exists():
        raise DataError(f"{recon}: made from {data}, which is not there any more; name its new place with --data")
    return Path(data)


def _read_run(recon: Path) -> dict[str, Any]:
    if not recon.is_dir():
        raise DataError(f"{recon}: no such folder; make it with `mrikit reconstruct --data DATA --out {recon}`")
    if not (recon / RUN_FILE).is_file():
        raise DataError(f"{recon}: no {RUN_FILE} in it; name the folder that was the --out of `mrikit reconstruct`")
    run: dict[str, Any] = read_json(recon / RUN_FILE)
    return run


def _match(data: Path, recon: Path, model: str) -> tuple[list[tuple[Path, Path]], list[Unscored]]:
    """Volume and reconstruction files that belong together, and what is left over on either side."""
    wanted = {reconstruction_path(recon, data, path): path for path in find_volumes(data)}
    found = set(find_reconstructions(recon))
    if not found:
        raise DataError(f"{recon}: no reconstruction in it; run `mrikit reconstruct --data {data} --out {recon}`")
    pairs = [(path, target) for target, path in wanted.items() if target in found]
    unscored = [
        _unscored(path, f"not reconstructed by {model}") for target, path in wanted.items() if target not in found
    ]
    reason = f"no volume of this name in {data}"
    unscored += [_unscored(path, reason, path.relative_to(recon)) for path in found - wanted.keys()]
    return pairs, unscored


def _score_pair(path: Path, target: Path, recon: Path) -> VolumeScore | Unscored:
    try:
        pair = read_pair(path, target)
        if pair.reference is None:
            return _unscored(path, "the file has no reference image", target.relative_to(recon))
        if not pair.reference.any():
            return _unscored(path, "the reference is zero everywhere", target.relative_to(recon))
        return _score(path, target, recon, pair)
    except DataError as error:
        return _unscored(path, str(error), target.relative_to(recon))


def _score(path: Path, target: Path, recon: Path, pair: Pair) -> VolumeScore:
    assert pair.reference is not None
    measured = measure_volume(torch.from_numpy(pair.image), torch.from_numpy(pair.reference))
    if not all(map(math.isfinite, (measured.mse, measured.nmse, measured.ssim))):
        raise DataError(_why_no_score(target, pair.image, pair.reference))
    mask = pair.reconstruction.mask
    return VolumeScore(
        volume_id=pair.info.volume_id,
        path=str(path.resolve()),
        reconstruction=target.relative_to(recon).as_posix(),
        label=pair.reconstruction.model,
        model=pair.reconstruction.model,
        settings=run_settings(pair.reconstruction),
        patient_id=pair.info.patient_id,
        acquisition=pair.info.acquisition,
        anatomy=pair.info.anatomy,
        mask=mask.kind,
        # An estimate differs a little from volume to volume; scores are grouped by it.
        acceleration=float(round(mask.acceleration)) if mask.kind == "stored" else mask.acceleration,
        true_acceleration=mask.true_acceleration,
        num_slices=len(pair.image),
        ssim=measured.ssim,
        psnr=measured.psnr,
        nmse=measured.nmse,
        mse=measured.mse,
        slice_ssim=measured.slice_ssim,
    )


def _why_no_score(target: Path, image: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> str:
    # The reader of volumes refuses such references, but one may lie with the reconstruction.
    for name, values in (("reconstruction", image), ("reference", reference)):
        bad = np.flatnonzero(~np.isfinite(values).all((1, 2)))
        if len(bad):
            found = f"{len(bad)} slices of the {name} hold NaN or Inf, the first is slice {bad[0]}"
            return f"{target}: {found}; delete the file and reconstruct it again"
    top = f"up to {image.max():.3g} in the reconstruction and {reference.max():.3g} in the reference"
    return f"{target}: squares of values {top} leave the range of float32; scale the data"


def _unscored(path: Path, reason: str, reconstruction: Path | None = None) -> Unscored:
    return Unscored(
        volume_id=path.stem,
        path=str(path.resolve()),
        reconstruction=reconstruction.as_posix() if reconstruction else None,
        reason=reason,
    )
