"""Slices of files to full k-space with its reference."""

import math
from collections.abc import Sequence

import torch

from mrikit.data.apply_mask import undersample
from mrikit.data.augment import Augment, Augmented, SampleId
from mrikit.data.dataset import SliceBatch, read_slices
from mrikit.data.example import Example
from mrikit.data.sampler import SliceKey
from mrikit.data.scan_batch import ScanBatch, SliceFacts
from mrikit.data.window import scored_window
from mrikit.errors import DataError
from mrikit.masks import Mask
from mrikit.physics.coils import compress_coils, rss
from mrikit.physics.crop import center_crop
from mrikit.physics.fft import fft1c, ifft1c, ifft2c
from mrikit.volumes import ScanInfo, Volume
from mrikit.volumes.anatomy import anatomy_of


def prepare(
    batch: SliceBatch,
    volumes: Sequence[Volume],
    device: torch.device | str = "cpu",
    *,
    augment: Augment | None = None,
    max_readout: int = 0,
    num_coils: int = 0,
    has_reference: bool = True,
) -> ScanBatch:
    """Put slices on the device, augment and crop them, and make what they are compared with.

    Args:
        batch: Slices of one shape.
        volumes: The volume of each batch element: its facts, and what was acquired of it.
        device: Where the tensors are made.
        augment: Changes full k-space; the reference of what it changed is made from the new k-space of the middle
            slice.
        max_readout: Rows of the image to keep along the readout where there are more, but never fewer than are scored;
            0 for all.
        num_coils: Virtual coils that full k-space is compressed to, the same for a slice and its neighbours; 0 for the
            file's own.
        has_reference: Whether to make a reference; without a stored one k-space has to be full.

    Returns:
        A ScanBatch. Its reference is the file's own where k-space was not changed, or RSS of full k-space; its data
        range is that of the volume, which no transform changes, or of the slice alone where the file does not say or
        the augmentation asks for it. All coils are in the reference, also where they are compressed.

    Raises:
        DataError: A volume has fewer coils than are asked for.
    """
    infos = [volume.info for volume in volumes]
    slice_index = [key.slice_index for key in batch.keys]
    augmented = Augmented(_move(batch.kspace, device), (False,) * len(infos))
    if augment:
        samples = [SampleId(info.volume_id, index) for info, index in zip(infos, slice_index, strict=True)]
        augmented = augment(augmented.kspace, samples)
    reference = data_range = None
    if has_reference:
        reference = _reference(batch, augmented, infos[0])
        has_own_range = [is_changed and augmented.uses_slice_max for is_changed in augmented.is_changed]
        data_range = _data_ranges(infos, reference, has_own_range)
    kspace = _crop_readout(augmented.kspace, infos[0], max_readout) if max_readout else augmented.kspace
    return ScanBatch(
        kspace=_compress(kspace, num_coils, infos[0]) if num_coils else kspace,
        reference=reference,
        data_range=data_range,
        crop=scored_window(infos[0]),
        facts=tuple(
            SliceFacts(
                volume_id=volume.info.volume_id,
                slice_index=index,
                anatomy=_anatomy(volume.info),
                acquired=volume.acquired,
            )
            for volume, index in zip(volumes, slice_index, strict=True)
        ),
    )


def make_example(
    volume: Volume,
    slice_index: Sequence[int],
    mask: Mask,
    device: torch.device | str = "cpu",
    *,
    keeps_full: bool = False,
    has_reference: bool = True,
    num_adjacent: int = 1,
    max_readout: int = 0,
    num_coils: int = 0,
) -> Example:
    """Slices of a volume as one Example: read, prepared and undersampled by the volume's mask.

    Args:
        volume: The scan; only the named slices and their neighbours are read, each once.
        slice_index: Slices to reconstruct, one for each batch element.
        mask: What is measured.
        device: Where the tensors are made.
        keeps_full: Whether the example holds k-space before the mask too.
        has_reference: As in `make_scan`.
        num_adjacent: As in `make_scan`.
        max_readout: As in `prepare`.
        num_coils: As in `prepare`.

    Raises:
        ConfigError: There is no middle slice.
        DataError: The mask does not fit, a slice is damaged, or an undersampled volume has no reference.
    """
    scan = make_scan(
        volume,
        slice_index,
        device,
        has_reference=has_reference,
        num_adjacent=num_adjacent,
        max_readout=max_readout,
        num_coils=num_coils,
    )
    return undersample(scan, [mask] * len(scan.facts), keeps_full=keeps_full)


