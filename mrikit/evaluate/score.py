"""Score a folder of reconstructions against the references of their volumes."""

import contextlib
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from mrikit.errors import ConfigError, DataError
from mrikit.evaluate.adaptive import folder_adaptivity
from mrikit.evaluate.boxes import (
    BOXES_ATTRIBUTE,
    BoxTable,
    attribute_names,
    boxes_file,
    crop_boxes,
    read_box_table,
    stored_boxes,
)
from mrikit.evaluate.leaderboard import group_acceleration
from mrikit.evaluate.lesions import score_boxes
from mrikit.evaluate.orientation import OrientationClassifier
from mrikit.evaluate.pairs import Pair, make_pair
from mrikit.evaluate.rows import Unscored, VolumeScore
from mrikit.evaluate.runs import label_runs, run_settings
from mrikit.evaluate.scorers import SCORERS, Compared, full_name, measure, measure_banding
from mrikit.evaluate.scores import Scores
from mrikit.evaluate.steps import folder_curves
from mrikit.evaluate.wording import name_some
from mrikit.parallel import map_on_cores
from mrikit.run_files import RECONSTRUCT_FILE
from mrikit.storage import BlobPath, Location, read_json, recorded_location, shown
from mrikit.volumes import ScanInfo, VolumeFile, scan_volumes
from mrikit.volumes.anatomy import anatomy_of
from mrikit.volumes.files import held_open
from mrikit.volumes.patients import known_patients, read_patients, require_known
from mrikit.volumes.reconstruction import (
    SLOW_VOLUME_S,
    Reconstruction,
    find_reconstructions,
    reconstruction_path,
)

STORED: Final = "stored"
"""Stands for the boxes in the attributes of the volumes."""
_NUM_NOTES = 3

_Boxes = BoxTable | Literal["stored"] | None


def evaluate(
    data: Location,
    recon: Path,
    *,
    scorer: str = "fastmri",
    boxes: Path | Literal["stored"] | None = None,
    patients: Path | None = None,
    classifier: OrientationClassifier | None = None,
    on_volume: Callable[[int, int], None] = lambda _done, _total: None,
) -> Scores:
    """Score every reconstruction of a folder whose volume has a reference.

    A volume that cannot be scored is named with the reason, also where a file of it is damaged; the others go on.

    Args:
        data: Folder of volumes, or one file.
        recon: Folder that `mrikit reconstruct` wrote.
        scorer: A name of `SCORERS`.
        boxes: Also score boxes around lesions: a fastMRI+ table, or those that are stored with the volumes.
        patients: Table of whose the volumes are, where files do not say it.
        classifier: Tells how each slice was undersampled, of reconstruction and reference; see `with_orientations` for
            what it comes to.
        on_volume: Called after every volume with how many are done, and of how many.

    Returns:
        Scores, with every volume that could not be scored and the reason.

    Raises:
        ConfigError: Unknown scorer, or a classifier and another scorer than `banding`.
        DataError: There are no reconstructions, or no volumes; or the table of boxes cannot be read, or there are
            scores and not one of a box; or that of patients lacks a volume or names what is not there.
        StorageError: `reconstruct.json` or blobs cannot be read.
    """
    scorer = full_name(scorer)
    if classifier is not None and not SCORERS[scorer].has_banding:
        raise ConfigError(f"a classifier of orientation is part of the banding scorer, and {scorer} was asked for")
    table: _Boxes = read_box_table(boxes) if isinstance(boxes, Path) else boxes
    people = None if patients is None else read_patients(patients)
    run = run_of(recon)
    pairs, unscored = _match(data, recon, str(run.get("model")))
    rows, notes = [], []
    score = partial(score_pair, recon=recon, scorer=scorer, boxes=table, classifier=classifier)
    with contextlib.closing(map_on_cores(score, pairs)) as results:
        for done, (result, found) in enumerate(results, 1):
            notes += found
            if isinstance(result, VolumeScore):
                rows.append(result)
            else:
                unscored.append(result)
            on_volume(done, len(pairs))
    num_skipped = sum(row.num_slices - row.num_counted for row in rows)
    if num_skipped:
        notes.append(f"{num_skipped} slices have no body in their reference and do not count")
    notes += _notes(table, rows, [volume.volume_id for volume in unscored])
    if table is not None and rows and not any(row.num_boxes for row in rows):
        raise DataError(_why_no_box(table, rows, notes))
    names = {name for file, _ in pairs for name in (file.volume_id, file.path.stem)}
    rows, by_name = _with_patients(rows, people, names | {volume.volume_id for volume in unscored})
    notes += [by_name] if by_name else []
    scores = Scores(
        rows=tuple(rows),
        scorer=scorer,
        unscored=tuple(sorted(unscored, key=lambda volume: volume.path)),
        notes=tuple(notes),
        data=str(data.resolve()),
        run=run,
        adaptivity=tuple(folder_adaptivity(recon, rows)),
        curves=tuple(folder_curves(recon, rows)),
    )
    return label_runs([scores])[0]


