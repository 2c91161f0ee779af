"""The volumes of a run, split by patients into those to train on and those to validate on."""

import hashlib
import itertools
import json
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mrikit.data import SliceDataset, at_matrix, cropped_shape, open_training_volumes, split_patients
from mrikit.errors import ConfigError, DataError
from mrikit.masks import is_mask_file, sample_mask
from mrikit.masks.file import read_mask_file
from mrikit.randomness import generator
from mrikit.storage import Location
from mrikit.training.choice import choose_volumes
from mrikit.training.config import RunConfig
from mrikit.training.objectives import needs_shape, objective_of, one_shape, with_shape
from mrikit.training.reconstructors import reconstructor_files
from mrikit.training.sides import choose_sides
from mrikit.volumes import Volume, VolumeFile
from mrikit.volumes.anatomy import anatomy_of
from mrikit.volumes.patients import read_patients, require_known, with_patients
from mrikit.words import left_out


@dataclass(frozen=True, kw_only=True)
class Study:
    """Data of a training run."""

    training: SliceDataset
    """Slices to train on."""
    validation: SliceDataset
    """Slices to validate on; none if nothing is held out."""
    mask_digest: str = ""
    """Of the mask files that the run draws from, and of weights that make its images; empty without one."""
    notes: tuple[str, ...] = ()
    """Lines to say: which folders train, validate and stay out, how patients were told apart, and how many volumes are
    left out, and why."""

    @property
    def digest(self) -> str:
        """Changes with volumes, their shape, brightness or side, and with what is in mask files and such weights."""
        sides = [
            [(volume.info.volume_id, volume.kspace.shape, volume.info.reference_max) for volume in side.volumes]
            for side in (self.training, self.validation)
        ]
        facts = [*sides, self.mask_digest] if self.mask_digest else sides
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def open_study(
    config: RunConfig,
    data: Location | Sequence[Location],
    validation_data: Location | None = None,
    patients: Path | None = None,
) -> Study:
    """Find the volumes of a run.

    Where folders say what they are for, as `multicoil_train` and `multicoil_val`, that is done: see `choose_sides`. In
    any other data patients are held out.

    Args:
        config: How many patients validate, on how many volumes to train, and with one coil or many.
        data: Folder of volumes, or several.
        validation_data: Folder of those to validate on; then none of `data` is held out.
        patients: Table of whose the volumes are, see `mrikit.volumes.patients.read_patients`.

    Raises:
        ConfigError: Nobody would be left to train on.
        DataError: A volume cannot be used, a patient is in both folders, the table of patients is wrong or lacks
            somebody, or a mask file does not fit a volume.
    """
    table = None if patients is None else read_patients(patients)
    places = [data] if isinstance(data, Location) else list(data)
    where = ", ".join(map(str, places))
    sides = choose_sides(config, places, validation_data)
    if table is not None:
        files = (*sides.training, *(sides.validation or ()))
        require_known(table, sides.names | {file.volume_id for file in files})
    training, lines = _usable(config, sides.training, where)
    validation = list[Volume]()
    if sides.validation is not None:
        validation, more = _usable(config, sides.validation, str(validation_data or where), is_training=False)
        lines += [f"{line} (to validate on)" for line in more]
    volumes, notes = _with_patients([*training, *validation], table)
    training, validation = volumes[: len(training)], volumes[len(training) :]
    if sides.validation is not None:
        _require_apart(training, validation)
    else:
        infos = [volume.info for volume in training]
        split = split_patients(infos, num_validation=config.data.num_validation, seed=config.split_seed)
        training, validation = ([volumes[position] for position in side] for side in split)
    return Study(
        training=SliceDataset(_some(training, config), config.num_adjacent),
        validation=SliceDataset(validation, config.num_adjacent),
        mask_digest=_mask_digest(config, training, validation),
        notes=(*filter(None, [sides.note]), *notes, *lines),
    )


def for_study(config: RunConfig, study: Study) -> RunConfig:
    """The run with what it has to know of its volumes: the matrix of learned masks, or the lines of an evaluator.

    Raises:
        ConfigError: It names another matrix.
        DataError: A learned mask or an evaluator, and volumes of several matrices.
    """
    if not needs_shape(config):
        return config
    return with_shape(config, one_shape(config, [*study.training.volumes, *study.validation.volumes], "data"))


