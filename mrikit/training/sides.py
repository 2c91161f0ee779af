"""Which files of the data train, which validate, and which stay out."""

import itertools
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrikit.errors import DataError
from mrikit.storage import BlobPath, Location
from mrikit.training.config import RunConfig
from mrikit.volumes import VolumeFile, scan_volumes
from mrikit.volumes.files import is_single_file
from mrikit.volumes.scan import scan
from mrikit.volumes.splits import coils_of, linked_test_folder, split_above, split_folder, split_of

_MOST_SHOWN = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Sides:
    """The files of a run."""

    training: list[VolumeFile]
    """To train on, or to hold patients out of."""
    validation: list[VolumeFile] | None
    """To validate on; None to hold patients out of the others."""
    note: str
    """Which folders train, validate and stay out, on one line; empty where no folder says what it is for."""
    names: frozenset[str]
    """Of all files of the data without their suffixes, those that stay out among them."""


@dataclass(frozen=True, slots=True)
class _File:
    """A file of the data that by its name may be a volume."""

    place: Location
    """Of the data, as the user named it."""
    name: str
    """Relative to that folder, or to the folder of that file."""
    split: str | None
    folder: str
    """The one that says the split, or is said to stay out."""

    @property
    def root(self) -> Location:
        """What its name is relative to."""
        return self.place.parent if is_single_file(self.place) else self.place

    @property
    def path(self) -> Location:
        """Where it lies."""
        return self.root / self.name


def choose_sides(config: RunConfig, data: Sequence[Location], validation_data: Location | None) -> Sides:
    """Share the files of the data out, as their folders say; no file is opened that stays out for its folder.

    What a folder such as `multicoil_train`, `TrainingSet` or `val` says is done; the innermost counts. Where one says
    that it trains, files of folders that say nothing stay out. Where none does, those train that say nothing, else
    those to validate on; patients are held out of them, if there are no others to validate on. Test data never train.

    Args:
        config: Whether anything validates, and with one coil or many.
        data: Folders of volumes, or files.
        validation_data: Folder of those to validate on, whatever it is called.

    Raises:
        DataError: There is no volume, or there are test data only.
        StorageError: Blobs cannot be listed or read.
    """
    files = list({str(file.path): file for place in data for file in _listed(place, validation_data)}.values())
    own = [file for file in files if coils_of(file.name) == config.data.challenge]
    usable = [file for file in files if not own or coils_of(file.name) in (config.data.challenge, None)]
    of = {split: [file for file in usable if file.split == split] for split in ("train", None, "val", "test")}
    training = of["train"] or of[None] or of["val"]
    if of["test"] and not training:
        raise DataError(
            f"{', '.join(map(str, data))}: holds test data, as {of['test'][0].folder} says; it is never trained on; "
            f"name data to train on, or put what is none below a folder called train"
        )
    is_held_out = training is of["val"]
    validation = of["val"] if validation_data is None and config.data.num_validation and not is_held_out else []
    scanned = _scanned(validation, data) if validation else None
    if validation_data is not None:
        scanned = scan_volumes(validation_data, is_index_kept=True)
    names = {file.path.stem for file in (*files, *(scanned or ()))}
    return Sides(
        training=_scanned(training, data),
        validation=scanned,
        note=_note(config, files, training, validation, validation_data),
        names=frozenset(names),
    )


def _note(
    config: RunConfig,
    files: Sequence[_File],
    training: Sequence[_File],
    validation: Sequence[_File],
    validation_data: Location | None,
) -> str:
    left_out = [file for file in files if file not in {*training, *validation}]
    if not left_out and not any(file.split for file in files):
        return ""
    validates = [str(validation_data)] if validation_data is not None else _folders(validation)
    held_out = ["patients held out of these"] if config.data.num_validation else []
    parts = {"train on": _folders(training), "validate on": validates or held_out, "leave out": _folders(left_out)}
    return "folders: " + "; ".join(f"{words} {_some(folders)}" for words, folders in parts.items() if folders)


def _listed(data: Location, validation_data: Location | None) -> list[_File]:
    """The files of one place by their names alone, but for those in a folder of it that is named to validate on."""
    is_file = is_single_file(data)
    names = [data.name] if is_file else list(scan(data))
    above = split_above(data.parent if is_file else data)
    files = [_file(data, name, above) for name in names]
    if validation_data is None or _is_below(data, validation_data):
        return files
    return [file for file in files if not _is_below(file.path, validation_data)]


def _file(place: Location, name: str, above: tuple[str, Location] | None) -> _File:
    split, folder = split_of(name), split_folder(name)
    if not folder and above is not None and split in (None, above[0]):
        split, folder = above[0], str(above[1])
    file = _File(place, name, split, folder or str(place))
    linked = linked_test_folder(file.path)
    return file if linked is None else _File(place, name, "test", str(linked))


def _is_below(path: Location, folder: Location) -> bool:
    if isinstance(path, BlobPath) or isinstance(folder, BlobPath):
        return str(path) == str(folder) or str(path).startswith(f"{folder}/")
    here, there = (Path(os.path.abspath(one)) for one in (path, folder))  # noqa: PTH100 - links are kept as they are
    return here.is_relative_to(there)


def _scanned(files: Sequence[_File], data: Sequence[Location]) -> list[VolumeFile]:
    """What is known of the files; those of a folder that says its split are looked up there, and no others opened."""
    if not files:
        return [file for place in data for file in scan_volumes(place, is_index_kept=True)]  # says what is wrong
    wanted = {str(file.path) for file in files}
    places = {(str(file.place), split_folder(file.name)): file.place for file in files}
    outermost = [
        (place, inner)
        for (key, inner), place in places.items()
        if not any(
            other == key and inner != outer and (not outer or inner.startswith(f"{outer}/")) for other, outer in places
        )
    ]
    found = itertools.chain.from_iterable(
        scan_volumes(place / inner if inner else place, is_index_kept=True) for place, inner in outermost
    )
    return list({(str(file.path), file.suffix): file for file in found if str(file.path) in wanted}.values())


def _folders(files: Iterable[_File]) -> list[str]:
    """Each folder with the number of its files."""
    counts = Counter(file.folder for file in files)
    return [f"{folder} ({count} file{'s' * (count != 1)})" for folder, count in counts.items()]


def _some(folders: Sequence[str]) -> str:
    more = [f"{len(folders) - _MOST_SHOWN} more folders"] if len(folders) > _MOST_SHOWN else []
    return ", ".join([*folders[:_MOST_SHOWN], *more])