def score_pair(
    files: tuple[VolumeFile, Path],
    *,
    recon: Path,
    scorer: str,
    boxes: _Boxes = None,
    classifier: OrientationClassifier | None = None,
) -> tuple[VolumeScore | Unscored, list[str]]:
    """The scores of a volume and its reconstruction, and what had to be left out of them.

    Args:
        files: Of the volume, and of its reconstruction.
        recon: The folder that the latter is in.
        scorer: A name of `SCORERS`.
        boxes: A table of lesions, or `stored`; none if None.
        classifier: Of orientations; none if None.
    """
    file, target = files
    path = file.path
    unscored = partial(_unscored, path, reconstruction=target.relative_to(recon), volume_id=file.volume_id)
    try:
        with held_open(file.current().open()) as volume:
            pair = make_pair(volume, target, is_square=SCORERS[scorer].is_square)
        if pair.reference is None:
            return unscored("the file has no reference image"), []
        if not pair.reference.any():
            return unscored("the reference is zero everywhere"), []
        if not pair.zero_filled.any() or not pair.image.any():
            what = "reconstruction" if pair.zero_filled.any() else "measured k-space"
            return unscored(f"the {what} is zero everywhere"), []
        compared = SCORERS[scorer].prepare(pair)
        row = _score(path, target, recon, pair, scorer, compared)
        row = row if classifier is None else _add_orientation(row, compared, classifier)
        scored, notes = _add_boxes(row, pair, compared, boxes)
        return scored, _zero_slices(pair) + _slow(pair) + notes
    except DataError as error:
        return unscored(str(error)), []


def _with_patients(
    rows: Sequence[VolumeScore], table: Mapping[str, str] | None, names: Collection[str]
) -> tuple[list[VolumeScore], str]:
    """Rows that name a patient wherever one is known, and what names told of them."""
    if table is not None:
        require_known(table, names)
    told = [(row.volume_id, row.patient_id, recorded_location(row.path)) for row in rows]
    patients, by_name = known_patients(told, table)
    return [replace(row, patient_id=patient) for row, patient in zip(rows, patients, strict=True)], by_name


def data_of(recon: Path) -> Location:
    """The folder of volumes that a folder of reconstructions was made from.

    Raises:
        StorageError: There is no readable `reconstruct.json`.
        DataError: The folder is gone, or was never named.
    """
    named = run_of(recon).get("data")
    data = None if named is None else recorded_location(named)
    if data is None or (not isinstance(data, BlobPath) and not data.exists()):
        raise DataError(f"{recon}: made from {named}, which is not there any more; name its new place with --data")
    return data


def run_of(recon: Path) -> dict[str, Any]:
    """What `reconstruct.json` says of a folder of reconstructions.

    Raises:
        DataError: There is no such folder, or it is not one of reconstructions.
        StorageError: The file cannot be read.
    """
    if not recon.is_dir():
        raise DataError(f"{recon}: no such folder; make it with `mrikit reconstruct --data DATA --out {recon}`")
    if not (recon / RECONSTRUCT_FILE).is_file():
        raise DataError(
            f"{recon}: no {RECONSTRUCT_FILE} in it; name the folder that was the --out of `mrikit reconstruct`"
        )
    run: dict[str, Any] = read_json(recon / RECONSTRUCT_FILE)
    return run