def _usable(
    config: RunConfig, files: Sequence[VolumeFile], where: str, *, is_training: bool = True
) -> tuple[list[Volume], list[str]]:
    """The full volumes of one side that are asked for, and a line for each reason to leave others out."""
    full, undersampled = open_training_volumes(files, where)
    shown = _of_anatomy(full, config.data.anatomy, where)
    fitting, left = choose_volumes(shown, config.data, where)
    if config.data.matrix:
        rows, columns = config.data.matrix
        fitting = [at_matrix(volume, (rows, columns)) for volume in fitting]
    objective_of(config).check(fitting, where, is_training=is_training)
    names = {volume.info.volume_id for volume in shown}
    others = [volume.info.volume_id for volume in full if volume.info.volume_id not in names]
    reasons = [(undersampled, "undersampled"), (others, f"of another anatomy than {config.data.anatomy}"), *left]
    num_volumes = len(full) + len(undersampled)
    return fitting, [left_out(names, num_volumes, what) for names, what in reasons if names]


def _with_patients(volumes: Sequence[Volume], table: Mapping[str, str] | None) -> tuple[list[Volume], list[str]]:
    """Volumes that name their patient wherever one is known, and what to say of that."""
    infos, notes = with_patients([volume.info for volume in volumes], table)
    return [
        volume if volume.info == info else volume.replaced(info=info)
        for volume, info in zip(volumes, infos, strict=True)
    ], notes


def _mask_digest(config: RunConfig, training: Sequence[Volume], validation: Sequence[Volume]) -> str:
    """Digest of the mask files of a run, which are seen to fit its volumes, and of weights that it uses; or empty."""
    data = config.data
    files: set[str] = set()
    for plans, volumes in ((data.plans, training), (data.validation_plans, validation)):
        own = [plan for plan in plans if is_mask_file(plan.kind)]
        shapes = {cropped_shape(one.info, data.max_readout) for one in volumes}
        if volumes is training and config.augment.transpose_probability:
            shapes |= {shape[::-1] for shape in shapes}
        for plan, shape in itertools.product(own, shapes):
            sample_mask(plan, shape, np.random.RandomState(0))
        files |= {plan.kind for plan in own}
    if config.sampler.start:
        read_mask_file(Path(config.sampler.start))
        files.add(config.sampler.start)
    files |= reconstructor_files(config)
    contents = b"".join(hashlib.sha256(Path(name).read_bytes()).digest() for name in sorted(files))
    return hashlib.sha256(contents).hexdigest()[:16] if files else ""


def _of_anatomy(volumes: list[Volume], anatomy: str, data: str) -> list[Volume]:
    """Those that show the anatomy; one that does not say what it shows is believed to.

    Raises:
        DataError: There is none, or a file's name and header contradict each other.
    """
    if not anatomy:
        return volumes
    found = [anatomy_of(volume.info) for volume in volumes]
    fitting = [volume for volume, shown in zip(volumes, found, strict=True) if shown in (anatomy, None)]
    if not fitting:
        others = ", ".join(f"{count} of {shown}" for shown, count in Counter(found).items())
        raise DataError(f"{data}: no volume shows a {anatomy}; found {others}; train another task, or name other data")
    num_silent = found.count(None)
    if num_silent:
        warnings.warn(f"{num_silent} volumes of {data} do not say what they show; taken as {anatomy}", stacklevel=2)
    return [_showing(volume, anatomy) for volume in fitting]


def _showing(volume: Volume, anatomy: str) -> Volume:
    return volume if volume.info.anatomy == anatomy else volume.replaced(info=replace(volume.info, anatomy=anatomy))


def _some(volumes: Sequence[Volume], config: RunConfig) -> Sequence[Volume]:
    """So many volumes as the configuration asks for, in their order."""
    if not config.data.num_volumes:
        return volumes
    if config.data.num_volumes > len(volumes):
        raise ConfigError(f"data.num_volumes is {config.data.num_volumes}, but there are {len(volumes)} to train on")
    order = generator(config.training.seed, "volumes").permutation(len(volumes))
    return [volumes[position] for position in sorted(order[: config.data.num_volumes].tolist())]


def _require_apart(training: Sequence[Volume], validation: Sequence[Volume]) -> None:
    patients = {volume.info.patient_id for volume in training} - {None}
    names = {volume.info.volume_id for volume in training}
    for volume in validation:
        if volume.info.patient_id in patients or volume.info.volume_id in names:
            raise DataError(
                f"{volume.info.volume_id} (patient {volume.info.patient_id}) of the validation data is in the training "
                f"data too; validate on other patients"
            )
