"""Runs told apart: short labels for several runs of one model, made of the settings in which they differ."""

from collections.abc import Sequence
from dataclasses import replace

from mrikit.evaluate.scores import Scores
from mrikit.masks import LEARNED_KIND
from mrikit.volumes.reconstruction import Reconstruction

_DIGEST_LENGTH = 8


def run_settings(reconstruction: Reconstruction) -> tuple[str, ...]:
    """What was chosen for a reconstruction besides model, kind of mask and acceleration, each as `name=value`."""
    mask = reconstruction.config.get("mask") or {}
    # A volume that kept the mask it was acquired with has nothing of the one that was planned; of a learned one the
    # weights say all.
    planned = {name: mask[name] for name in mask if name not in ("kind", "acceleration")}
    is_as_planned = mask.get("kind") == reconstruction.mask.kind != LEARNED_KIND
    settings = planned if is_as_planned else {}
    config = reconstruction.config
    if config.get("task") == "auto":
        # Each volume has the weights that suit it; together they are one run.
        settings["task"] = "auto"
    else:
        settings |= config.get("model_config") or {}
        if reconstruction.weights_sha256:
            settings["weights"] = reconstruction.weights_sha256[:_DIGEST_LENGTH]
    if reconstruction.weights_sha256:
        settings["precision"] = config.get("precision", "fp32")
    if config.get("matrix"):
        settings["matrix"] = "x".join(map(str, config["matrix"]))
    if config.get("num_coils"):
        settings["num_coils"] = config["num_coils"]
    for switch in ("flips", "transposed", "whiten"):
        if config.get(switch):
            settings[switch] = True
    if config.get("dither"):
        settings["dither"] = config["dither"]
    return tuple(f"{name}={value}" for name, value in settings.items())


def label_runs(scores: Sequence[Scores]) -> list[Scores]:
    """The same scores, every row with the label that tells its run from the other runs of all these folders."""
    rows = [row for found in scores for row in found.rows]
    labels = iter(_labels([(row.model, row.acceleration, (row.mask, *row.settings)) for row in rows]))
    return [replace(found, rows=tuple(replace(row, label=next(labels)) for row in found.rows)) for found in scores]


def label_reconstructions(members: Sequence[Reconstruction]) -> list[str]:
    """A label for each of several reconstructions, as `label_runs` gives them to rows."""
    return _labels(
        [(member.model, member.mask.acceleration, (member.mask.kind, *run_settings(member))) for member in members]
    )


def _labels(runs: Sequence[tuple[str, float, tuple[str, ...]]]) -> list[str]:
    """The model of each (model, acceleration, settings), followed by what not all runs of these two share."""
    shared: dict[tuple[str, float], set[str]] = {}
    for model, acceleration, settings in runs:
        shared.setdefault((model, acceleration), set(settings)).intersection_update(settings)
    return [
        " ".join([model, *(setting for setting in settings if setting not in shared[model, acceleration])])
        for model, acceleration, settings in runs
    ]