def _match(data: Location, recon: Path, model: str) -> tuple[list[tuple[VolumeFile, Path]], list[Unscored]]:
    """Volume and reconstruction files that belong together, and what is left over on either side."""
    wanted = {reconstruction_path(recon, data, file.path, file.suffix): file for file in scan_volumes(data)}
    found = set(find_reconstructions(recon))
    if not found:
        raise DataError(f"{recon}: no reconstruction in it; run `mrikit reconstruct --data {data} --out {recon}`")
    pairs = [(file, target) for target, file in wanted.items() if target in found]
    reason = f"not reconstructed by {model}"
    unscored = [
        _unscored(file.path, reason, volume_id=file.volume_id) for target, file in wanted.items() if target not in found
    ]
    reason = f"no volume of this name in {data}"
    unscored += [_unscored(path, reason, path.relative_to(recon)) for path in found - wanted.keys()]
    return pairs, unscored


def _score(path: Location, target: Path, recon: Path, pair: Pair, scorer: str, compared: Compared) -> VolumeScore:
    assert pair.reference is not None
    measured = measure(compared, scorer)
    # What lies outside the mask or the window is not measured, and may be broken nevertheless.
    whole = pair.reconstruction.image
    if not all(map(math.isfinite, (measured.mse, measured.nmse, measured.ssim, whole.max()))):
        raise DataError(_why_no_score(target, whole, pair.reference))
    mask, timing = pair.reconstruction.mask, pair.reconstruction.timing
    kspace_nmse, kspace_energy = _kspace(pair.reconstruction)
    is_transposed = bool(pair.reconstruction.config.get("transposed"))
    banding = measure_banding(compared, scorer, is_transposed=is_transposed)
    excess = [value for value in banding if value is not None]
    return VolumeScore(
        volume_id=pair.info.volume_id,
        path=str(path.resolve()),
        reconstruction=target.relative_to(recon).as_posix(),
        label=pair.reconstruction.model,
        model=pair.reconstruction.model,
        settings=run_settings(pair.reconstruction),
        patient_id=pair.info.patient_id or pair.info.study_id,
        acquisition=pair.info.acquisition,
        anatomy=_anatomy(pair.info),
        mask=mask.kind,
        acceleration=group_acceleration(path, pair.reconstruction, scorer),
        true_acceleration=mask.true_acceleration,
        num_slices=len(pair.image),
        ssim=measured.ssim,
        psnr=measured.psnr,
        nmse=measured.nmse,
        mse=measured.mse,
        slice_ssim=measured.slice_ssim,
        scorer=scorer,
        num_timed=timing.num_slices if timing else 0,
        forward_seconds=timing.seconds if timing else 0.0,
        kspace_nmse=kspace_nmse,
        kspace_energy=kspace_energy,
        banding_db=math.fsum(excess) / len(excess) if excess else None,
        slice_banding_db=banding,
        is_transposed=is_transposed,
    )


def _add_orientation(row: VolumeScore, compared: Compared, classifier: OrientationClassifier) -> VolumeScore:
    """The row with what the classifier says of each slice, and of its reference."""
    of_image, of_reference = (
        tuple(map(float, classifier.classify(one))) for one in (compared.image, compared.reference)
    )
    told, told_of_reference = (
        sum((logit > 0) == row.is_transposed for logit in logits) / len(logits) for logits in (of_image, of_reference)
    )
    return replace(
        row,
        told=told,
        told_of_reference=told_of_reference,
        slice_logits=of_image,
        slice_reference_logits=of_reference,
        classifier=classifier.sha256,
    )


def _kspace(reconstruction: Reconstruction) -> tuple[float, float] | tuple[None, None]:
    """How well k-space was filled, as validation counts it, and the energy of full k-space, where they are known."""
    if reconstruction.kspace_energies is None:
        return None, None
    error, energy = (math.fsum(column) for column in reconstruction.kspace_energies.T.tolist())
    return error / energy if energy else 1.0, energy


def _zero_slices(pair: Pair) -> list[str]:
    """A line on slices that were scored although they hold nothing."""
    assert pair.reference is not None
    has_reference = pair.reference.any((1, 2))
    for name, values in (("measured k-space", pair.zero_filled), ("reconstruction", pair.image)):
        empty = np.flatnonzero(has_reference & ~values.any((1, 2)))
        if len(empty):
            found = (
                f"{len(empty)} slices of the {name} of {pair.info.volume_id} are zero, the first is slice {empty[0]}"
            )
            return [f"{found}; they count in its scores"]
    return []


