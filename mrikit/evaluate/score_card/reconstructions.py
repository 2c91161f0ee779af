"""The reconstructions of a score card: each volume once at each acceleration, under the mask of the rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mrikit.data import choose_mask
from mrikit.errors import DataError
from mrikit.evaluate.score_card.needed import volume_name
from mrikit.evaluate.score_card.rule import PLANS, RULE
from mrikit.evaluate.wording import name_some
from mrikit.masks import Mask, MaskPlan
from mrikit.run_files import RECONSTRUCT_FILE
from mrikit.storage import read_json
from mrikit.volumes import VolumeFile
from mrikit.volumes.reconstruction import find_reconstructions, read_reconstruction

_PLACES = ("version", "mask", "weights", "weights_sha256", "model", "is_trained_on")
"""What of the configuration of a reconstruction is no setting of the method."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One reconstruction of a card."""

    file: VolumeFile
    path: Path
    mask: Mask
    method: dict[str, Any]
    """Model, SHA-256 of its weights, and settings, as JSON."""
    is_trained_on: bool
    """Whether its network was trained on this very volume."""


def find_all(files: Sequence[VolumeFile], recon: Sequence[Path]) -> dict[float, list[Found]]:
    """The reconstructions of some volumes below some folders, by acceleration, in the order of the volumes.

    An acceleration of the rule that no reconstruction has is left out; of any other each volume has one.

    Raises:
        DataError: One is missing, damaged, there twice, or made with another mask; or there are none.
    """
    wanted = {file.volume_id: file for file in files}
    found: dict[float, dict[str, Found]] = {}
    for path in [path for folder in recon for path in find_reconstructions(folder)]:
        if path.stem not in wanted:
            continue
        one = _read(wanted[path.stem], path)
        earlier = found.setdefault(one.mask.acceleration, {}).setdefault(path.stem, one)
        if earlier is not one:
            raise DataError(f"{earlier.path} and {path} are one volume at one acceleration; name the folder of one")
    if not found:
        raise DataError(
            f"{', '.join(map(str, recon))}: no reconstruction of the {len(files)} volumes of {RULE}; "
            "`mrikit score-card DATA --list` says how to make them"
        )
    for acceleration, made in sorted(found.items()):
        missing = [volume_name(file) for file in files if file.volume_id not in made]
        if missing:
            raise DataError(
                f"{', '.join(map(str, recon))}: lacks the {acceleration:g}x reconstruction of {name_some(missing)}; "
                f"{len(made)} of {len(files)} volumes are there, and a card is made of all"
            )
    return {acceleration: [made[file.volume_id] for file in files] for acceleration, made in sorted(found.items())}


def runs_of(found: Sequence[Found]) -> list[dict[str, Any]]:
    """The run files of the folders that reconstructions are in, each once."""
    files = dict.fromkeys(_run_file(one.path) for one in found)
    return [read_json(file) for file in files if file is not None]


def _read(file: VolumeFile, path: Path) -> Found:
    made = read_reconstruction(path)
    if made.source_signature is not None and made.source_signature[0] != file.source_signature[0]:
        sizes = f"{made.source_signature[0]} bytes, {file.path} has {file.source_signature[0]}"
        raise DataError(f"{path}: made from a file of {sizes}; reconstruct it again")
    _require_mask(file, path, made.mask)
    if made.config.get("matrix"):
        size = " x ".join(map(str, made.config["matrix"]))
        raise DataError(f"{path}: made of k-space that was cropped to {size}; {RULE} is for all of it")
    settings = {name: value for name, value in made.config.items() if name not in _PLACES}
    return Found(
        file=file,
        path=path,
        mask=made.mask,
        method={"model": made.model, "weights_sha256": made.weights_sha256, "settings": settings},
        is_trained_on=bool(made.config.get("is_trained_on")),
    )


def _require_mask(file: VolumeFile, path: Path, mask: Mask) -> None:
    """Make sure that a mask is that of the rule, bit for bit."""
    plan = next((plan for plan in PLANS if plan.acceleration == mask.acceleration), None)
    if plan is None or plan.kind != mask.kind:
        known = " or ".join(f"{plan.kind} at {plan.acceleration:g}x" for plan in PLANS)
        raise DataError(f"{path}: made with a {mask.kind} mask at {mask.acceleration:g}x; {RULE} has {known}")
    wanted = choose_mask(file.open(), plan)
    if wanted.samples.shape != mask.samples.shape:
        shapes = " and ".join(" x ".join(map(str, one.samples.shape)) for one in (mask, wanted))
        raise DataError(f"{path}: its mask and that of {RULE} have other sizes, {shapes}; was it made from other data?")
    if not np.array_equal(wanted.samples, mask.samples) or wanted.num_center_lines != mask.num_center_lines:
        num_other = int((wanted.samples != mask.samples).sum())
        raise DataError(
            f"{path}: its mask is not that of {RULE}: {num_other} of {mask.samples.size} lines differ, and "
            f"{mask.num_center_lines} centre lines instead of {wanted.num_center_lines}; make it with {_words(plan)}"
        )


def _words(plan: MaskPlan) -> str:
    return f"--acceleration {plan.acceleration:g} --center-fraction {plan.center_fraction:g}"


def _run_file(path: Path) -> Path | None:
    """The run file of the nearest folder above that has one."""
    return next((found for folder in path.parents if (found := folder / RECONSTRUCT_FILE).is_file()), None)
