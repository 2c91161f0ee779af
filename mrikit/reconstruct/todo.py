"""What there is to do in a folder: its volumes, where each reconstruction goes, and the share of this process."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mrikit.errors import ConfigError, DataError
from mrikit.reconstruct.held_out import of_same_patients
from mrikit.reconstruct.shard import Shard, share
from mrikit.storage import Location, shown
from mrikit.volumes import VolumeFile, scan_volumes, warn_of_notes
from mrikit.volumes.files import is_single_file
from mrikit.volumes.reconstruction import is_made_from, reconstruction_path


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One volume to be reconstructed."""

    file: VolumeFile
    target: Path
    """Where the reconstruction goes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """The share of this process."""

    items: list[Item]
    """Volumes that are not done yet."""
    num_volumes: int
    """Volumes of the share, done ones included."""
    num_trained_on: int
    """Of these, those that a network was trained on."""
    left_out: list[str]
    """Names of those of the whole folder that are left out because a network was trained on them."""
    related: list[str]
    """Names of others that are left out because it was trained on volumes of the same patients."""
    num_found: int
    """Volumes of the whole folder."""

    @property
    def num_slices(self) -> int:
        """Slices of all volumes that are not done yet."""
        return sum(item.file.num_slices for item in self.items)


def find_work(
    data: Location,
    out: Path,
    shard: Shard,
    trained_on: Collection[str],
    *,
    is_held_out: bool,
    patients: Mapping[str, str] | None = None,
) -> Work:
    """Look for volumes and reconstructions; others than done ones are opened, once, and all to see whose they are.

    Args:
        data: Folder of volumes, or one file.
        out: Folder of their reconstructions.
        shard: This process; which volumes are its own does not depend on what is done already.
        trained_on: Volumes that a network was trained on.
        is_held_out: Whether to leave those out, and others of the same patients.
        patients: Volume to patient, where a table tells it; used with `is_held_out`.

    Raises:
        ConfigError: The reconstructions would lie among the volumes.
        DataError: There is no volume, or none is left, or two would become one file.
        StorageError: Blobs cannot be listed or read.
    """
    _require_apart(out, data)

    @cache
    def is_done(path: Location, suffix: str, signature: tuple[int, int]) -> bool:
        return is_made_from(reconstruction_path(out, data, path, suffix), signature)

    def is_file_done(file: VolumeFile) -> bool:
        return is_done(file.path, file.suffix, file.source_signature)

    # All processes share the volumes out by the slices of all, done or not.
    is_shared = shard.num_shards > 1
    files = scan_volumes(data, is_needed=lambda file: is_shared or is_held_out or not is_file_done(file))
    _require_places(out, data, files)
    related = of_same_patients(files, trained_on, patients) if is_held_out else set()
    kept = [file for file in files if not is_held_out or file.volume_id not in {*trained_on, *related}]
    if not kept:
        of_patients = f", {len(related)} of them by others of their patients" if related else ""
        raise DataError(
            f"{data}: all {len(files)} volumes were trained on{of_patients}; leave out --held-out, or name other data"
        )
    own = [kept[position] for position in share([file.num_slices for file in kept], shard)]
    warn_of_notes(own)
    return Work(
        items=[
            Item(file=file, target=reconstruction_path(out, data, file.path, file.suffix))
            for file in own
            if not is_file_done(file)
        ],
        num_volumes=len(own),
        num_trained_on=sum(file.volume_id in trained_on for file in own),
        left_out=[file.volume_id for file in files if is_held_out and file.volume_id in trained_on],
        related=sorted(related),
        num_found=len(files),
    )


def _require_apart(out: Path, data: Location) -> None:
    folder = data.parent if is_single_file(data) else data
    if shown(out.resolve()) == str(folder.resolve()):
        raise ConfigError(f"{out} holds the volumes; choose another --out for their reconstructions")


def _require_places(out: Path, data: Location, files: list[VolumeFile]) -> None:
    """Two volumes must not share one place."""
    file_of: dict[Path, Location] = {}
    for file in files:
        target = reconstruction_path(out, data, file.path, file.suffix)
        other = file_of.setdefault(target, file.path)
        if other != file.path:
            raise DataError(
                f"{other} and {file.path} would both become {target}; rename one, or reconstruct them apart"
            )