def _slow(pair: Pair) -> list[str]:
    timing = pair.reconstruction.timing
    if timing is None or timing.total_seconds <= SLOW_VOLUME_S:
        return []
    return [f"{pair.info.volume_id} took {timing.total_seconds:.0f} s of forward passes, more than {SLOW_VOLUME_S:g} s"]


def _anatomy(info: ScanInfo) -> str | None:
    """What a volume shows; None too where its name and its header contradict each other."""
    try:
        return anatomy_of(info)
    except DataError:
        return None


def _add_boxes(row: VolumeScore, pair: Pair, compared: Compared, boxes: _Boxes) -> tuple[VolumeScore, list[str]]:
    """The row with the scores of the volume's boxes; boxes that cannot be read cost the volume no other score."""
    if boxes is None:
        return row, []
    if pair.reconstruction.config.get("matrix"):
        return row, [f"{row.volume_id}: boxes are those of the whole matrix, and it was cropped to a smaller one"]
    size, window = pair.info.recon_matrix, (compared.image.shape[1], compared.image.shape[2])
    try:
        if isinstance(boxes, BoxTable):
            found = boxes.boxes_of(row.volume_id, size[0])
        else:
            found = stored_boxes(recorded_location(row.path), size)
    except DataError as error:
        return row, [str(error)]
    is_crop = SCORERS[row.scorer].is_inside
    scored, notes = score_boxes(compared, crop_boxes(found, size, window), row.volume_id, is_crop=is_crop)
    row = replace(row, num_boxes_found=len(found))
    if not scored:
        return row, notes
    mean = math.fsum(box.ssim for box in scored) / len(scored)
    return replace(row, lesion_ssim=mean, num_boxes=len(scored), boxes=scored), notes


def _notes(boxes: _Boxes, rows: Sequence[VolumeScore], unscored: Sequence[str]) -> list[str]:
    """What a table of boxes, or the volumes without any, leave to be said."""
    if boxes is None:
        return []
    notes = []
    place = f"attribute {BOXES_ATTRIBUTE!r} of their files"
    if isinstance(boxes, BoxTable):
        place = str(boxes.path)
        if boxes.num_study_level:
            notes.append(f"{place}: {boxes.num_study_level} rows about whole studies have no box")
        strange = sorted(boxes.boxes.keys() - {row.volume_id for row in rows} - set(unscored))
        if strange:
            notes.append(f"{place}: {len(strange)} files in it are no volume of this study: {name_some(strange)}")
    num_without = sum(not row.num_boxes for row in rows)
    if num_without:
        notes.append(f"{num_without} of {len(rows)} scored volumes have no box that could be scored in {place}")
    return notes


def _why_no_box(boxes: BoxTable | Literal["stored"], rows: Sequence[VolumeScore], notes: Sequence[str]) -> str:
    """Where boxes were looked for, and what was found there instead."""
    first = recorded_location(rows[0].path)
    if isinstance(boxes, BoxTable):
        found = f"it has boxes of {name_some(sorted(boxes.boxes)) or 'no file'}"
    elif BOXES_ATTRIBUTE in (names := attribute_names(first)):
        found = f"{boxes_file(first)} has the attribute"
    else:
        found = f"{boxes_file(first)} has {', '.join(names) or 'no attribute'}"
    num_found = sum(row.num_boxes_found for row in rows)
    more = "".join(f"; {note}" for note in notes[:_NUM_NOTES])
    return shown(f"--boxes: {num_found} boxes found and none scored in {len(rows)} volumes{more}; {found}")


def _why_no_score(target: Path, image: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> str:
    # The reader of volumes refuses such references, but one may lie with the reconstruction.
    for name, values in (("reconstruction", image), ("reference", reference)):
        bad = np.flatnonzero(~np.isfinite(values).all((1, 2)))
        if len(bad):
            found = f"{len(bad)} slices of the {name} hold NaN or Inf, the first is slice {bad[0]}"
            return f"{target}: {found}; delete the file and reconstruct it again"
    top = f"up to {image.max():.3g} in the reconstruction and {reference.max():.3g} in the reference"
    return f"{target}: squares of values {top} leave the range of float32; scale the data"


def _unscored(
    path: Location, reason: str, reconstruction: Path | None = None, *, volume_id: str | None = None
) -> Unscored:
    return Unscored(
        volume_id=volume_id or path.stem,
        path=shown(path.resolve()),
        reconstruction=reconstruction.as_posix() if reconstruction else None,
        reason=shown(reason),
    )
