"""What there is to do in a folder: its volumes, where each reconstruction goes, and the share of this process."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from mrikit.errors import ConfigError, DataError
from mrikit.reconstruct.shard import Shard, share
from mrikit.storage import Location, shown
from mrikit.volumes import find_volumes, open_volume
from mrikit.volumes.files import is_single_file
from mrikit.volumes.reconstruction import file_signature, is_made_from, reconstruction_path


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One volume to be reconstructed."""

    path: Location
    target: Path
    """Where the reconstruction goes."""
    num_slices: int
    """0 if the file cannot be opened, as reconstructing it will say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """The share of this process."""

    items: list[Item]
    """Volumes that are not done yet."""
    num_volumes: int
    """Volumes of the share, done ones included."""
    num_trained_on: int
    """Of these, those that a network was trained on."""
    num_left_out: int
    """Volumes of the whole folder that are left out because a network was trained on them."""

    @property
    def num_slices(self) -> int:
        """Slices of all volumes that are not done yet."""
        return sum(item.num_slices for item in self.items)


def find_work(data: Location, out: Path, shard: Shard, trained_on: Collection[str], *, is_held_out: bool) -> Work:
    """Look for volumes and reconstructions; only the headers of volumes are read.

    Args:
        data: Folder of volumes, or one file.
        out: Folder of their reconstructions.
        shard: This process; which volumes are its own does not depend on what is done already.
        trained_on: Volumes that a network was trained on.
        is_held_out: Whether to leave those out.

    Raises:
        ConfigError: The reconstructions would lie among the volumes.
        DataError: There is no volume, or none is left, or two would become one file.
        StorageError: Blobs cannot be listed or read.
    """
    paths = find_volumes(data)
    target_of = _targets(out, data, paths)
    kept = [path for path in paths if not is_held_out or path.stem not in trained_on]
    if not kept:
        raise DataError(f"{data}: all {len(paths)} volumes were trained on; leave out --held-out, or name other data")
    # Without other processes those that are done need not be opened.
    counts = [_count_slices(path) for path in kept] if shard.num_shards > 1 else [0] * len(kept)
    own = share(counts, shard)
    items = [
        Item(
            path=kept[position],
            target=target_of[kept[position]],
            num_slices=counts[position] or _count_slices(kept[position]),
        )
        for position in own
        if not is_made_from(target_of[kept[position]], file_signature(kept[position]))
    ]
    return Work(
        items=items,
        num_volumes=len(own),
        num_trained_on=sum(kept[position].stem in trained_on for position in own),
        num_left_out=len(paths) - len(kept),
    )


def _targets(out: Path, data: Location, paths: list[Location]) -> dict[Location, Path]:
    """Where each volume's reconstruction goes; two volumes must not share one place."""
    folder = data.parent if is_single_file(data) else data
    if shown(out.resolve()) == str(folder.resolve()):
        raise ConfigError(f"{out} holds the volumes; choose another --out for their reconstructions")
    target_of = {path: reconstruction_path(out, data, path) for path in paths}
    volume_of: dict[Path, Location] = {}
    for path, target in target_of.items():
        other = volume_of.setdefault(target, path)
        if other != path:
            raise DataError(f"{other} and {path} would both become {target}; rename one, or reconstruct them apart")
    return target_of


def _count_slices(path: Location) -> int:
    try:
        return len(open_volume(path).kspace)
    except DataError:
        return 0
