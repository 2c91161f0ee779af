"""SliceDataset: the slices of many volumes, read as they are; all that is computed from them happens later."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from mrikit.data.neighbours import neighbours, require_middle
from mrikit.data.sampler import BatchShape, SliceKey
from mrikit.data.window import scored_window
from mrikit.errors import DataError
from mrikit.volumes import Location, Volume, VolumeFile, scan_volumes, warn_of_notes
from mrikit.volumes.faults import Fault
from mrikit.volumes.files import NUM_IN_FLIGHT
from mrikit.volumes.index_workers import num_processors

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class SliceBatch:
    """Slices of one shape as their files hold them, on the CPU."""

    kspace: torch.Tensor
    """(batch, slice, coil, readout, phase) complex64; the slice axis holds the neighbours, the slice itself in the
    middle."""
    reference: torch.Tensor | None
    """(batch, y, x) float32 of the middle slices; None if the files hold none."""
    keys: tuple[SliceKey, ...]
    """The slice of each batch element."""


class SliceDataset:
    """Volumes, to be read slice by slice. It can be used by many threads.

    What is needed of blobs for one batch is requested at once, because waiting for it takes no processor.

    Args:
        volumes: A SliceKey counts them in this order.
        num_adjacent: Slices that belong to one sample, the slice itself in the middle; odd. Beyond the ends of a
            volume its last slice is repeated; a warning counts the volumes that have no other.

    Raises:
        ConfigError: There is no middle.
    """

    def __init__(self, volumes: Sequence[Volume], num_adjacent: int = 1) -> None:
        require_middle(num_adjacent)
        self.volumes = tuple(volumes)
        self.num_adjacent = num_adjacent
        self.shapes = tuple(_batch_shape(volume) for volume in self.volumes)
        num_single = sum(shape.num_slices == 1 for shape in self.shapes)
        if num_adjacent > 1 and num_single:
            found = f"{num_single} volumes have" if num_single > 1 else "1 volume has"
            warnings.warn(f"{found} one slice; its neighbours are the slice itself", stacklevel=2)
        is_remote = any(not isinstance(volume.info.source, Path | None) for volume in self.volumes)
        self._pool = ThreadPoolExecutor(NUM_IN_FLIGHT, thread_name_prefix="mrikit-blob") if is_remote else None

    def read(self, keys: Sequence[SliceKey], *, has_reference: bool = True) -> SliceBatch:
        """Read slices of one shape and their neighbours, see `read_slices`."""
        return read_slices(self.volumes, keys, self.num_adjacent, has_reference=has_reference, read=self._map)

    def _map(self, read: Callable[[T], npt.NDArray[Any]], items: Iterable[T]) -> Iterator[npt.NDArray[Any]]:
        """What is read for each item, in order."""
        return map(read, items) if self._pool is None else self._pool.map(read, items)


def read_slices(
    volumes: Sequence[Volume],
    keys: Sequence[SliceKey],
    num_adjacent: int = 1,
    *,
    has_reference: bool = True,
    read: Callable[..., Iterator[npt.NDArray[Any]]] = map,
) -> SliceBatch:
    """Read slices of one shape and their neighbours; one that is needed twice is read once.

    Args:
        volumes: What the keys count.
        keys: At least one.
        num_adjacent: Slices that belong to one sample, the slice itself in the middle; odd.
        has_reference: Whether to read stored references too.
        read: Applies a function to many items, in order; one with threads asks for many blobs at once.

    Raises:
        ConfigError: There is no middle slice.
        DataError: A slice cannot be read or holds NaN; the message names the file and the slice.
    """
    require_middle(num_adjacent)
    places: dict[SliceKey, list[tuple[int, int]]] = {}
    for row, (volume, slice_index) in enumerate(keys):
        needed = neighbours(slice_index, len(volumes[volume].kspace), num_adjacent)
        for column, index in enumerate(needed):
            places.setdefault(SliceKey(volume, index), []).append((row, column))
    found = read(lambda key: volumes[key.volume].kspace[key.slice_index], places)
    return SliceBatch(
        kspace=torch.from_numpy(_place(found, list(places.values()), (len(keys), num_adjacent))),
        reference=_read_reference(volumes, keys, read) if has_reference else None,
        keys=tuple(keys),
    )


def _place(
    slices: Iterator[npt.NDArray[np.complex64]], places: Sequence[Sequence[tuple[int, int]]], size: tuple[int, int]
) -> npt.NDArray[np.complex64]:
    """(batch, slice, coil, readout, phase) from each slice and the places where it is needed."""
    kspace = np.empty(0, np.complex64)
    for found, rows_and_columns in zip(slices, places, strict=True):
        if size == (1, 1):
            return found[None, None]  # saves a copy of all there is
        if not kspace.size:
            kspace = np.empty((*size, *found.shape), np.complex64)
        for row, column in rows_and_columns:
            kspace[row, column] = found
    return kspace


def _read_reference(
    volumes: Sequence[Volume], keys: Sequence[SliceKey], read: Callable[..., Iterator[npt.NDArray[Any]]]
) -> torch.Tensor | None:
    wanted = []
    for volume, slice_index in keys:
        reference = volumes[volume].reference
        if reference is None:
            return None
        wanted.append((reference, slice_index))
    return torch.from_numpy(np.stack(list(read(lambda place: place[0][place[1]], wanted))))


class TrainingVolumes(NamedTuple):
    """What a data folder holds to train on."""

    volumes: list[Volume]
    """Fully sampled."""
    undersampled: list[str]
    """Names of those left out because they were acquired undersampled: there is nothing to compare with."""


def load_training_volumes(data: Location) -> TrainingVolumes:
    """Every fully sampled volume below a folder.

    They are taken from the index of the folder, which is made or renewed first where the folder can be written; else
    every file is opened.

    Args:
        data: Folder of volumes, or one file.

    Raises:
        DataError: See `open_training_volumes`.
        StorageError: Blobs cannot be listed or read.
    """
    return open_training_volumes(scan_volumes(data, is_index_kept=True), str(data))


def open_training_volumes(files: Sequence[VolumeFile], data: str) -> TrainingVolumes:
    """The fully sampled ones of some volumes. The first coil of one slice of each is read to see whether it is full.

    Args:
        files: At least one.
        data: Where they lie, for messages.

    Raises:
        DataError: One cannot be opened or is all zero, two have one name, or all are undersampled.
        StorageError: Blobs cannot be read.
    """
    faults = [file.fault for file in files if file.fault is not None]
    if faults:
        raise _bad_files(faults)
    warn_of_notes(files)
    volumes = [file.open() for file in files]
    counts = Counter(volume.info.volume_id for volume in volumes)
    twice = next((volume_id for volume_id, count in counts.items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{data}: {counts[twice]} volumes are called '{twice}'; rename one, or name one subfolder")
    num_threads = num_processors() if isinstance(files[0].folder, Path) else NUM_IN_FLIGHT
    with ThreadPoolExecutor(num_threads) as pool:
        is_full = list(pool.map(lambda volume: volume.is_fully_sampled, volumes))
    full = [volume for volume, keep in zip(volumes, is_full, strict=True) if keep]
    _require_centred(full)
    undersampled = [volume.info.volume_id for volume, keep in zip(volumes, is_full, strict=True) if not keep]
    if not full:
        raise DataError(
            f"{data}: all {len(volumes)} volumes were acquired undersampled, such as {undersampled[0]}; training needs "
            "fully sampled ones"
        )
    return TrainingVolumes(full, undersampled)


def _require_centred(volumes: Sequence[Volume]) -> None:
    """Refuse k-space with its centre in the corner; it would be masked at its edges."""
    wrong = [volume for volume in volumes if "corner" in (volume.misplaced or "")]
    if wrong:
        info, more = wrong[0].info, f"; so does that of {len(wrong) - 1} more" if len(wrong) > 1 else ""
        name = info.source or info.volume_id
        raise DataError(f"{name}: {wrong[0].misplaced}{more}; shift k-space so that it lies at size // 2")


def _bad_files(faults: list[Fault]) -> DataError:
    first, *others = faults
    more = f"; {len(others)} more cannot be read" if others else ""
    return DataError(f"{first.message}{more} ({first.remedy})")


def _batch_shape(volume: Volume) -> BatchShape:
    num_slices, num_coils, readout, phase = volume.kspace.shape
    _, *size = (0,) if volume.reference is None else volume.reference.shape
    return BatchShape(
        num_slices=num_slices,
        kspace=(num_coils, readout, phase),
        window=scored_window(volume.info),
        reference=(size[0], size[1]) if size else None,
    )
