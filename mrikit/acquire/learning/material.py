"""What a policy learns from: the reconstructor, and full slices of the patients on both sides."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mrikit.acquire.config import AcquireConfig
from mrikit.acquire.data import FullSlices
from mrikit.acquire.episodes import Episodes
from mrikit.acquire.learning.config import PolicyRunConfig
from mrikit.acquire.reconstructors import Reconstructor, as_reconstructor
from mrikit.acquire.starts import given_lines
from mrikit.acquire.trained import ReconstructorInfo
from mrikit.checkpoint import load_weights
from mrikit.errors import ConfigError, DataError
from mrikit.storage import Location
from mrikit.training import RunConfig, TrainingConfig
from mrikit.training.volumes import Study, open_study
from mrikit.volumes import Volume


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """Everything that a run is given."""

    reconstructor: Reconstructor
    """Makes the images."""
    info: ReconstructorInfo
    """Which it is."""
    training: FullSlices
    """Slices to learn from."""
    validation: FullSlices | None
    """Slices to be judged on; None if nothing is held out."""
    study: Study
    """The volumes of both sides."""
    trained_on: tuple[str, ...]
    """Volumes that the reconstructor has seen."""


def open_material(
    config: PolicyRunConfig,
    data: Location | Sequence[Location],
    start: Path | None,
    device: torch.device,
    validation_data: Location | None = None,
    patients: Path | None = None,
) -> Material:
    """Find the reconstructor and the volumes of a run.

    Args:
        config: Of the run.
        data: Folder of fully sampled volumes, or several.
        start: Run or weights of the reconstructor; None where the run names a classical one.
        device: Where all is computed.
        validation_data: Folder of those to validate on.
        patients: Table of whose the volumes are.

    Raises:
        CheckpointError: The weights are missing or damaged.
        ConfigError: There is no reconstructor, or it sees other data than the run has.
        DataError: Volumes cannot be used, or one to validate on was trained on by the reconstructor.
    """
    reconstructor, info, trained_on = _reconstructor(config, start, device)
    reconstructor = _fitted(reconstructor, config)
    study = open_policy_study(config, data, validation_data, patients)
    training, validation = study.training.volumes, study.validation.volumes
    _require_unseen(validation, trained_on, start)
    return Material(
        reconstructor=reconstructor,
        info=info,
        training=FullSlices(training, reconstructor, device),
        validation=FullSlices(validation, reconstructor, device) if validation else None,
        study=study,
        trained_on=trained_on,
    )


def open_policy_study(
    config: PolicyRunConfig,
    data: Location | Sequence[Location],
    validation_data: Location | None = None,
    patients: Path | None = None,
) -> Study:
    """The volumes of a run on both sides, as a training of images with the same data would have them.

    Raises:
        ConfigError: Nobody would be left to learn from.
        DataError: See `mrikit.training.volumes.open_study`.
    """
    alike = RunConfig(
        task=config.task,
        size=config.size,
        model="unet",
        data=replace(config.data, validation_score="ssim"),
        training=TrainingConfig(seed=config.learning.split_seed),
    )
    return open_study(alike, data, validation_data, patients)


def new_episodes(material: Material, slices: FullSlices, config: PolicyRunConfig, num_rows: int) -> Episodes:
    """Episodes of a run on some slices.

    Raises:
        ConfigError: The budget is larger than the columns that are not given.
    """
    rules = AcquireConfig(
        score=config.episode.score,
        reward=config.episode.reward,
        taken="refuse",
        # What is made again must have the bits of what was made in another batch, or a run could not go on exactly.
        one_by_one=slices.device.type == "cpu",
    )
    given = given_lines(config.episode.num_given, slices.matrix[1])
    return Episodes(slices, material.reconstructor, given, config.episode.budget, rules, num_rows)


def _reconstructor(
    config: PolicyRunConfig, start: Path | None, device: torch.device
) -> tuple[Reconstructor, ReconstructorInfo, tuple[str, ...]]:
    if config.reconstructor:
        name = config.reconstructor
        return as_reconstructor(name, device), ReconstructorInfo(name=name), ()
    if start is None:
        raise ConfigError(
            f"{config.name} needs the reconstructor of the stage before it; give its folder, or other weights, as start"
        )
    weights = load_weights(start)
    info = ReconstructorInfo(name=weights.model, sha256=weights.sha256)
    return as_reconstructor(weights.path, device), info, tuple(weights.record.get("trained_on", ()))


def _fitted(reconstructor: Reconstructor, config: PolicyRunConfig) -> Reconstructor:
    """It with the matrix and coils of the run where it has none of its own."""
    data = config.data
    for name, own, asked in (
        ("matrix", reconstructor.matrix or (), data.matrix),
        ("num_coils", reconstructor.num_coils, data.num_coils),
        ("max_readout", reconstructor.max_readout, data.max_readout),
    ):
        if own and own != asked:
            raise ConfigError(
                f"{reconstructor.name} was trained with data.{name}={_shown(own)}, and the policy is to learn with "
                f"{_shown(asked)}; set data.{name}={_shown(own)}"
            )
    # The study has cropped the volumes to the matrix.
    return replace(reconstructor, matrix=None, num_coils=data.num_coils, max_readout=data.max_readout)


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _require_unseen(validation: Sequence[Volume], trained_on: Sequence[str], start: Path | None) -> None:
    seen = set(trained_on)
    both = [volume.info.volume_id for volume in validation if volume.info.volume_id in seen]
    if both:
        raise DataError(
            f"{len(both)} volumes to validate on, such as {both[0]}, were trained on by the reconstructor in {start}; "
            f"validate on the same patients in both stages: with the same --data, --validation-data, "
            f"data.num_validation, and learning.split_seed as training.seed was"
        )
