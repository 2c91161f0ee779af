"""Mask, crop and target of slices as batched tensor code on any device."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from mrikit.data.augment import Augment, Augmented, SampleId
from mrikit.data.dataset import SliceBatch
from mrikit.data.example import Example
from mrikit.data.neighbours import neighbours, require_middle
from mrikit.data.undersample import is_fully_sampled
from mrikit.data.window import scored_window
from mrikit.errors import DataError
from mrikit.masks import Mask
from mrikit.physics.coils import rss
from mrikit.physics.crop import center_crop
from mrikit.physics.fft import fft1c, ifft1c, ifft2c
from mrikit.volumes import ScanInfo, Volume
from mrikit.volumes.anatomy import anatomy_of


def prepare_batch(
    batch: SliceBatch,
    infos: Sequence[ScanInfo],
    masks: Sequence[Mask],
    device: torch.device | str = "cpu",
    *,
    augment: Augment | None = None,
    max_readout: int = 0,
) -> Example:
    """Put slices on the device, augment, crop and undersample them, and make what they are compared with.

    Args:
        batch: Fully sampled slices of one shape.
        infos: Facts of the volume of each batch element.
        masks: Lines to keep of each batch element.
        device: Where the tensors are made.
        augment: Changes full k-space; the reference of what it changed is made from the new k-space of the middle
            slice.
        max_readout: Rows of the image to keep along the readout where there are more, but never fewer than are scored;
            0 for all.

    Returns:
        An Example with a reference: the file's own where k-space was not changed, or RSS of full k-space; its data
        range is that of the volume, which no transform changes, or of the slice alone where the file does not say or
        the augmentation asks for it. Without neighbours it has no slice axis.

    Raises:
        DataError: A mask does not fit, or is a 2-D pattern that cannot be cropped.
    """
    slice_index = tuple(key.slice_index for key in batch.keys)
    augmented = Augmented(_move(batch.kspace, device), (False,) * len(infos))
    if augment:
        samples = [SampleId(info.volume_id, index) for info, index in zip(infos, slice_index, strict=True)]
        augmented = augment(augmented.kspace, samples)
    reference = _reference_of_batch(batch, augmented, infos[0])
    has_own_range = [is_changed and augmented.uses_slice_max for is_changed in augmented.is_changed]
    data_range = _data_ranges(infos, reference, has_own_range)
    return _undersample(augmented.kspace, reference, infos, masks, slice_index, data_range, max_readout)


def make_example(
    volume: Volume,
    slice_index: tuple[int, ...],
    mask: Mask,
    device: torch.device | str = "cpu",
    *,
    has_reference: bool = True,
    num_adjacent: int = 1,
    max_readout: int = 0,
) -> Example:
    """Read slices, put them on the device, crop and undersample them.

    Args:
        volume: The scan; only the named slices and their neighbours are read, each once.
        slice_index: Slices to reconstruct, one for each batch element.
        mask: Lines to keep.
        device: Where the tensors are made.
        has_reference: Whether to read the reference too, or to make it from the k-space of a volume that is full but
            has none.
        num_adjacent: Slices that belong to one sample, the slice itself in the middle; odd. Beyond the ends of the
            volume its last slice is repeated.
        max_readout: Rows of the image to keep along the readout where there are more, but never fewer than are scored;
            0 for all.

    Raises:
        ConfigError: There is no middle slice.
        DataError: The mask does not fit or cannot be cropped, a slice is damaged, or an undersampled volume has no
            reference.
    """
    infos, masks = [volume.info] * len(slice_index), [mask] * len(slice_index)
    kspace = _read(volume, slice_index, num_adjacent).to(device)
    reference = _reference(volume, slice_index, kspace[:, num_adjacent // 2]) if has_reference else None
    is_known = reference is not None and volume.info.reference_max is not None
    data_range = _data_ranges(infos, reference) if reference is not None and is_known else None
    return _undersample(kspace, reference, infos, masks, slice_index, data_range, max_readout)


def _undersample(
    kspace: torch.Tensor,
    reference: torch.Tensor | None,
    infos: Sequence[ScanInfo],
    masks: Sequence[Mask],
    slice_index: tuple[int, ...],
    data_range: torch.Tensor | None,
    max_readout: int,
) -> Example:
    """(batch, slice, coil, readout, phase) full k-space to an Example; a slice axis of size 1 is dropped."""
    lines = _lines(infos, masks).to(kspace.device, non_blocking=True)
    if max_readout:
        kspace = _crop_readout(kspace, infos, masks, max_readout)
    if kspace.shape[1] == 1:
        kspace = kspace[:, 0]
    else:
        lines = lines.unsqueeze(1)
    return Example(
        masked_kspace=_keep(lines, kspace),
        mask=lines,
        num_center_lines=torch.tensor([mask.num_center_lines for mask in masks], device=kspace.device),
        reference=reference,
        data_range=data_range,
        crop=scored_window(infos[0]),
        volume_ids=tuple(info.volume_id for info in infos),
        anatomies=tuple(_anatomy(info) for info in infos),
        slice_index=slice_index,
    )


def _crop_readout(
    kspace: torch.Tensor, infos: Sequence[ScanInfo], masks: Sequence[Mask], max_readout: int
) -> torch.Tensor:
    """K-space of the middle rows of the image; the scored window stays in the middle of them."""
    height, scored = kspace.shape[-2], scored_window(infos[0])[0]
    wanted = max(max_readout, scored)
    if wanted >= height:
        return kspace
    for info, mask in zip(infos, masks, strict=True):
        if mask.lines.ndim > 1:
            found = f"a 2-D pattern of {height} rows, which cannot be cropped to {wanted} along the readout"
            raise DataError(f"{info.volume_id}: {found}; only a model with max_readout 0 can take it")
    # Not (height - wanted) // 2, which moves the window by a row where one of the sizes is odd.
    first = (height - scored) // 2 - (wanted - scored) // 2
    return fft1c(ifft1c(kspace, -2)[..., first : first + wanted, :], -2)


def _anatomy(info: ScanInfo) -> str | None:
    """What it shows; None also where name and header contradict each other, which only some have to care about."""
    try:
        return anatomy_of(info)
    except DataError:
        return None


def _keep(lines: torch.Tensor, kspace: torch.Tensor) -> torch.Tensor:
    """K-space where the lines are, +0.0 elsewhere: where() and not a product, whose -0.0 would leak signs."""
    if kspace.device.type == "cpu":
        # numpy takes its memory in huge pages, and does not wait for torch's threads while others read.
        return torch.from_numpy(np.where(lines.numpy(), kspace.numpy(), np.complex64(0)))
    return torch.where(lines, kspace, 0.0)


def _lines(infos: Sequence[ScanInfo], masks: Sequence[Mask]) -> torch.Tensor:
    """(batch, 1, 1, phase) bool, or (batch, 1, readout, phase) if any is a 2-D pattern."""
    for info, mask in zip(infos, masks, strict=True):
        if mask.lines.shape[-1] != info.matrix[1]:
            found = f"a mask of {mask.lines.shape[-1]} columns for k-space of {info.matrix[1]}"
            raise DataError(f"{info.volume_id}: {found}; draw the mask for this volume")
    rows = max(mask.lines.shape[0] if mask.lines.ndim > 1 else 1 for mask in masks)
    return _stack([np.broadcast_to(mask.lines, (1, rows, mask.lines.shape[-1])) for mask in masks])


def _move(tensor: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """To the device; to a GPU from pinned memory, so that Python does not wait for the copy."""
    if torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _read(volume: Volume, slice_index: tuple[int, ...], num_adjacent: int) -> torch.Tensor:
    """(batch, slice, coil, readout, phase) of the slices and their neighbours."""
    require_middle(num_adjacent)
    wanted = [neighbours(index, len(volume.kspace), num_adjacent) for index in slice_index]
    found = {index: volume.kspace[index] for index in sorted({index for row in wanted for index in row})}
    return _stack([found[index] for row in wanted for index in row]).unflatten(0, (len(wanted), num_adjacent))


def _reference_of_batch(batch: SliceBatch, augmented: Augmented, info: ScanInfo) -> torch.Tensor:
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


def _reference(volume: Volume, slice_index: tuple[int, ...], kspace: torch.Tensor) -> torch.Tensor:
    """(batch, y, x) float32 on the device of the k-space, in the scored window."""
    if volume.reference is not None:
        stored = _stack([volume.reference[index] for index in slice_index]).to(kspace.device)
        return _cut(stored, volume.info)
    if not is_fully_sampled(volume):
        raise DataError(f"{volume.info.volume_id}: undersampled, and its file holds no reference to compare with")
    return _root_sum_of_squares(kspace, volume.info)


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


def _stack(slices: Sequence[npt.NDArray[np.generic]]) -> torch.Tensor:
    return torch.from_numpy(np.stack(slices))