def make_scan(
    volume: Volume,
    slice_index: Sequence[int],
    device: torch.device | str = "cpu",
    *,
    has_reference: bool = True,
    num_adjacent: int = 1,
    max_readout: int = 0,
    num_coils: int = 0,
) -> ScanBatch:
    """Slices of a volume before any mask, read and prepared.

    Args:
        volume: The scan; only the named slices and their neighbours are read, each once.
        slice_index: Slices to reconstruct, one for each batch element.
        device: Where the tensors are made.
        has_reference: Whether to read the reference too, or to make it from the k-space of a volume that is full but
            has none.
        num_adjacent: Slices that belong to one sample, the slice itself in the middle; odd. Beyond the ends of the
            volume its last slice is repeated.
        max_readout: As in `prepare`.
        num_coils: As in `prepare`.

    Raises:
        ConfigError: There is no middle slice.
        DataError: A slice is damaged, or an undersampled volume has no reference.
    """
    if has_reference and volume.reference is None and not volume.is_fully_sampled:
        raise DataError(f"{volume.info.volume_id}: undersampled, and its file holds no reference to compare with")
    keys = [SliceKey(0, index) for index in slice_index]
    batch = read_slices([volume], keys, num_adjacent, has_reference=has_reference)
    volumes = [volume] * len(keys)
    return prepare(batch, volumes, device, max_readout=max_readout, num_coils=num_coils, has_reference=has_reference)


def cropped_shape(info: ScanInfo, max_readout: int) -> tuple[int, int]:
    """(readout, phase) of k-space after the crop to `max_readout`: what masks are drawn for."""
    rows, columns = info.matrix
    return (min(rows, max(max_readout, scored_window(info)[0])) if max_readout else rows), columns


def _crop_readout(kspace: torch.Tensor, info: ScanInfo, max_readout: int) -> torch.Tensor:
    """K-space of the middle rows of the image; the scored window stays in the middle of them."""
    height, scored = kspace.shape[-2], scored_window(info)[0]
    wanted = cropped_shape(info, max_readout)[0]
    if wanted >= height:
        return kspace
    # Not (height - wanted) // 2, which moves the window by a row where one of the sizes is odd.
    first = (height - scored) // 2 - (wanted - scored) // 2
    return fft1c(ifft1c(kspace, -2)[..., first : first + wanted, :], -2)


def _compress(kspace: torch.Tensor, num_coils: int, info: ScanInfo) -> torch.Tensor:
    """(batch, slice, coil, readout, phase) k-space of virtual coils, one matrix for a slice and its neighbours."""
    if num_coils > kspace.shape[2]:
        raise DataError(
            f"{info.volume_id}: cannot make {num_coils} virtual coils of {kspace.shape[2]}; a smaller data.num_coils "
            f"would do, or other data"
        )
    return compress_coils(kspace, num_coils, kspace.transpose(1, 2).flatten(2, 3).unsqueeze(1))


def _anatomy(info: ScanInfo) -> str | None:
    """What it shows; None also where name and header contradict each other, which only some have to care about."""
    try:
        return anatomy_of(info)
    except DataError:
        return None


def _move(tensor: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """To the device; to a GPU from pinned memory, so that Python does not wait for the copy."""
    if torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _reference(batch: SliceBatch, augmented: Augmented, info: ScanInfo) -> torch.Tensor:
    """(batch, y, x) float32: stored images, and new ones where there are none or where k-space was changed."""
    middle = augmented.kspace[:, augmented.kspace.shape[1] // 2]
    if batch.reference is None:
        return _root_sum_of_squares(middle, info)
    stored = _cut(_move(batch.reference, middle.device), info)
    rows = [row for row, is_changed in enumerate(augmented.is_changed) if is_changed]
    if not rows:
        return stored
    place = torch.tensor(rows, device=middle.device)
    made = _root_sum_of_squares(middle.index_select(0, place), info)
    return stored.index_copy(0, place, made)


def _cut(reference: torch.Tensor, info: ScanInfo) -> torch.Tensor:
    """A stored reference without what lies outside a field of view that is narrower."""
    height, width = (min(sizes) for sizes in zip(reference.shape[-2:], scored_window(info), strict=True))
    return center_crop(reference, (height, width))


def _root_sum_of_squares(kspace: torch.Tensor, info: ScanInfo) -> torch.Tensor:
    """(batch, coil, readout, phase) full k-space to (batch, y, x) float32 in the scored window."""
    return center_crop(rss(ifft2c(kspace)), scored_window(info))


def _data_ranges(
    infos: Sequence[ScanInfo], reference: torch.Tensor, has_own_range: Sequence[bool] = ()
) -> torch.Tensor:
    """(batch,) float32: maximum of the volume; of the slice where that is not known, or is not to be used."""
    largest = [torch.nan if info.reference_max is None else info.reference_max for info in infos]
    for row, is_own in enumerate(has_own_range):
        if is_own:
            largest[row] = torch.nan
    of_volume = torch.tensor(largest).to(reference.device, non_blocking=True)
    if not any(map(math.isnan, largest)):
        return of_volume
    return torch.where(of_volume.isnan(), reference.amax((-2, -1)), of_volume)
