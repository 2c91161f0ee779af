"""Volumes to the full slices of one split, which episodes are played on."""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from mrikit.acquire.config import AcquireConfig
from mrikit.acquire.reconstructors import Reconstructor
from mrikit.data import (
    SliceKey,
    at_matrix,
    open_training_volumes,
    prepare,
    read_slices,
    scored_window,
    split_patients,
)
from mrikit.data.scan_batch import ScanBatch
from mrikit.errors import DataError
from mrikit.storage import BlobPath, parse_location
from mrikit.volumes import Volume, scan_volumes
from mrikit.volumes.patients import with_patients
from mrikit.volumes.splits import split_of

Data = str | Path | BlobPath | Sequence[Volume]
"""A folder of volumes, a file, or volumes."""


class FullSlices:
    """All slices of some volumes of one matrix, read and prepared one by one and kept while there is room.

    Args:
        volumes: Fully sampled, at least one.
        reconstructor: Says what it has to be given of them.
        device: Where they are kept.
        held_bytes: K-space that is kept at most.

    Raises:
        DataError: They differ in the size of k-space or of their window, or one was acquired undersampled.
    """

    def __init__(
        self,
        volumes: Sequence[Volume],
        reconstructor: Reconstructor,
        device: torch.device | str = "cpu",
        held_bytes: int = 2**30,
    ) -> None:
        for volume in volumes:
            if not volume.is_fully_sampled:
                raise DataError(
                    f"{volume.info.volume_id}: acquired undersampled; lines can only be chosen of full k-space"
                )
        if reconstructor.matrix is not None:
            volumes = [at_matrix(volume, reconstructor.matrix) for volume in volumes]
        self.volumes = tuple(volumes)
        self.keys = tuple(
            SliceKey(number, index) for number, volume in enumerate(volumes) for index in range(len(volume.kspace))
        )
        self.device = torch.device(device)
        self._reconstructor = reconstructor
        self._held: OrderedDict[int, ScanBatch] = OrderedDict()
        self._room = held_bytes
        _require_alike(self.volumes, reconstructor)
        shape = self.read(0).shape
        self.matrix: tuple[int, int] = shape
        """(readout, phase) of k-space as the reconstructor sees it, and of its images."""

    @property
    def volume_ids(self) -> tuple[str, ...]:
        """Names of the volumes, in the order in which `keys` count them."""
        return tuple(volume.info.volume_id for volume in self.volumes)

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, volume_id: str | None, slice_index: int | None) -> list[int]:
        """Positions of the slices of a volume, or that one of them.

        Raises:
            DataError: There is no such volume or slice.
        """
        found = [
            position
            for position, key in enumerate(self.keys)
            if volume_id in (None, self.volumes[key.volume].info.volume_id) and slice_index in (None, key.slice_index)
        ]
        if not found:
            known = ", ".join(volume.info.volume_id for volume in self.volumes[:4])
            more = f" and {len(self.volumes) - 4} more" if len(self.volumes) > 4 else ""
            what = f"volume {volume_id!r}" if volume_id is not None else "volume"
            of = f"slice {slice_index} of a {what}" if slice_index is not None else what
            raise DataError(f"there is no {of} in this split; it has {known}{more}")
        return found

    def positions_of(
        self, volume_index: npt.NDArray[np.integer], slice_index: npt.NDArray[np.integer]
    ) -> npt.NDArray[np.int64]:
        """(n,) positions of slices, which are named as in `keys`, by (n,) volumes and (n,) slices of them."""
        firsts = np.cumsum([0, *(len(volume.kspace) for volume in self.volumes[:-1])])
        found: npt.NDArray[np.int64] = firsts[volume_index] + slice_index
        return found

    def acquired(self, positions: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        """(n, phase) bool, the columns that the scanner acquired of the slices at (n,) positions."""
        is_acquired = np.zeros((len(positions), self.matrix[1]), np.bool_)
        for row, position in zip(is_acquired, positions.tolist(), strict=True):
            left, right = self.volumes[self.keys[position].volume].acquired.columns
            row[left:right] = True
        return is_acquired

    def read(self, position: int) -> ScanBatch:
        """One slice on the device: full k-space, its reference and facts."""
        if position in self._held:
            self._held.move_to_end(position)
            return self._held[position]
        key, reconstructor = self.keys[position], self._reconstructor
        volume = self.volumes[key.volume]
        scan = prepare(
            read_slices(self.volumes, [key], reconstructor.num_adjacent),
            [volume],
            self.device,
            max_readout=reconstructor.max_readout,
            num_coils=reconstructor.num_coils,
        )
        self._held[position] = scan
        self._room -= scan.kspace.nbytes
        while self._room < 0 and len(self._held) > 1:
            self._room += self._held.popitem(last=False)[1].kspace.nbytes
        return scan


def open_slices(
    data: Data, reconstructor: Reconstructor, config: AcquireConfig, device: torch.device | str = "cpu"
) -> FullSlices:
    """The full slices of one split of some data.

    Args:
        data: A folder of volumes, a file, or volumes.
        reconstructor: Says what it has to be given of them.
        config: Which split, and how patients are told apart.
        device: Where they are kept.

    Raises:
        ConfigError: There are too few patients to split.
        DataError: The split has no volumes, or they do not suit each other or the reconstructor.
    """
    volumes, names, where = _all_volumes(data)
    if config.width:
        widths = Counter(volume.info.matrix[1] for volume in volumes)
        keep = [volume.info.matrix[1] == config.width for volume in volumes]
        volumes = [volume for volume, is_kept in zip(volumes, keep, strict=True) if is_kept]
        names = [name for name, is_kept in zip(names, keep, strict=True) if is_kept]
        if not volumes:
            found = ", ".join(f"{count} of {width}" for width, count in sorted(widths.items()))
            raise DataError(f"{where}: no volume has {config.width} columns; found {found}")
    if config.split == "all":
        return FullSlices(volumes, reconstructor, device, config.held_bytes)
    splits = _splits(volumes, names, config)
    chosen = [volume for volume, split in zip(volumes, splits, strict=True) if split == config.split]
    if not chosen:
        found = ", ".join(f"{count} in {split}" for split, count in sorted(Counter(splits).items()))
        raise DataError(f"{where}: the split {config.split!r} has no volumes; found {found}; name another split")
    return FullSlices(chosen, reconstructor, device, config.held_bytes)


def _all_volumes(data: Data) -> tuple[list[Volume], list[str], str]:
    """Full volumes, the names of their files, and what to call them in messages."""
    if isinstance(data, str | Path | BlobPath):
        location = parse_location(data) if isinstance(data, str) else data
        files = scan_volumes(location, is_index_kept=True)
        by_id = {file.volume_id: file.name for file in files}
        volumes = open_training_volumes(files, str(data)).volumes
        return volumes, [by_id[volume.info.volume_id] for volume in volumes], str(data)
    volumes = list(data) if isinstance(data, Iterable) else [data]
    if odd := [type(one).__name__ for one in volumes if not isinstance(one, Volume)]:
        raise DataError(f"an environment needs a folder, a file or a list of volumes, found {odd[0]}")
    if not volumes:
        raise DataError("an environment needs at least one volume, found none")
    return volumes, ["" for _ in volumes], "the volumes given"


def _splits(volumes: Sequence[Volume], names: Sequence[str], config: AcquireConfig) -> list[str]:
    """The split of each volume: by folders if any says so, or else by patients."""
    told = [split_of(name) if name else None for name in names]
    if any(told):
        return [split or "train" for split in told]
    infos, _ = with_patients([volume.info for volume in volumes], None)
    rest, test = split_patients(infos, num_validation=config.num_test, seed=config.split_seed)
    _, validation = split_patients(
        [infos[position] for position in rest], num_validation=config.num_validation, seed=config.split_seed
    )
    splits = ["train"] * len(volumes)
    for split, positions in (("test", test), ("val", [rest[position] for position in validation])):
        for position in positions:
            splits[position] = split
    return splits


def _require_alike(volumes: Sequence[Volume], reconstructor: Reconstructor) -> None:
    """One shape of k-space and one window, or no batch can hold them."""
    shapes = Counter(
        (volume.info.matrix, scored_window(volume.info), reconstructor.num_coils or volume.kspace.shape[1])
        for volume in volumes
    )
    if len(shapes) > 1:
        found = "; ".join(
            f"{count} of {' x '.join(map(str, matrix))} with {coils} coils"
            for (matrix, _, coils), count in shapes.items()
        )
        raise DataError(
            f"an environment needs volumes of one matrix, window and number of coils; found {found}; choose by "
            "`width`, or name fewer volumes"
        )
