"""The classifier of `mrikit evaluate --classifier`: from its weights to a function, and what it found to lines."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrikit.commands.places import Location
from mrikit.words import in_shell

if TYPE_CHECKING:
    import torch

    from mrikit.evaluate import Interval, OrientationClassifier, Scores

_TRAINING = "mrikit train --task orientation"


def open_classifier(
    path: Path, recon: Sequence[Path], data: Location | None = None, patients: Path | None = None
) -> "OrientationClassifier":
    """The classifier of some weights, if it can judge these folders.

    Args:
        path: Weights, or the folder of the run that trained them.
        recon: Folders that are to be scored: each run in both orientations.
        data: Folder of their volumes; the ones that were reconstructed if None.
        patients: Table of whose the volumes are.

    Raises:
        CheckpointError: The weights are damaged, or of something else.
        DataError: A run is there in one orientation only, or the classifier was trained on patients of its volumes.
    """
    import torch

    from mrikit.checkpoint import build_trained_model, load_weights
    from mrikit.errors import CheckpointError
    from mrikit.evaluate import OrientationClassifier, data_of
    from mrikit.models import JUDGES

    weights = load_weights(path)
    if weights.model not in JUDGES:
        raise CheckpointError(
            f"{weights.path}: weights of {weights.model}, which tells no orientations apart; `{_TRAINING}` trains a "
            f"classifier that does"
        )
    network = build_trained_model(weights)
    _require_both(recon)
    for folder in recon:
        trained_on = weights.record.get("trained_on") or ()
        _require_unseen(weights.path, frozenset(trained_on), folder, data or data_of(folder), patients)

    @torch.inference_mode()
    def classify(images: "torch.Tensor") -> list[float]:
        as_it_lies = torch.zeros(1, dtype=torch.bool)
        return [float(network(image[None], as_it_lies)) for image in images]

    return OrientationClassifier(classify=classify, sha256=weights.sha256)


def orientation_lines(scores: Sequence["Scores"], *, has_classifier: bool) -> list[str]:
    """A line for each run and acceleration; or that nobody was asked.

    Args:
        scores: Of folders, by a scorer of banding.
        has_classifier: Whether there was a classifier.
    """
    if not has_classifier:
        how = f"train one with `{_TRAINING}`, reconstruct with --transposed too, and give --classifier"
        return [f"not measured: how well a classifier tells the orientation; {how}"]
    lines = ["orientation accuracy of the classifier less 0.5, as far as banding shows (0: not at all, 0.5: always):"]
    for found in scores:
        for entry in found.orientation:
            of_one = [row for row in found.rows if row.acceleration == entry.acceleration and not row.is_transposed]
            if of_one:  # its other orientation has the same numbers
                one = entry.accuracy
                lines.append(
                    f"  {of_one[0].label} {entry.acceleration:g}x: {_bounds(one.images)}, of fully sampled images "
                    f"{_bounds(one.floor)}, above that {_bounds(one.above_floor)}; {one.num_slices // 2} slices of "
                    f"{one.num_patients} patients, each in both orientations"
                )
    return lines


def _require_both(recon: Sequence[Path]) -> None:
    from mrikit.errors import DataError
    from mrikit.evaluate import one_sided, run_of
    from mrikit.storage import shown

    runs = [run_of(folder) for folder in recon]
    alone = one_sided(runs)
    if alone is not None:
        run, folder = runs[alone], shown(recon[alone])
        raise DataError(
            f"{folder}: a classifier tells two orientations apart, and this is one; make the other with "
            f"`{_other_orientation(run, folder)}`, and give that with --recon too"
        )


def _other_orientation(run: Mapping[str, Any], folder: str) -> str:
    """The command that reconstructs the same volumes in the other orientation."""
    from mrikit.config import build_config
    from mrikit.data import MaskPlan
    from mrikit.launching.scoring import plan_words

    weights = run.get("weights")
    if isinstance(weights, dict):
        method = [word for path in weights.values() for word in ("--weights", path)] + ["--task", str(run.get("task"))]
    else:
        method = ["--weights", str(weights)] if weights else ["--model", str(run.get("model"))]
    plan = run.get("mask")
    masks = [] if plan is None else plan_words(build_config(MaskPlan, plan, "mask"))
    is_transposed = bool(run.get("transposed"))
    side = [] if is_transposed else ["--transposed"]
    out = f"{folder.removesuffix('-transposed')}{'-straight' if is_transposed else '-transposed'}"
    return in_shell("reconstruct", *method, "--data", run.get("data"), *masks, *side, "--out", out)


def _require_unseen(
    weights: Path, trained_on: frozenset[str], recon: Path, data: Location, patients: Path | None
) -> None:
    """Refuse to score what the classifier knows: it would tell such volumes by more than their banding."""
    from mrikit.errors import DataError
    from mrikit.reconstruct.held_out import of_same_patients
    from mrikit.volumes import scan_volumes
    from mrikit.volumes.patients import read_patients
    from mrikit.volumes.reconstruction import reconstruction_path

    files = [file for file in scan_volumes(data) if reconstruction_path(recon, data, file.path, file.suffix).exists()]
    table = None if patients is None else read_patients(patients)
    related = of_same_patients(files, trained_on, table)
    seen = [file.volume_id for file in files if file.volume_id in {*trained_on, *related}]
    if seen:
        raise DataError(
            f"{weights}: this classifier was trained on {len(seen)} of the {len(files)} volumes in {recon}, or on "
            f"others of their patients, such as {seen[0]}; score volumes of new patients, or train one on others"
        )


def _bounds(interval: "Interval") -> str:
    from mrikit.evaluate import format_bounds

    mean, *bounds = format_bounds(interval, 3)
    return f"{mean} [{', '.join(bounds)}]" if bounds else mean
